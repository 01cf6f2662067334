//! Lowpass and Alpha of keras_spiking.

use super::prelude::*;
use super::spiking_activation::{DEFAULT_DT, python_bool, warn_of_dt};
use crate::keras::class::Origin;
use crate::keras::class::type_name;
use crate::network::Synapse;
use crate::ops::check_len;

/// keras_spiking.Lowpass. Weights: initial_level, tau.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Lowpass {
    pub tau_initializer: f64,
    pub dt: f64,
    pub return_sequences: bool,
}

impl LayerKind for Lowpass {
    fn names() -> &'static [&'static str] {
        &["Lowpass"]
    }

    fn origin() -> Origin {
        Origin::KerasSpiking
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some((tau_initializer, dt, return_sequences)) = read(args)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            tau_initializer,
            dt,
            return_sequences,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        Ok(slots(input.map(|input| {
            let axes = input.iter().copied().skip(1);
            [Some(1)].into_iter().chain(axes).collect()
        })))
    }

    fn group(&self) -> &'static str {
        "layer/cell/vars"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::temporal(inputs, self.return_sequences)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (dt, tau) = (self.dt, self.tau_initializer);
        filter(Filter::Lowpass, tau, dt, self.return_sequences, w, x)
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

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        convert(call, "Lowpass", self.dt, self.tau_initializer, |tau| {
            Synapse::Lowpass { tau }
        })
    }
}

/// keras_spiking.Alpha. Weights: initial_level, tau.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Alpha {
    pub tau_initializer: f64,
    pub dt: f64,
    pub return_sequences: bool,
}

impl LayerKind for Alpha {
    fn names() -> &'static [&'static str] {
        &["Alpha"]
    }

    fn origin() -> Origin {
        Origin::KerasSpiking
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some((tau_initializer, dt, return_sequences)) = read(args)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            tau_initializer,
            dt,
            return_sequences,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let size = input.map(|input| {
            let axes = input.iter().skip(1);
            axes.copied().try_fold(1usize, |n, d| n.checked_mul(d?))
        });
        Ok(slots(Some(vec![size.flatten()])))
    }

    fn group(&self) -> &'static str {
        "layer/cell/vars"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::temporal(inputs, self.return_sequences)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (dt, tau) = (self.dt, self.tau_initializer);
        filter(Filter::Alpha, tau, dt, self.return_sequences, w, x)
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

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        convert(call, "Alpha", self.dt, self.tau_initializer, |tau| {
            Synapse::Alpha { tau }
        })
    }
}

/// The time constant, the step and whether all steps are returned; `None` if there is an argument that
/// the layers here do not have.
fn read(args: &Args<'_>) -> Result<Option<(f64, f64, bool)>, String> {
    if args.keeps_state() {
        return Ok(None);
    }
    let dt = args.number("dt", DEFAULT_DT)?;
    let return_sequences = args.flag("return_sequences", true)?;
    // Keras makes an initializer object of the number that the user gave.
    let tau = args.get("tau_initializer").and_then(|v| {
        let inner = v.get("config").and_then(|c| c.get("value")).unwrap_or(v);
        inner.as_f64().filter(|x| x.is_finite())
    });
    let tau = tau.ok_or_else(|| args.wrong("tau_initializer", "a number"))?;
    Ok(Some((tau, dt, return_sequences)))
}

/// Both weights have this shape.
fn slots(shape: Option<Shape>) -> Vec<Slot> {
    ["initial_level", "tau"]
        .map(|role| Slot {
            role,
            shape: shape.clone(),
            trainable: true,
        })
        .into()
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

/// Adds a node behind a connection that carries the layer's filter.
fn convert(
    call: &mut LayerCall<'_, '_>,
    class: &str,
    dt: f64,
    tau_initializer: f64,
    synapse: impl FnOnce(f64) -> Synapse,
) -> Result<Vec<Pre>, ConvertError> {
    warn_of_dt(call, class, dt);
    let tau = (call.layer().weight("tau"))
        .and_then(|tau| tau.data().first())
        .map_or(f64::from(tau_initializer as f32), |&tau| f64::from(tau));
    let object = call.add_object(None, None)?;
    call.connect(
        object,
        Connect {
            synapse: Some(Some(synapse(tau))),
            ..Connect::default()
        },
    )?;
    Ok(vec![object.pre])
}

/// KerasSpiking's filters.
#[derive(Clone, Copy)]
enum Filter {
    Lowpass,
    Alpha,
}

/// Filters each value over the steps, with the discretisation of a zero-order hold.
fn filter(
    filter: Filter,
    tau_initializer: f64,
    dt: f64,
    return_sequences: bool,
    w: Weights<'_>,
    x: &Tensor,
) -> Result<Tensor, Problem> {
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
                match filter {
                    Filter::Lowpass => value[i] = (1.0 - decay) * u + decay * value[i],
                    Filter::Alpha => {
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
