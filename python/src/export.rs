//! Projects in C around an image.

use std::path::PathBuf;

use pyo3::prelude::*;

use tinyspike::export::{self, ExportError, ExportOptions, Kind, Libraries, Sample};
use tinyspike::stream;
use tinyspike_board::library::{CORES, Core};

use crate::data::{Data, all_given};
use crate::fault::Fault;
use crate::image::{Image, of_image, recordings};
use crate::work::work;

const CLASS: &str = "ExportError";

impl From<ExportError> for Fault {
    fn from(error: ExportError) -> Self {
        Self::advised(CLASS, &error)
    }
}

/// Writes a project with libraries for cores, and returns the names of these.
#[pyfunction]
pub(crate) fn export_c(
    py: Python<'_>,
    image: PyRef<'_, Image>,
    folder: PathBuf,
    data: Vec<PyRef<'_, Data>>,
    name: String,
    cores: Vec<String>,
) -> PyResult<Vec<&'static str>> {
    let bytes = image.bytes.clone();
    let given = all_given(&data);
    work(py, None, move |_| {
        let image = bytes.image();
        let sample = if given.is_empty() {
            Sample::made_up(&image)
        } else {
            let set = if stream::is_current_based(&image) {
                recordings(&image, &given)?.0
            } else {
                of_image(&image, &given)?.0
            };
            Sample::first(&image, &set)?
        };
        let cores = cores.iter().map(|name| core(name));
        let mut cores = cores.collect::<Result<Vec<_>, _>>()?;
        if cores.is_empty() {
            cores.push(&CORES[0]);
        }
        let names = cores.iter().map(|core| core.name).collect();
        let options = ExportOptions {
            name,
            cores,
            libraries: Libraries::default(),
        };
        let project = export::export(&bytes, &sample, Kind::C, &options)?;
        let written = project.write(&folder);
        written.map_err(|e| Fault::of(CLASS, &e))?;
        Ok(names)
    })
}

/// A core of this name.
fn core(name: &str) -> Result<&'static Core, Fault> {
    Core::named(name).ok_or_else(|| {
        let known: Vec<&str> = CORES.iter().map(|core| core.name).collect();
        let message = format!("cores: {name:?} is none of {}", known.join(", "));
        Fault::new("OptionError", message).at("option", Some("cores"))
    })
}
