//! Matrix products over strided views, through nalgebra.

use std::ops::Deref;

use nalgebra::{DMatrixView, DMatrixViewMut, Dyn};

use super::{OpsError, check_len};

/// Products with an axis shorter than this are summed here. nalgebra's own path for them (an axis of
/// five or fewer) indexes outside the slice that it takes of a strided view.
const SMALL: usize = 6;

type StridedView<'a> = DMatrixView<'a, f32, Dyn, Dyn>;
type StridedViewMut<'a> = DMatrixViewMut<'a, f32, Dyn, Dyn>;

/// A matrix in a slice: element (r, c) stands at `r * row_stride + c * col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<D> {
    /// The values.
    pub data: D,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Places from one row to the next.
    pub row_stride: usize,
    /// Places from one column to the next.
    pub col_stride: usize,
}

/// A matrix that is read.
pub type MatRef<'a> = Mat<&'a [f32]>;
/// A matrix that is written.
pub type MatMut<'a> = Mat<&'a mut [f32]>;

fn span(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    match (rows.checked_sub(1), cols.checked_sub(1)) {
        (Some(r), Some(c)) => r
            .saturating_mul(row_stride)
            .saturating_add(c.saturating_mul(col_stride))
            .saturating_add(1),
        _ => 0,
    }
}

impl<D: Deref<Target = [f32]>> Mat<D> {
    /// A matrix whose rows follow each other.
    #[must_use]
    pub fn row_major(data: D, rows: usize, cols: usize) -> Self {
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
}

impl<'a> MatRef<'a> {
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

/// Adds A B to C. A row of C does not depend on how many rows there are, to the bit.
///
/// # Errors
/// [`OpsError`] if the shapes do not fit, or a slice is shorter than its shape and strides need.
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
    if a.cols.min(b.cols) < SMALL {
        return small(a, b, c);
    }
    if a.rows < SMALL {
        return padded(a, b, c);
    }
    let (a, b, mut c) = (a.view()?, b.view()?, c.view()?);
    c.gemm(1.0, &a, &b, 1.0);
    Ok(())
}

/// Pads missing rows with zeros, so that a few rows are summed as many are.
fn padded(a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>) -> Result<(), OpsError> {
    a.check()?;
    c.check()?;
    let mut rows = vec![0.0; SMALL * a.cols];
    let mut sums = vec![0.0; SMALL * c.cols];
    for (row, values) in rows.chunks_exact_mut(a.cols).take(a.rows).enumerate() {
        for (col, value) in values.iter_mut().enumerate() {
            *value = a.data[row * a.row_stride + col * a.col_stride];
        }
    }
    for (row, values) in sums.chunks_exact_mut(c.cols).take(c.rows).enumerate() {
        for (col, value) in values.iter_mut().enumerate() {
            *value = c.data[row * c.row_stride + col * c.col_stride];
        }
    }
    gemm(
        MatRef::row_major(&rows, SMALL, a.cols),
        b,
        MatMut::row_major(&mut sums, SMALL, c.cols),
    )?;
    for (row, values) in sums.chunks_exact(c.cols).take(c.rows).enumerate() {
        for (col, value) in values.iter().enumerate() {
            c.data[row * c.row_stride + col * c.col_stride] = *value;
        }
    }
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
