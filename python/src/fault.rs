//! Errors of the library as the package's exceptions.

use std::error::Error;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use tinyspike::advice::{Advice, Advised};
use tinyspike::calibrate::CalibrateError;
use tinyspike::data::DataError;
use tinyspike::deploy::DeployError;
use tinyspike::emulate::EmulateError;
use tinyspike::image::ImageFileError;
use tinyspike::inputs::InputsError;
use tinyspike::sign::SignError;
use tinyspike::simulation::SimulationError;
use tinyspike::text::with_causes;
use tinyspike::trained::LoadError;

use crate::advice;

/// An exception before it is one: threads that do not hold Python's lock make it.
#[derive(Debug)]
pub(crate) struct Fault(Box<Parts>);

#[derive(Debug)]
struct Parts {
    class: &'static str,
    message: String,
    advice: Vec<Advice>,
    attributes: Vec<(&'static str, String)>,
    /// The exception of a function of the user's, which is raised as it is.
    own: Option<PyErr>,
}

impl Fault {
    pub(crate) fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            class,
            message: message.into(),
            advice: Vec::new(),
            attributes: Vec::new(),
            own: None,
        }))
    }

    /// An error and its causes, each only if it says something new.
    pub(crate) fn of(class: &'static str, error: &dyn Error) -> Self {
        Self::new(class, with_causes(error))
    }

    /// An error with its remedies.
    pub(crate) fn advised<E: Error + Advised>(class: &'static str, error: &E) -> Self {
        Self::of(class, error).with(error.advice())
    }

    /// A fault of this program, by the words that a thread ended with.
    pub(crate) fn internal(text: String) -> Self {
        Self::new("InternalError", text)
    }

    #[must_use]
    pub(crate) fn with(mut self, advice: Vec<Advice>) -> Self {
        self.0.advice.extend(advice);
        self
    }

    /// The same with an attribute of the exception.
    #[must_use]
    pub(crate) fn at(mut self, name: &'static str, value: Option<&str>) -> Self {
        let value = value.map(|value| (name, value.to_owned()));
        self.0.attributes.extend(value);
        self
    }

    /// The same with words before the message.
    #[must_use]
    pub(crate) fn of_what(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// The exception.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        match self.0.own {
            Some(own) => own,
            None => self.0.exception(py).unwrap_or_else(|error| error),
        }
    }
}

impl Parts {
    fn exception(&self, py: Python<'_>) -> PyResult<PyErr> {
        let class = py.import("tinyspike.errors")?.getattr(self.class)?;
        let advice: Vec<String> = self.advice.iter().map(advice::hint).collect();
        let values = PyDict::new(py);
        values.set_item("advice", advice)?;
        for (name, value) in &self.attributes {
            values.set_item(name, value)?;
        }
        let exception = class.call((&self.message,), Some(&values))?;
        Ok(PyErr::from_value(exception))
    }
}

impl From<PyErr> for Fault {
    fn from(own: PyErr) -> Self {
        let mut fault = Self::new("InternalError", "");
        fault.0.own = Some(own);
        fault
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        let class = match &error {
            LoadError::Convert { .. } => "ConvertError",
            LoadError::ForLayers { .. } | LoadError::ForGraphs { .. } => "OptionError",
            _ => "ModelError",
        };
        let fault = Self::advised(class, &error);
        match &error {
            LoadError::Convert { source, .. } => fault.at("layer", source.layer()),
            LoadError::ForLayers { option, .. } => fault.at("option", Some(option)),
            LoadError::ForGraphs { .. } => fault.at("option", Some("semantics")),
            _ => fault,
        }
    }
}

impl From<DataError> for Fault {
    fn from(error: DataError) -> Self {
        Self::of("DataError", &error)
    }
}

impl From<InputsError> for Fault {
    fn from(error: InputsError) -> Self {
        Self::of("DataError", &error).at("input", error.input())
    }
}

impl From<EmulateError> for Fault {
    fn from(error: EmulateError) -> Self {
        Self::advised("DataError", &error)
    }
}

impl From<SimulationError> for Fault {
    fn from(error: SimulationError) -> Self {
        match error {
            SimulationError::Inputs(error) => error.into(),
            error @ SimulationError::Steps { .. } => Self::advised("DataError", &error),
            error => Self::advised("SimulateError", &error),
        }
    }
}

impl From<DeployError> for Fault {
    fn from(error: DeployError) -> Self {
        let class = match &error {
            DeployError::Calibrate(
                CalibrateError::Input { .. } | CalibrateError::Inputs { .. },
            ) => "DataError",
            _ => "DeployError",
        };
        let stage = format!("{:?}", error.stage()).to_lowercase();
        Self::advised(class, &error)
            .at("stage", Some(&stage))
            .at("layer", error.layer())
    }
}

impl From<ImageFileError> for Fault {
    fn from(error: ImageFileError) -> Self {
        Self::advised("ImageError", &error)
    }
}

impl From<SignError> for Fault {
    fn from(error: SignError) -> Self {
        Self::advised("SignError", &error)
    }
}
