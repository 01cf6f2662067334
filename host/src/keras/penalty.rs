//! Regularizers and constraints: they matter in training alone, and are kept for messages.

use crate::advice::Advice;

/// A regularizer or constraint, in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalty {
    /// The Keras module and class, such as `keras.regularizers.L2`.
    pub class: String,
    /// Its configuration.
    pub config: serde_json::Value,
}

/// The training-only arguments of a layer with weights.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Penalties {
    pub kernel_regularizer: Option<Penalty>,
    pub bias_regularizer: Option<Penalty>,
    pub activity_regularizer: Option<Penalty>,
    pub kernel_constraint: Option<Penalty>,
    pub bias_constraint: Option<Penalty>,
}

impl Penalties {
    /// The arguments that are set.
    pub(crate) fn set(&self) -> impl Iterator<Item = (&'static str, &Penalty)> {
        [
            ("kernel_regularizer", &self.kernel_regularizer),
            ("bias_regularizer", &self.bias_regularizer),
            ("activity_regularizer", &self.activity_regularizer),
            ("kernel_constraint", &self.kernel_constraint),
            ("bias_constraint", &self.bias_constraint),
        ]
        .into_iter()
        .filter_map(|(argument, penalty)| Some((argument, penalty.as_ref()?)))
    }

    /// The advice if a layer with them has not been converted.
    pub(crate) fn advice(&self) -> (String, Option<Advice>) {
        match self.set().next() {
            Some((argument, _)) => inference_only(argument),
            None => (HOST_ONLY.to_owned(), None),
        }
    }
}

/// The advice for a layer that no event can express.
pub(crate) const HOST_ONLY: &str = "no device runs it; replace it, or end the network before it and \
     compute the rest on the host";

/// The advice if a layer has not been converted for an argument that only matters in training.
pub(crate) fn inference_only(argument: &str) -> (String, Option<Advice>) {
    let advice =
        format!("its {argument} only matters in training, ignore it to make the layer native");
    (advice, Some(Advice::InferenceOnly))
}
