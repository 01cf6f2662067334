//! Matrix products over strided views, through nalgebra.

use nalgebra::{DMatrixView, DMatrixViewMut, Dyn};

use super::{OpsError, check_len};

/// Products with an axis shorter than this are summed here. nalgebra's own path for them (an axis of
/// five or fewer) indexes outside the slice that it takes of a strided view.
const SMALL: usize = 6;

type StridedView<'a> = DMatrixView<'a, f32, Dyn, Dyn>;
type StridedViewMut<'a> = DMatrixViewMut<'a, f32, Dyn, Dyn>;

/// A matrix in a slice: element (r, c) stands at `r * row_stride + c * col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a> {
    /// The values.
    pub data: &'a [f32],
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub cols: usize,
    /// Places from one row to the next.
    pub row_stride: usize,
    /// Places from one column to the next.
    pub col_stride: usize,
}

/// A matrix in a slice that can be written; see [`MatRef`].
#[derive(Debug)]
pub struct MatMut<'a> {
    /// The values.
    pub data: &'a mut [f32],
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub cols: usize,
    /// Places from one row to the next.
    pub row_stride: usize,
    /// Places from one column to the next.
    pub col_stride: usize,
}

fn span(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    match (rows.checked_sub(1), cols.checked_sub(1)) {
        (Some(r), Some(c)) => r
            .saturating_mul(row_stride)
            .saturating_add(c.saturating_mul(col_stride))
            .saturating_add(1),
        _ => 0,
    }
}

impl<'a> MatRef<'a> {
    /// A matrix whose rows follow each other.
    #[must_use]
    pub fn row_major(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// Rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    fn check(&self) -> Result<(), OpsError> {
        let need = span(self.rows, self.cols, self.row_stride, self.col_stride);
        check_len("a matrix", need, self.data.len().min(need))
    }

    fn view(&self) -> Result<StridedView<'a>, OpsError> {
        self.check()?;
        Ok(StridedView::from_slice_with_strides(
            self.data,
            self.rows,
            self.cols,
            self.row_stride,
            self.col_stride,
        ))
    }
}

impl<'a> MatMut<'a> {
    /// A matrix whose rows follow each other.
    #[must_use]
    pub fn row_major(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    fn check(&self) -> Result<(), OpsError> {
        let need = span(self.rows, self.cols, self.row_stride, self.col_stride);
        check_len("a matrix", need, self.data.len().min(need))
    }

    fn view(self) -> Result<StridedViewMut<'a>, OpsError> {
        self.check()?;
        Ok(StridedViewMut::from_slice_with_strides_mut(
            self.data,
            self.rows,
            self.cols,
            self.row_stride,
            self.col_stride,
        ))
    }
}

/// Adds A B to C.
///
/// # Errors
/// [`OpsError`] where the shapes do not fit, or a slice is shorter than its shape and strides need.
pub fn gemm(a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>) -> Result<(), OpsError> {
    if a.cols != b.rows || a.rows != c.rows || b.cols != c.cols {
        return Err(OpsError::Shape {
            what: "a matrix product",
            expected: format!("[{}, {}]", a.rows, b.cols),
            found: vec![a.rows, a.cols, b.rows, b.cols, c.rows, c.cols],
        });
    }
    if a.rows == 0 || a.cols == 0 || b.cols == 0 {
        return Ok(());
    }
    if a.rows.min(a.cols).min(b.cols) < SMALL {
        return small(a, b, c);
    }
    let (a, b, mut c) = (a.view()?, b.view()?, c.view()?);
    c.gemm(1.0, &a, &b, 1.0);
    Ok(())
}

fn small(a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>) -> Result<(), OpsError> {
    a.check()?;
    b.check()?;
    c.check()?;
    for row in 0..c.rows {
        for k in 0..a.cols {
            let factor = a.data[row * a.row_stride + k * a.col_stride];
            for col in 0..c.cols {
                c.data[row * c.row_stride + col * c.col_stride] +=
                    factor * b.data[k * b.row_stride + col * b.col_stride];
            }
        }
    }
    Ok(())
}

/// The dot product, in eight interleaved partial sums; as long as the shorter slice.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a8, a_rest) = a[..n].as_chunks::<8>();
    let (b8, b_rest) = b[..n].as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (a, b) in a8.iter().zip(b8) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
