//! NumPy archives, as `numpy.load` reads them.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Seek, Write};

use npyz::WriterBuilder as _;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::diagnostics::Failure;
use crate::outputs::Output;

/// An array of an archive.
#[derive(Debug)]
pub(crate) struct Array {
    /// Its name; where it occurs before, `#2`, `#3` .. is put after it.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
}

/// The values of an array, row-major.
#[derive(Debug)]
pub(crate) enum Values {
    F32(Vec<f32>),
    I32(Vec<i32>),
}

/// Writes an archive.
pub(crate) fn write(output: Output, arrays: &[Array]) -> Result<(), Failure> {
    output.write_with(|file| {
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
                Values::F32(values) => write_array(&mut zip, &array.shape, values)?,
                Values::I32(values) => write_array(&mut zip, &array.shape, values)?,
            }
        }
        zip.finish()?.flush()
    })
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
