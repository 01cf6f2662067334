//! Lowpass and Alpha of keras_spiking.

use super::prelude::*;
use super::spiking_activation::{DEFAULT_DT, python_bool, warn_of_dt};
use crate::keras::class::Origin;
use crate::keras::class::type_name;
use crate::network::Synapse;
use crate::ops::check_len;

/// keras_spiking.Lowpass or keras_spiking.Alpha. Weights: initial_level, tau.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Filter {
    pub kind: FilterKind,
    pub tau_initializer: f64,
    pub dt: f64,
    pub return_sequences: bool,
}

/// KerasSpiking's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the class of that name")]
pub enum FilterKind {
    Lowpass,
    Alpha,
}

impl LayerKind for Filter {
    fn names() -> &'static [&'static str] {
        &["Lowpass", "Alpha"]
    }

    fn origin() -> Origin {
        Origin::KerasSpiking
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.keeps_state() {
            return Ok(None);
        }
        // Keras makes an initializer object of the number that the user gave.
        let tau = args.get("tau_initializer").and_then(|v| {
            let inner = v.get("config").and_then(|c| c.get("value")).unwrap_or(v);
            inner.as_f64().filter(|x| x.is_finite())
        });
        Ok(Some(Self {
            kind: match name {
                "Alpha" => FilterKind::Alpha,
                _ => FilterKind::Lowpass,
            },
            dt: args.number("dt", DEFAULT_DT)?,
            return_sequences: args.flag("return_sequences", true)?,
            tau_initializer: tau.ok_or_else(|| args.wrong("tau_initializer", "a number"))?,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let items = input.map(|input| input.iter().copied().skip(1));
        let shape = match self.kind {
            FilterKind::Lowpass => items.map(|axes| [Some(1)].into_iter().chain(axes).collect()),
            FilterKind::Alpha => {
                let size = |mut axes: std::iter::Skip<_>| {
                    axes.try_fold(1usize, |n, d: Option<usize>| n.checked_mul(d?))
                };
                Some(vec![items.and_then(size)])
            }
        };
        let slot = |role| Slot {
            role,
            shape: shape.clone(),
            trainable: true,
        };
        Ok(["initial_level", "tau"].map(slot).into())
    }

    fn place(&self, slot: usize) -> (Cow<'static, str>, usize) {
        ("layer/cell/vars".into(), slot)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::temporal(inputs, self.return_sequences)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        filter(self, w, axes::only(inputs)?)
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        convertible(layer, options, self.return_sequences)
    }

    fn allow_fallback(&self) -> bool {
        false
    }

    /// Adds a node behind a connection that carries the layer's filter.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let class = type_name(call.layer().class_name);
        warn_of_dt(call, class, self.dt);
        let tau = (call.layer().weight("tau"))
            .and_then(|tau| tau.data().first())
            .map_or(f64::from(self.tau_initializer as f32), |&tau| {
                f64::from(tau)
            });
        let synapse = match self.kind {
            FilterKind::Lowpass => Synapse::Lowpass { tau },
            FilterKind::Alpha => Synapse::Alpha { tau },
        };
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                synapse: Some(Some(synapse)),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}

fn convertible(
    layer: LayerRef<'_>,
    options: &ConvertOptions,
    return_sequences: bool,
) -> Result<(), String> {
    let class = type_name(layer.class_name);
    if layer.trainable && !options.inference_only {
        return Err(format!(
            "Cannot convert a {class} layer to native Nengo objects unless \
             inference_only=True or layer.trainable=False"
        ));
    }
    let starts_at_zero = layer
        .weights
        .iter()
        .filter(|weight| weight.name != "tau")
        .all(|weight| weight.value.data().iter().all(|level| level.abs() <= 1e-8));
    if !starts_at_zero {
        return Err(format!(
            "Cannot convert a {class} layer to native Nengo objects with initial_level != 0 \
             (this probably means that training has been applied to the layer before \
             conversion)"
        ));
    }
    if let Some(tau) = layer.weight("tau")
        && let Some(&first) = tau.data().first()
        && !tau
            .data()
            .iter()
            .all(|&tau| (tau - first).abs() <= 1e-8 + 1e-5 * first.abs())
    {
        return Err(format!(
            "Cannot convert a {class} layer to native Nengo objects with different tau values \
             for each element (this probably means that training has been applied to the \
             layer before conversion)"
        ));
    }
    let mut arguments = Arguments::of(layer, options);
    arguments.require("return_sequences", python_bool(return_sequences), "True");
    arguments.verdict()
}

/// Filters each value over the steps, with the discretisation of a zero-order hold.
fn filter(layer: &Filter, w: Weights<'_>, x: &Tensor) -> Result<Tensor, Problem> {
    let &Filter {
        kind,
        tau_initializer,
        dt,
        return_sequences,
    } = layer;
    let [batch, steps, rest @ ..] = x.shape() else {
        return Err(Problem::Shape {
            needs: "the axes (batch, steps, ..)".to_owned(),
            found: x.shape().to_vec(),
        });
    };
    let n: usize = rest.iter().product();
    let each = |name: &'static str, otherwise: f32| -> Result<Vec<f32>, Problem> {
        match w.find(name) {
            None => Ok(vec![otherwise; n]),
            Some(values) => {
                check_len(name, n, values.len())?;
                Ok(values.data().to_vec())
            }
        }
    };
    let tau = each("tau", tau_initializer as f32)?;
    let level = each("initial_level", 0.0)?;
    let dt = dt as f32;
    let mut y = Vec::with_capacity(x.len());
    for b in 0..*batch {
        let mut slope = vec![0.0; n];
        let mut value = level.clone();
        for t in 0..*steps {
            let input = &x.data()[(b * steps + t) * n..][..n];
            for i in 0..n {
                let (tau, u) = (tau[i].max(1e-8), input[i]);
                let decay = (-dt / tau).exp();
                match kind {
                    FilterKind::Lowpass => value[i] = (1.0 - decay) * u + decay * value[i],
                    FilterKind::Alpha => {
                        let r = dt / tau;
                        let (s, v) = (slope[i], value[i]);
                        slope[i] = decay * ((1.0 - r) * s - r / tau * v) + decay * r / tau * u;
                        value[i] = decay * (dt * s + (1.0 + r) * v) + (1.0 - decay * (1.0 + r)) * u;
                    }
                }
            }
            if return_sequences || t + 1 == *steps {
                y.extend_from_slice(&value);
            }
        }
    }
    let mut shape = vec![*batch];
    if return_sequences {
        shape.push(*steps);
    }
    shape.extend(rest);
    axes::tensor(shape, y)
}
