//! Reads the arrays of an `.npz` fixture.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use npyz::npz::NpzArchive;
use tinyspike::tensor::Tensor;

/// A path in the repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// An `.npz` file that is open.
pub(crate) struct Npz(NpzArchive<BufReader<File>>);

impl Npz {
    /// Opens a file of the repository.
    pub(crate) fn open(name: &str) -> Self {
        Self(NpzArchive::open(path(name)).unwrap_or_else(|e| panic!("{name}: {e}")))
    }

    /// The names of the arrays.
    #[allow(dead_code, reason = "not every test asks for them")]
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.array_names().map(str::to_owned).collect()
    }

    /// An array of any number type, as float32.
    pub(crate) fn tensor(&mut self, name: &str) -> Tensor {
        let array = self
            .0
            .by_name(name)
            .unwrap()
            .unwrap_or_else(|| panic!("no array {name}"));
        let shape = array
            .shape()
            .iter()
            .map(|n| usize::try_from(*n).unwrap())
            .collect();
        let dtype = array.dtype().descr();
        let data: Vec<f32> = match dtype.trim_matches('\'') {
            "<f4" => array.into_vec::<f32>().unwrap(),
            "<f8" => array
                .into_vec::<f64>()
                .unwrap()
                .iter()
                .map(|v| *v as f32)
                .collect(),
            "|u1" => array
                .into_vec::<u8>()
                .unwrap()
                .iter()
                .map(|v| f32::from(*v))
                .collect(),
            "<u2" => array
                .into_vec::<u16>()
                .unwrap()
                .iter()
                .map(|v| f32::from(*v))
                .collect(),
            "<i4" => array
                .into_vec::<i32>()
                .unwrap()
                .iter()
                .map(|v| *v as f32)
                .collect(),
            "<i8" => array
                .into_vec::<i64>()
                .unwrap()
                .iter()
                .map(|v| *v as f32)
                .collect(),
            other => panic!("the array {name} has the type {other}"),
        };
        Tensor::new(shape, data).unwrap()
    }
}
