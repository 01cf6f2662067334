//! NumPy archives, written.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Seek, Write};

use npyz::WriterBuilder as _;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// An array of an archive.
#[derive(Debug)]
pub struct NamedArray {
    /// Its name; if it occurs before, `#2`, `#3` .. is put after it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: NamedValues,
}

/// The values of an array, row-major.
#[derive(Debug)]
pub enum NamedValues {
    /// `float32`.
    F32(Vec<f32>),
    /// `int32`.
    I32(Vec<i32>),
}

/// Writes an archive, as `numpy.load` reads it.
///
/// # Errors
/// What the system says.
pub fn write_npz(file: impl Write + Seek, arrays: &[NamedArray]) -> io::Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(file));
    let mut names = BTreeSet::new();
    for array in arrays {
        let mut name = array.name.clone();
        let mut times = 1;
        while !names.insert(name.clone()) {
            times += 1;
            name = format!("{}#{times}", array.name);
        }
        zip.start_file(
            format!("{name}.npy"),
            SimpleFileOptions::default().large_file(true),
        )?;
        match &array.values {
            NamedValues::F32(values) => write_array(&mut zip, &array.shape, values)?,
            NamedValues::I32(values) => write_array(&mut zip, &array.shape, values)?,
        }
    }
    zip.finish()?.flush()
}

fn write_array<T: npyz::AutoSerialize + Copy, W: Write + Seek>(
    zip: &mut ZipWriter<W>,
    shape: &[usize],
    values: &[T],
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
    let mut array = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(zip)
        .begin_nd()?;
    array.extend(values.iter().copied())?;
    array.finish()
}
