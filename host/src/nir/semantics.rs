//! Semantics of a NIR graph: what its file leaves open, as choices, and the presets of frameworks.

use std::fmt;

use super::error::Problem;
use super::graph::{Graph, NeuronKind, Neurons, Node, Values};
use crate::network::{Charge, Firing, Reset};

/// Choices that a NIR file leaves open. Each decides which spikes a network has.
#[derive(Clone, Debug, PartialEq)]
pub struct Semantics {
    /// Seconds per step.
    pub dt: f64,
    /// Decay of what leaks.
    pub scheme: Scheme,
    /// Gain of the input.
    pub gain: Gain,
    /// The current that charges the voltage of neurons with a current of their own.
    pub current: Charge,
    /// The comparison with the threshold.
    pub fires: Firing,
    /// Several spikes in a step.
    pub counts: bool,
    /// The voltage after a spike.
    pub reset: Reset,
    /// The reset comes in the step after the spike.
    pub late: bool,
    /// A late reset to a voltage leaves the input of its step.
    pub keeps_input: bool,
    /// A neuron that is above its threshold after a reset needs twice the threshold next.
    pub residual_blocks: bool,
    /// The lowest voltage, in thresholds; minus infinity for none.
    pub floor: f64,
    /// The voltage before the first step.
    pub start: Start,
    /// The bias of a node that closes a cycle comes in the first step, too.
    pub first_bias: bool,
}

/// Decay of what leaks in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// 1 - dt / tau.
    Euler,
    /// exp(-dt / tau).
    Exact,
}

/// Gain of a neuron's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gain {
    /// r (1 - decay), as the equation has it.
    File,
    /// 1, whatever the file says.
    One,
}

/// The voltage before the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Start {
    Zero,
    Reset,
}

impl Default for Semantics {
    fn default() -> Self {
        Self {
            dt: 1e-4,
            scheme: Scheme::Euler,
            gain: Gain::File,
            current: Charge::First,
            fires: Firing::Above,
            counts: false,
            reset: Reset::Zero,
            late: false,
            keeps_input: true,
            residual_blocks: false,
            floor: f64::NEG_INFINITY,
            start: Start::Zero,
            first_bias: true,
        }
    }
}

/// Semantics of a framework, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Name on the command line.
    pub name: &'static str,
    /// The networks that it is right for.
    pub of: &'static str,
    /// The choices.
    pub semantics: Semantics,
}

/// The presets.
#[must_use]
pub fn presets() -> Vec<Preset> {
    let nir = Semantics::default();
    let subtract = Semantics {
        reset: Reset::Subtract,
        ..nir.clone()
    };
    let late = Semantics {
        late: true,
        ..nir.clone()
    };
    let milli = Semantics {
        dt: 1e-3,
        ..nir.clone()
    };
    let counting = Semantics {
        scheme: Scheme::Exact,
        fires: Firing::From,
        counts: true,
        ..subtract.clone()
    };
    let preset = |name, of, semantics| Preset {
        name,
        of,
        semantics,
    };
    vec![
        preset(
            "nir",
            "the equations as they stand, reset to v_reset at once",
            nir.clone(),
        ),
        preset(
            "snntorch",
            "snnTorch's Leaky with its defaults: subtraction a step late",
            Semantics {
                late: true,
                ..subtract.clone()
            },
        ),
        preset(
            "snntorch-nodelay",
            "snnTorch with reset_delay=False",
            Semantics {
                residual_blocks: true,
                ..subtract
            },
        ),
        preset(
            "snntorch-zero",
            "snnTorch's Leaky with reset_mechanism=\"zero\"",
            late.clone(),
        ),
        preset(
            "snntorch-r-zero",
            "snnTorch's RLeaky, Synaptic and RSynaptic with reset_mechanism=\"zero\"",
            Semantics {
                keeps_input: false,
                ..late
            },
        ),
        preset(
            "norse",
            "Norse's box cells, and what its from_nir builds",
            Semantics {
                first_bias: false,
                ..milli.clone()
            },
        ),
        preset(
            "norse-lif",
            "Norse's LIFCell and LIFRecurrentCell",
            Semantics {
                current: Charge::Jump,
                ..milli.clone()
            },
        ),
        preset(
            "sinabs",
            "sinabs: as many spikes as fit, time in steps",
            Semantics {
                dt: 1.0,
                ..counting.clone()
            },
        ),
        preset(
            "spikingjelly",
            "SpikingJelly: voltages start at v_reset",
            Semantics {
                fires: Firing::From,
                start: Start::Reset,
                ..nir
            },
        ),
        preset(
            "rockpool",
            "Rockpool's LIFTorch",
            Semantics {
                dt: 1e-3,
                gain: Gain::One,
                current: Charge::Decayed,
                ..counting
            },
        ),
    ]
}

/// A choice by its name: its value in words, and what it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Name on the command line.
    pub key: &'static str,
    /// Value, as it is set.
    pub value: String,
    /// Effect, in words.
    pub decides: &'static str,
    /// `false` if it changes nothing in a network.
    pub matters: bool,
}

/// The choices of a setting with names.
macro_rules! named {
    ($field:expr, $value:expr, $($name:literal => $variant:expr),+) => {
        match $value {
            $($name => $field = $variant,)+
            _ => return Err([$($name),+].join(", ")),
        }
    };
}

fn truth(value: &str) -> Result<bool, String> {
    match value {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err("true, false".to_owned()),
    }
}

impl Semantics {
    /// Sets a choice by its name.
    ///
    /// # Errors
    /// [`Problem::Choice`], which says what there is.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        let wrong = |there: String| {
            Problem::Choice(format!(
                "{key}={value} is no choice of semantics; {key} takes {there}"
            ))
        };
        self.choose(key, value).map_err(|there| {
            if there.is_empty() {
                let keys: Vec<&str> = Self::default()
                    .choices(None)
                    .iter()
                    .map(|c| c.key)
                    .collect();
                Problem::Choice(format!(
                    "{key:?} is no choice of semantics; there are {}",
                    keys.join(", ")
                ))
            } else {
                wrong(there)
            }
        })
    }

    /// Sets a choice; the error lists the values, and is empty if there is no such key.
    fn choose(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "dt" => {
                let seconds = value
                    .parse()
                    .ok()
                    .filter(|s: &f64| s.is_finite() && *s > 0.0);
                self.dt = seconds.ok_or("a number of seconds above 0")?;
            }
            "scheme" => {
                named!(self.scheme, value, "euler" => Scheme::Euler, "exact" => Scheme::Exact)
            }
            "gain" => named!(self.gain, value, "file" => Gain::File, "one" => Gain::One),
            "current" => {
                named!(self.current, value, "first" => Charge::First, "last" => Charge::Last,
                "jump" => Charge::Jump, "decayed" => Charge::Decayed)
            }
            "fires" => named!(self.fires, value, "above" => Firing::Above, "from" => Firing::From),
            "counts" => self.counts = truth(value)?,
            "reset" => {
                named!(self.reset, value, "zero" => Reset::Zero, "subtract" => Reset::Subtract,
                "none" => Reset::Nothing)
            }
            "reset-at" => named!(self.late, value, "now" => false, "next" => true),
            "keeps-input" => self.keeps_input = truth(value)?,
            "residual-blocks" => self.residual_blocks = truth(value)?,
            "floor" => {
                self.floor = match value {
                    "none" => f64::NEG_INFINITY,
                    _ => {
                        let floor = value.parse().ok().filter(|f: &f64| *f <= 0.0);
                        floor.ok_or("none, or a number of thresholds that is not above 0")?
                    }
                }
            }
            "start" => named!(self.start, value, "zero" => Start::Zero, "reset" => Start::Reset),
            "first-bias" => self.first_bias = truth(value)?,
            _ => return Err(String::new()),
        }
        Ok(())
    }

    /// The choices in words, and for a network, whether they matter there.
    #[must_use]
    pub fn choices(&self, of: Option<&Traits>) -> Vec<Choice> {
        let t = of.copied().unwrap_or(Traits::ALL);
        let choice = |key, value: &dyn fmt::Display, matters, decides| Choice {
            key,
            value: value.to_string(),
            decides,
            matters,
        };
        let word = |truth| if truth { "true" } else { "false" };
        let zero = self.reset == Reset::Zero;
        let floor: &dyn fmt::Display = if self.floor.is_finite() {
            &self.floor
        } else {
            &"none"
        };
        vec![
            choice(
                "dt",
                &self.dt,
                t.leaks || t.delays || self.gain == Gain::File,
                "seconds per step: every decay and gain",
            ),
            choice(
                "scheme",
                &self.scheme,
                t.leaks,
                "decay: euler 1 - dt/tau, exact exp(-dt/tau)",
            ),
            choice(
                "gain",
                &self.gain,
                true,
                "gain of the input: file r (1 - decay), one 1",
            ),
            choice(
                "current",
                &self.current,
                t.currents,
                "which current charges the voltage, before or after its own decay",
            ),
            choice(
                "fires",
                &self.fires,
                t.spikes,
                "a spike above the threshold, or from it on",
            ),
            choice(
                "counts",
                &word(self.counts),
                t.spikes,
                "several spikes in a step",
            ),
            choice(
                "reset",
                &self.reset,
                t.spikes,
                "the voltage after a spike: v_reset, or less the threshold",
            ),
            choice(
                "reset-at",
                &if self.late { "next" } else { "now" },
                t.spikes,
                "the reset at once, or in the next step",
            ),
            choice(
                "keeps-input",
                &word(self.keeps_input),
                t.spikes && zero && self.late,
                "a late reset to zero leaves its step's input",
            ),
            choice(
                "residual-blocks",
                &word(self.residual_blocks),
                t.spikes,
                "above the threshold after a reset, twice the threshold next",
            ),
            choice(
                "floor",
                floor,
                t.spikes,
                "the lowest voltage, in thresholds",
            ),
            choice(
                "start",
                &self.start,
                t.resets,
                "the voltage before the first step: 0 or v_reset",
            ),
            choice(
                "first-bias",
                &word(self.first_bias),
                t.cycle_bias,
                "a cycle brings its bias in the first step, too",
            ),
        ]
    }

    /// Decay in a step, for a time constant in seconds.
    pub(super) fn decay(&self, tau: f64) -> f64 {
        match self.scheme {
            Scheme::Euler => 1.0 - self.dt / tau,
            Scheme::Exact => (-self.dt / tau).exp(),
        }
    }
}

impl fmt::Display for Semantics {
    /// Writes all choices as the command line takes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, choice) in self.choices(None).iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}={}", choice.key, choice.value)?;
        }
        Ok(())
    }
}

macro_rules! words {
    ($($kind:ident { $($variant:ident => $word:literal),+ })+) => {
        $(impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word),+
                })
            }
        })+
    };
}

words! {
    Scheme { Euler => "euler", Exact => "exact" }
    Gain { File => "file", One => "one" }
    Start { Zero => "zero", Reset => "reset" }
    Charge { First => "first", Last => "last", Jump => "jump", Decayed => "decayed" }
    Firing { Never => "never", Above => "above", From => "from" }
    Reset { Zero => "zero", Subtract => "subtract", Nothing => "none" }
}

/// Traits of a graph on which choices depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    pub(super) leaks: bool,
    pub(super) currents: bool,
    pub(super) spikes: bool,
    pub(super) delays: bool,
    /// A voltage to reset to that is not zero.
    pub(super) resets: bool,
    /// A bias in a cycle.
    pub(super) cycle_bias: bool,
}

impl Traits {
    const ALL: Self = Self {
        leaks: true,
        currents: true,
        spikes: true,
        delays: true,
        resets: true,
        cycle_bias: true,
    };

    /// The traits of a graph.
    ///
    /// # Errors
    /// [`Problem`], if its nodes have no order.
    pub fn of(graph: &Graph) -> Result<Self, Problem> {
        let schedule = graph.schedule()?;
        let neurons = || {
            graph.nodes.values().filter_map(|node| match node {
                Node::Neurons(neurons) => Some(neurons),
                _ => None,
            })
        };
        let resets = |n: &Neurons| n.v_reset.as_ref().is_some_and(|v| v.uniform() != Some(0.0));
        Ok(Self {
            leaks: neurons().any(|n| n.tau.is_some()),
            currents: neurons().any(|n| n.tau_syn.is_some()),
            spikes: neurons().any(|n| n.kind.spikes()),
            delays: (graph.nodes.values()).any(|node| matches!(node, Node::Delay { .. })),
            resets: neurons().any(resets),
            cycle_bias: (schedule.delayed.iter())
                .any(|(from, _)| graph.nodes[*from].bias().is_some()),
        })
    }
}

/// The writer of a file, as its numbers betray it.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// The preset of the writer.
    pub preset: Preset,
    /// Reason for it, a sentence.
    pub reason: String,
    /// Choices that the file itself fixes, by name; others rest on the guess.
    pub fixed: Vec<&'static str>,
    /// Choices that are still open, a sentence; empty if none is.
    pub open: &'static str,
}

/// Equality, as exact as float32 is.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}

/// The ratio of two parameters, if it is the same in all elements.
fn ratio(above: &Values, below: &Values) -> Option<f64> {
    let size = above.data.len().max(below.data.len());
    let (above, below) = (above.spread(&[size])?, below.spread(&[size])?);
    let mut ratios = above.iter().zip(&below).map(|(a, b)| a / b);
    let first = ratios.next()?;
    ratios.all(|other| near(other, first)).then_some(first)
}

/// The step for which r = tau exp(-dt / tau) / dt, as Rockpool writes it.
fn rockpool_step(neurons: &Neurons) -> Option<f64> {
    let (r, tau) = (neurons.r.uniform()?, neurons.tau.as_ref()?.uniform()?);
    // r u = exp(-u) for u = dt / tau, by Newton's method.
    let mut u = 1.0 / (1.0 + r.max(0.0));
    for _ in 0..32 {
        u -= (r * u - (-u).exp()) / (r + (-u).exp());
    }
    // Files hold float32, and steps are round.
    let dt = u * tau;
    let digits = 10f64.powf(dt.log10().floor() - 4.0);
    let round = (dt / digits).round() * digits;
    (dt.is_finite() && dt > 0.0).then_some(if near(round, dt) { round } else { dt })
}

/// Guesses who wrote a graph, from its numbers and names. Nothing in a file says it.
#[must_use]
pub fn guess(graph: &Graph) -> Guess {
    let neurons: Vec<(&String, &Neurons)> = (graph.nodes.iter())
        .filter_map(|(name, node)| match node {
            Node::Neurons(neurons) => Some((name, neurons)),
            _ => None,
        })
        .collect();
    let named = |name: &str, dt: Option<f64>| {
        let mut preset = presets().into_iter().find(|p| p.name == name);
        if let (Some(preset), Some(dt)) = (&mut preset, dt) {
            preset.semantics.dt = dt;
        }
        preset.unwrap_or_else(|| Preset {
            name: "nir",
            of: "",
            semantics: Semantics::default(),
        })
    };
    let found = |name, dt: Option<f64>, reason: &str, open| Guess {
        preset: named(name, dt),
        reason: reason.to_owned(),
        fixed: if dt.is_some() { vec!["dt"] } else { Vec::new() },
        open,
    };
    if graph
        .nodes
        .keys()
        .any(|name| name.contains("LIFTorch") || name.contains("LIFNeuronTorch"))
    {
        let dt = neurons.iter().find_map(|(_, n)| rockpool_step(n));
        return found(
            "rockpool",
            dt,
            "nodes are called as Rockpool calls them, and r = tau exp(-dt/tau) / dt",
            "LIFTorch's bias and w_rec are not in files of Rockpool 3.1; a limit of one spike a step is counts=false",
        );
    }
    let all = |test: &dyn Fn(&Neurons) -> bool| {
        !neurons.is_empty() && neurons.iter().all(|(_, n)| test(n))
    };
    let ones = |values: &Values| values.uniform() == Some(1.0);
    let jelly = graph.nodes.keys().any(|name| {
        let digits = name.strip_prefix('_').unwrap_or("");
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    // v = decay v + x: r = tau / dt.
    let step = neurons
        .iter()
        .find_map(|(_, n)| ratio(n.tau.as_ref()?, &n.r));
    let steps_agree = |dt: f64| {
        neurons.iter().all(|(_, n)| match (&n.tau, &n.tau_syn) {
            (Some(tau), syn) => {
                ratio(tau, &n.r).is_some_and(|other| near(other, dt))
                    && syn
                        .as_ref()
                        .is_none_or(|syn| ratio(syn, &n.w_in).is_some_and(|other| near(other, dt)))
            }
            (None, _) => n.r.uniform().is_some_and(|r| near(r * dt, 1.0) || r == 1.0),
        })
    };
    let integrators = |r: f64| {
        all(&|n| matches!(n.kind, NeuronKind::If | NeuronKind::I) && n.r.uniform() == Some(r))
    };
    if jelly {
        return found(
            "spikingjelly",
            Some(1e-4),
            "nodes are called _0, _1 and so on, as SpikingJelly's are, whose exporter has a step of 0.1 ms",
            "soft resets are refused by its exporter",
        );
    }
    let plain = all(&|n| ones(&n.r));
    if let Some(dt) = step.filter(|dt| !plain && steps_agree(*dt)) {
        return found(
            "snntorch",
            Some(if near(dt, 1e-4) { 1e-4 } else { dt }),
            "r = tau / dt in all neurons, as snnTorch writes it",
            "snnTorch writes the same file for four resets: to zero or by subtraction, at once or a step late",
        );
    }
    if integrators(1e4) {
        return found(
            "spikingjelly",
            Some(1e-4),
            "r = 1 / dt of IF neurons, as SpikingJelly writes it with a step of 0.1 ms",
            "",
        );
    }
    let old = all(&|n| n.v_reset.is_none());
    let in_steps = all(&|n| ones(&n.r) && n.tau.as_ref().is_none_or(|tau| tau.least() >= 1.0));
    if in_steps && old {
        return found(
            "sinabs",
            Some(1.0),
            "r = 1, time constants are in steps, and v_reset is not there, as sinabs writes it",
            "norm_input=False, tau_syn and min_v_mem are not in files of sinabs: gain=one, floor=-1",
        );
    }
    if in_steps {
        return found(
            "nir",
            Some(1.0),
            "r = 1 and time constants are in steps",
            "the reset",
        );
    }
    if all(&|n| ones(&n.r) && n.tau.is_some()) && old {
        let cuba = all(&|n| n.tau_syn.is_some() && ones(&n.w_in));
        return found(
            if cuba { "norse-lif" } else { "norse" },
            None,
            "r = 1 and v_reset is not there, as Norse writes it",
            "no file of Norse says its step: give dt. Norse 1.1 multiplies time constants by the dt of to_nir()",
        );
    }
    found(
        "nir",
        None,
        "nothing in the file betrays its writer",
        "all choices: give the semantics, or match a recorded sample",
    )
}
