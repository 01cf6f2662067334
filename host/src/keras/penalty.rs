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
        inference_only(self.set().next().map(|(argument, _)| argument))
    }
}

/// The advice if a layer has not been converted, perhaps for an argument that only matters in training.
pub(crate) fn inference_only(argument: Option<&str>) -> (String, Option<Advice>) {
    let advice = match argument {
        Some(argument) => {
            format!("its {argument} only matters in training, ignore it to make the layer native")
        }
        None => "ignore what only matters in training if it is native then, or replace it".into(),
    };
    (advice, Some(Advice::InferenceOnly))
}
