//! The arguments of a layer that its conversion does not support.

use super::options::ConvertOptions;
use crate::keras::penalty::Penalties;
use crate::keras::weight::LayerRef;

/// Collects the arguments of a layer that its converter does not support.
pub(crate) struct Arguments<'a> {
    layer: LayerRef<'a>,
    options: &'a ConvertOptions,
    unsupported: Vec<String>,
    training: Vec<String>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn of(layer: LayerRef<'a>, options: &'a ConvertOptions) -> Self {
        Self {
            layer,
            options,
            unsupported: Vec::new(),
            training: Vec::new(),
        }
    }

    fn describe(&self, argument: &str, value: &str, supported: &str) -> String {
        format!(
            "{}.{argument} has value {value} != {supported}",
            self.layer.name
        )
    }

    /// An argument of which one value alone is supported.
    pub(crate) fn require(&mut self, argument: &str, value: &str, supported: &str) {
        if value != supported {
            self.unsupported
                .push(self.describe(argument, value, supported));
        }
    }

    /// The arguments that only training needs.
    pub(crate) fn penalties(&mut self, penalties: &Penalties) {
        if self.options.inference_only {
            return;
        }
        for (argument, penalty) in penalties.set() {
            let value = format!("<{} object>", penalty.class);
            self.training.push(self.describe(argument, &value, "None"));
        }
    }

    /// The verdict: NengoDL names the first argument alone.
    pub(crate) fn verdict(mut self) -> Result<(), String> {
        if self.options.nengo_dl_compat {
            self.unsupported.truncate(1);
            self.training.truncate(1 - self.unsupported.len());
        }
        let parts: Vec<String> = [
            (self.unsupported, ""),
            (self.training, " (unless inference_only=True)"),
        ]
        .into_iter()
        .filter(|(arguments, _)| !arguments.is_empty())
        .map(|(arguments, unless)| {
            let is = if arguments.len() > 1 { "are" } else { "is" };
            format!("{}, which {is} not supported{unless}", arguments.join(", "))
        })
        .collect();
        if parts.is_empty() {
            Ok(())
        } else {
            Err(parts.join("; "))
        }
    }
}
