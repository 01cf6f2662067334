//! The native half of the Python package `tinyspike`: the library's types for Python.
//!
//! Python code in `tinyspike/` is what users call. It takes arguments apart, resolves live models and words
//! documentation; this module does the work. Work runs on a thread of its own, see [`work`].

#![forbid(unsafe_code)]

mod advice;
mod board;
mod data;
mod export;
mod fault;
mod image;
mod network;
mod options;
mod recorded;
mod source;
mod task;
mod work;

use pyo3::prelude::*;

/// Native code of the package; its interface may change with any version.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::board::{bench, estimate, flash, run};
    #[pymodule_export]
    use crate::data::Data;
    #[pymodule_export]
    use crate::export::export_c;
    #[pymodule_export]
    use crate::image::{Image, keygen, public_key};
    #[pymodule_export]
    use crate::network::Network;
    #[pymodule_export]
    use crate::task::Task;

    use pyo3::types::PyBytes;
    use tinyspike::cli;

    use super::*;

    /// The package's version.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::work::keep_panics();
        super::work::keep_stalls();
        Ok(())
    }

    /// A bundled file: `model`, `calibration` or `test`.
    #[pyfunction]
    fn bundled<'py>(py: Python<'py>, name: &str) -> Option<Bound<'py, PyBytes>> {
        let content = match name {
            "model" => cli::bundled::MODEL,
            "calibration" => cli::bundled::CALIBRATION,
            "test" => cli::bundled::TEST,
            _ => return None,
        };
        Some(PyBytes::new(py, content))
    }

    /// Panics at work: for the test of what becomes of a panic.
    #[pyfunction]
    fn panic(py: Python<'_>) -> PyResult<()> {
        super::work::work(py, None, |_| -> Result<(), crate::fault::Fault> {
            panic!("a panic on purpose")
        })
    }

    /// Runs the command-line tool with these arguments, of which the first is the program's name; returns the exit code.
    #[pyfunction]
    fn main(py: Python<'_>, args: Vec<std::ffi::OsString>) -> u8 {
        super::work::show_panics();
        py.detach(|| cli::run(args))
    }
}
