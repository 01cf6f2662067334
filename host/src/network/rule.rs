//! Order of a step of current-based neurons: all that their equations leave open.

/// Order in which [`CubaLif`](super::NeuronType::CubaLif) neurons take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The current that charges the voltage; `None` for neurons without a current of their own.
    pub charge: Option<Charge>,
    /// The comparison with the threshold.
    pub firing: Firing,
    /// Several spikes in a step, as often as the threshold fits into the voltage, instead of one.
    pub counts: bool,
    /// The voltage after a spike.
    pub reset: Reset,
    /// The reset comes in the step after the spike.
    pub late: bool,
    /// A late reset to a voltage leaves the input of its step; else that is lost.
    pub keeps_input: bool,
    /// A neuron that is above its threshold after a reset needs twice the threshold in the next step.
    pub residual_blocks: bool,
}

/// The current that charges the voltage in a step: I is the neuron's own, x its input times a gain, and a the
/// current's decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Charge {
    /// I = a I + x, then the voltage takes I.
    #[default]
    First,
    /// The voltage takes I as it was before, then I = a I + x.
    Last,
    /// The voltage takes I + x, then I = a (I + x).
    Jump,
    /// I = a (I + x), then the voltage takes I.
    Decayed,
}

/// Comparison of the voltage with the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Firing {
    /// Neurons that never spike, and put out their voltage.
    Never,
    /// A spike above the threshold.
    #[default]
    Above,
    /// A spike above the threshold and at it.
    From,
}

/// The voltage after a spike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reset {
    /// The reset voltage, usually zero.
    #[default]
    Zero,
    /// The voltage less the threshold, for each spike.
    Subtract,
    /// The same as before.
    Nothing,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            charge: None,
            firing: Firing::default(),
            counts: false,
            reset: Reset::default(),
            late: false,
            keeps_input: true,
            residual_blocks: false,
        }
    }
}
