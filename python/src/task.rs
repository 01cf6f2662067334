//! Candidates of a search in another process.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use tinyspike::Mode;
use tinyspike::deploy::{self, DeployOptions};
use tinyspike::tune;

use crate::data::{Data, all_given};
use crate::fault::Fault;
use crate::network::{Network, samples};
use crate::options::Deploy;
use crate::work::work;

/// Base on which candidates of a search run.
#[pyclass(frozen, module = "tinyspike._native")]
pub(crate) struct Task(Arc<tune::Task>);

#[pymethods]
impl Task {
    /// Prepares the network and the samples that a search was started with.
    #[new]
    fn new(
        py: Python<'_>,
        network: PyRef<'_, Network>,
        data: Vec<PyRef<'_, Data>>,
        options: Deploy,
    ) -> PyResult<Self> {
        let trained = network.trained.clone();
        let given = all_given(&data);
        let task = work(py, None, move |_| {
            let (set, _) = samples(&trained, &given, &options)?;
            let tuning = options.tuning()?;
            let mode = Mode::Tuned(tuning);
            let settings = DeployOptions {
                data: set.as_ref().map(|set| set as _),
                budgets: options.budgets(),
                ..DeployOptions::new(&mode)
            };
            Ok(deploy::task(trained.network(), &tuning, &settings)?)
        })?;
        Ok(Self(Arc::new(task)))
    }

    /// Runs a candidate, and returns its outcome; None if the search itself should find out why it fails.
    fn run<'py>(
        &self,
        py: Python<'py>,
        candidate: &Bound<'py, PyBytes>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let task = self.0.clone();
        let bytes = candidate.as_bytes().to_vec();
        let outcome = work(py, None, move |_| {
            let candidate = postcard::from_bytes(&bytes)
                .map_err(|e| Fault::of("InternalError", &e).of_what("the candidate"))?;
            Ok(task.run(&candidate).ok())
        })?;
        let bytes = outcome.and_then(|outcome| postcard::to_stdvec(&outcome).ok());
        Ok(bytes.map(|bytes| PyBytes::new(py, &bytes)))
    }
}
