//! Nengo's neuron types, and the parameters of their neurons.

use std::fmt;
use std::sync::Arc;

use super::rule::{Firing, Reset, Rule};

/// Numbers of a list that are shown; of more, both ends.
const SHOWN: usize = 8;

/// A parameter of an ensemble's neurons: one value, or one for each neuron.
#[derive(Clone, Debug, PartialEq)]
pub enum PerNeuron {
    /// The value of all neurons.
    Same(f32),
    /// The value of each neuron.
    Each(Arc<[f32]>),
}

impl PerNeuron {
    /// The value of all neurons; `None` if they differ.
    #[must_use]
    pub fn uniform(&self) -> Option<f32> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => {
                let (first, rest) = values.split_first()?;
                rest.iter().all(|value| value == first).then_some(*first)
            }
        }
    }

    /// The value of one neuron; NaN for a neuron that has none.
    #[must_use]
    pub fn at(&self, neuron: usize) -> f32 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.get(neuron).copied().unwrap_or(f32::NAN),
        }
    }

    /// The number of neurons that have a value; `None` if it is the same for any number.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Same(_) => None,
            Self::Each(values) => Some(values.len()),
        }
    }

    /// The values of the neurons at these places, in their order.
    #[must_use]
    pub fn ordered(&self, places: &[usize]) -> Self {
        match self {
            Self::Same(value) => Self::Same(*value),
            Self::Each(_) => Self::Each(places.iter().map(|&at| self.at(at)).collect()),
        }
    }
}

impl From<f32> for PerNeuron {
    fn from(value: f32) -> Self {
        Self::Same(value)
    }
}

impl PartialEq<f32> for PerNeuron {
    fn eq(&self, other: &f32) -> bool {
        self.uniform() == Some(*other)
    }
}

impl fmt::Display for PerNeuron {
    /// One number, or a list of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(value) => write!(f, "{value}"),
            Self::Each(values) if values.len() <= SHOWN => {
                f.debug_list().entries(values.iter()).finish()
            }
            Self::Each(values) => {
                let last = values.last().copied().unwrap_or(f32::NAN);
                write!(f, "[{}, {}, ... {last}]", self.at(0), self.at(1))
            }
        }
    }
}

/// Values that a parameter may have, as Nengo limits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum Range {
    Any,
    AboveZero,
    FromZero,
    UpToZero,
}

/// A parameter of a neuron type, by its name in Nengo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter<V> {
    /// Nengo's name.
    pub name: &'static str,
    /// The value.
    pub value: V,
    /// Nengo's default.
    pub default: f32,
    /// The values that it may have.
    pub range: Range,
}

/// Makes [`NeuronType`] of a table: Nengo's name and the one on command lines, and the range and default of each
/// parameter, in Nengo's order.
macro_rules! neuron_types {
    ($(
        $(#[$doc:meta])*
        $kind:ident($name:literal, $short:literal) $([$base:ident])? $((rule $rule:ident))? {
            $($parameter:ident: $range:ident = $default:expr),+
        }
    )+) => {
        /// A neuron's way from current J to output. `amplitude` scales the output. Its parameters are numbers
        /// or, in an [`Ensemble`](super::Ensemble), [`PerNeuron`].
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each is the Nengo parameter of that name")]
        #[non_exhaustive]
        pub enum NeuronType<P = f32> {
            $(
                $(#[$doc])*
                $kind { $($base: Box<NeuronType<P>>,)? $($rule: Rule,)? $($parameter: P),+ },
            )+
        }

        impl NeuronType {
            /// Every type of Nengo's, with Nengo's defaults.
            #[must_use]
            pub fn all() -> Vec<Self> {
                let mut all = vec![$(Self::$kind {
                    $($base: Box::new(Self::RectifiedLinear { amplitude: 1.0 }),)?
                    $($rule: Rule::default(),)?
                    $($parameter: $default),+
                }),+];
                all.retain(|neurons| neurons.rule().is_none());
                all
            }
        }

        impl<P> NeuronType<P> {
            /// Nengo's class name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind { .. } => $name),+
                }
            }

            /// The name on command lines and in configurations.
            #[must_use]
            pub fn short_name(&self) -> &'static str {
                match self {
                    $(Self::$kind { .. } => $short),+
                }
            }

            /// The same type with `f` of each parameter.
            pub fn map<Q>(&self, f: &mut dyn FnMut(&P) -> Q) -> NeuronType<Q> {
                match self {
                    $(Self::$kind { $($base,)? $($rule,)? $($parameter),+ } => NeuronType::$kind {
                        $($base: Box::new($base.map(f)),)?
                        $($rule: *$rule,)?
                        $($parameter: f($parameter)),+
                    }),+
                }
            }

            /// The parameters, in Nengo's order; without those of a base.
            #[must_use]
            pub fn parameters(&self) -> Vec<Parameter<&P>> {
                match self {
                    $(Self::$kind { $($parameter,)+ .. } => vec![$(Parameter {
                        name: stringify!($parameter),
                        value: $parameter,
                        default: $default,
                        range: Range::$range,
                    }),+]),+
                }
            }

            /// The parameters, to change them.
            pub fn parameters_mut(&mut self) -> Vec<Parameter<&mut P>> {
                match self {
                    $(Self::$kind { $($parameter,)+ .. } => vec![$(Parameter {
                        name: stringify!($parameter),
                        value: $parameter,
                        default: $default,
                        range: Range::$range,
                    }),+]),+
                }
            }
        }
    };
}

neuron_types! {
    /// max(J, 0).
    RectifiedLinear("RectifiedLinear", "rate-relu") {
        amplitude: AboveZero = 1.0
    }
    /// V += max(J, 0) dt; n = floor(V) spikes; V -= n.
    SpikingRectifiedLinear("SpikingRectifiedLinear", "spiking-relu") {
        amplitude: AboveZero = 1.0
    }
    /// max(J, 0) - negative_slope max(-J, 0).
    LeakyRelu("LeakyReLU", "rate-leaky-relu") {
        negative_slope: Any = 0.3, amplitude: AboveZero = 1.0
    }
    SpikingLeakyRelu("SpikingLeakyReLU", "spiking-leaky-relu") {
        negative_slope: Any = 0.3, amplitude: AboveZero = 1.0
    }
    Sigmoid("Sigmoid", "rate-sigmoid") {
        tau_ref: AboveZero = 0.0025
    }
    Tanh("Tanh", "rate-tanh") {
        tau_ref: AboveZero = 0.0025
    }
    LifRate("LIFRate", "lif-rate") {
        tau_rc: AboveZero = 0.02, tau_ref: FromZero = 0.002, amplitude: AboveZero = 1.0
    }
    Lif("LIF", "lif") {
        tau_rc: AboveZero = 0.02, tau_ref: FromZero = 0.002, min_voltage: UpToZero = 0.0,
        amplitude: AboveZero = 1.0
    }
    AdaptiveLif("AdaptiveLIF", "adaptive-lif") {
        tau_n: AboveZero = 1.0, inc_n: Any = 0.01, tau_rc: AboveZero = 0.02, tau_ref: FromZero = 0.002,
        min_voltage: UpToZero = 0.0, amplitude: AboveZero = 1.0
    }
    /// The floor rule on any rate type.
    RegularSpiking("RegularSpiking", "regular-spiking") [base] {
        amplitude: AboveZero = 1.0
    }
    PoissonSpiking("PoissonSpiking", "poisson-spiking") [base] {
        amplitude: AboveZero = 1.0
    }
    StochasticSpiking("StochasticSpiking", "stochastic-spiking") [base] {
        amplitude: AboveZero = 1.0
    }
    /// A current-based leaky integrator in steps, as NIR's files describe them. `rule` orders the step; `decay` and
    /// `synapse_decay` are what is left of voltage and current after a step. A spike is 1, whatever the step's length.
    CubaLif("CubaLIF", "cuba-lif") (rule rule) {
        decay: Any = 0.9, gain: Any = 1.0, leak: Any = 0.0, threshold: Any = 1.0, reset: Any = 0.0,
        synapse_decay: Any = 0.0, synapse_gain: Any = 1.0, floor: UpToZero = f32::NEG_INFINITY, start: Any = 0.0
    }
}

impl<P> NeuronType<P> {
    /// `true` if the output is a function of the present current alone: such neurons never spike.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        matches!(
            self,
            Self::RectifiedLinear { .. }
                | Self::LeakyRelu { .. }
                | Self::Sigmoid { .. }
                | Self::Tanh { .. }
                | Self::LifRate { .. }
        )
    }

    /// The order of the step of [`CubaLif`](Self::CubaLif); `None` of Nengo's types, which have but one.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        match self {
            Self::CubaLif { rule, .. } => Some(rule),
            _ => None,
        }
    }

    /// `true` if the output is spikes.
    #[must_use]
    pub fn spikes(&self) -> bool {
        match self.rule() {
            Some(rule) => rule.firing != Firing::Never,
            None => !self.is_rate(),
        }
    }

    /// `true` if neurons have a voltage, which they keep from step to step.
    #[must_use]
    pub fn has_voltage(&self) -> bool {
        self.integrates() || self.rule().is_some()
    }

    /// `true` for Nengo's types with a voltage.
    pub(crate) fn integrates(&self) -> bool {
        matches!(
            self,
            Self::SpikingRectifiedLinear { .. }
                | Self::SpikingLeakyRelu { .. }
                | Self::Lif { .. }
                | Self::AdaptiveLif { .. }
                | Self::RegularSpiking { .. }
        )
    }

    /// The type whose rate neurons of this one spike by, if they do.
    #[must_use]
    pub fn base(&self) -> Option<&Self> {
        match self {
            Self::RegularSpiking { base, .. }
            | Self::PoissonSpiking { base, .. }
            | Self::StochasticSpiking { base, .. } => Some(base),
            _ => None,
        }
    }

    /// The base, to change it.
    pub fn base_mut(&mut self) -> Option<&mut Self> {
        match self {
            Self::RegularSpiking { base, .. }
            | Self::PoissonSpiking { base, .. }
            | Self::StochasticSpiking { base, .. } => Some(base),
            _ => None,
        }
    }

    /// The amplitude, to change it; Sigmoid and Tanh have none.
    pub fn amplitude_mut(&mut self) -> Option<&mut P> {
        let parameters = self.parameters_mut();
        let amplitude = parameters.into_iter().find(|p| p.name == "amplitude");
        amplitude.map(|p| p.value)
    }
}

impl<P: PartialEq<f32>> NeuronType<P> {
    /// NIR's name of the equation that neurons with a rule have; `None` of Nengo's types.
    fn equation(&self) -> Option<&'static str> {
        let Self::CubaLif {
            rule, decay, leak, ..
        } = self
        else {
            return None;
        };
        let names = if rule.charge.is_some() {
            ["CubaLIF", "CubaLI"]
        } else if *decay == 0.0 && rule.reset == Reset::Nothing {
            ["Threshold", "LI"]
        } else if *decay == 1.0 && *leak == 0.0 {
            ["IF", "I"]
        } else {
            ["LIF", "LI"]
        };
        Some(names[usize::from(rule.firing == Firing::Never)])
    }
}

impl NeuronType<PerNeuron> {
    /// The type with the parameters of all neurons; `None` if they differ.
    #[must_use]
    pub fn uniform(&self) -> Option<NeuronType> {
        let mut same = true;
        let found = self.map(&mut |parameter| {
            parameter.uniform().unwrap_or_else(|| {
                same = false;
                0.0
            })
        });
        same.then_some(found)
    }

    /// The type with the parameters of one neuron.
    #[must_use]
    pub fn at(&self, neuron: usize) -> NeuronType {
        self.map(&mut |parameter| parameter.at(neuron))
    }
}

impl From<NeuronType> for NeuronType<PerNeuron> {
    fn from(neuron_type: NeuronType) -> Self {
        neuron_type.map(&mut |&parameter| parameter.into())
    }
}

impl<P: fmt::Display + PartialEq<f32>> fmt::Display for NeuronType<P> {
    /// Writes it as Nengo does: the arguments that differ from Nengo's defaults, such as
    /// `SpikingRectifiedLinear(amplitude=0.01)`. A leaky slope is always shown. Neurons with a rule have NIR's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base().map(|base| format!("base_type={base}"));
        let name = self.equation().unwrap_or(self.name());
        // Their names say the decay.
        let fixed = ["IF", "I", "Threshold"].contains(&name);
        let shown = |p: &Parameter<&P>| {
            (*p.value != p.default || p.name == "negative_slope") && !(fixed && p.name == "decay")
        };
        let parameters = self.parameters().into_iter().filter(shown);
        let own = parameters.map(|p| format!("{}={}", p.name, p.value));
        let arguments: Vec<String> = base.into_iter().chain(own).collect();
        write!(f, "{name}({})", arguments.join(", "))
    }
}
