//! Differences between what versions and backends of Keras mean by one file.

use serde_json::Value;

/// The Keras that wrote a file, as far as it matters to the meaning of what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The major version.
    pub(crate) version: u32,
    /// `true` if convolutions are true ones, as Theano's: their kernels lie the other way round.
    pub(crate) flipped: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            version: 3,
            flipped: false,
        }
    }
}

/// The `keras_version` and the `backend` that a file states.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) version: Option<String>,
    pub(crate) backend: Option<String>,
}

impl Written {
    /// The configuration's own statement.
    pub(crate) fn of(config: &Value) -> Self {
        let text = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            version: text("keras_version"),
            backend: text("backend"),
        }
    }

    /// This, or what `other` states if this does not.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            version: self.version.or(other.version),
            backend: self.backend.or(other.backend),
        }
    }

    /// The dialect. A configuration without a version is Keras 3's if it names modules, else Keras 2's.
    pub(crate) fn dialect(&self, config: &Value) -> Dialect {
        let stated = (self.version.as_ref()).and_then(|version| {
            version
                .split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        });
        let by_form = || {
            if config.get("registered_name").is_some() {
                3
            } else {
                2
            }
        };
        Dialect {
            version: stated.unwrap_or_else(by_form),
            flipped: self.backend.as_deref() == Some("theano"),
        }
    }
}
