//! The parts of the engine that firmware can be built without, and which of them a network needs.
//!
//! Each part is a feature of this package, and all are on by default. An engine that was built without a part
//! refuses the networks that need it. `tinyspike bench` builds a firmware of what one image needs and states its
//! size beside that of the whole engine's.

use core::fmt;

use tinyspike_shared::image::{
    Connection, Convolution, Ensemble, Image, Post, Pre, SourceMap, Transform, Width,
};
use tinyspike_shared::weights::Layout;

/// A part of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Part {
    /// Neurons other than integrate-and-fire, inboxes, and networks without end. [`Image::parse`] refuses them if
    /// it is missing.
    Dynamics,
    /// Convolutions.
    Convolutions,
    /// Matrices from an input.
    InputMatrices,
    /// Connections that see their source through a window or a table.
    SourceMaps,
    /// Inferences of more than one step.
    Steps,
    /// Ensembles whose potentials have 32 bits, and convolutions onto them or onto an output.
    Wide,
    /// On a processor with kernels in assembly, what these do not do. On others it is always there.
    Portable,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 7] = [
        Self::Dynamics,
        Self::Convolutions,
        Self::InputMatrices,
        Self::SourceMaps,
        Self::Steps,
        Self::Wide,
        Self::Portable,
    ];

    /// The feature of this package that brings it.
    #[must_use]
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Dynamics => "dynamics",
            Self::Convolutions => "convolutions",
            Self::InputMatrices => "input-matrices",
            Self::SourceMaps => "source-maps",
            Self::Steps => "steps",
            Self::Wide => "wide",
            Self::Portable => "portable",
        }
    }

    /// Whether this build has it.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Dynamics => cfg!(feature = "dynamics"),
            Self::Convolutions => cfg!(feature = "convolutions"),
            Self::InputMatrices => cfg!(feature = "input-matrices"),
            Self::SourceMaps => cfg!(feature = "source-maps"),
            Self::Steps => cfg!(feature = "steps"),
            Self::Wide => cfg!(feature = "wide"),
            Self::Portable => cfg!(any(feature = "portable", not(tinyspike_dsp))),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dynamics => "neurons and filters of exact networks",
            Self::Convolutions => "convolutions",
            Self::InputMatrices => "matrices from an input",
            Self::SourceMaps => "windows and tables of sources",
            Self::Steps => "inferences of more than one step",
            Self::Wide => "ensembles of 32 bits",
            Self::Portable => "kernels for shapes and layouts that have none in assembly",
        })
    }
}

/// Some parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

impl Parts {
    /// What this build has.
    pub const BUILT: Self = {
        let mut built = Self(0);
        let mut index = 0;
        while index < Part::ALL.len() {
            let part = Part::ALL[index];
            if part.is_built() {
                built = built.and(part, true);
            }
            index += 1;
        }
        built
    };
    /// All.
    pub const ALL: Self = Self((1 << Part::ALL.len()) - 1);

    /// What a network needs; `dsp` is whether it runs on the kernels for the DSP extension, and which parts
    /// they do not do counts then.
    #[must_use]
    pub fn needed<const E: usize, const C: usize>(image: &Image<'_, E, C>, dsp: bool) -> Self {
        let network = image.description();
        let dynamic = network.is_exact();
        let mut parts = Self(0)
            .and(Part::Dynamics, dynamic)
            .and(Part::Steps, dynamic || network.steps > 1);
        for e in &network.ensembles {
            parts = parts
                .and(Part::Wide, e.width == Width::I32)
                .and(Part::Portable, dsp && !is_whole(e));
        }
        for c in &network.connections {
            let width = match c.post {
                Post::Ensemble(e) => network.ensembles.get(usize::from(e)).map(|e| e.width),
                Post::Output(_) => None,
            };
            let width = width.unwrap_or(Width::I32);
            let input = match c.pre {
                Pre::Input(index) => network.inputs.get(usize::from(index)),
                Pre::Ensemble(_) => None,
            };
            let mapped = c.source != SourceMap::Direct;
            parts = parts.and(Part::SourceMaps, mapped);
            // Values that are not the counts of integrate-and-fire neurons.
            let odd = dynamic || mapped && input.is_some_and(|i| i.zero_point > 0);
            let quick = match (&c.transform, input) {
                (Transform::Dense(_), Some(_)) if !mapped => {
                    parts = parts.and(Part::InputMatrices, true);
                    c.layout == Layout::Crossed
                }
                (Transform::Dense(_), _) => c.layout == Layout::Quads && !odd,
                (Transform::Convolution(conv), input) => {
                    parts = parts
                        .and(Part::Convolutions, true)
                        .and(Part::Wide, width == Width::I32);
                    match input {
                        Some(input) if !mapped => {
                            width == Width::I16 && input.zero_point == 0 && in_windows(c, conv)
                        }
                        _ => scatters(c, conv, width),
                    }
                }
            };
            parts = parts.and(Part::Portable, dsp && !quick);
        }
        parts
    }

    /// These, and one more where `more` says so.
    #[must_use]
    const fn and(self, part: Part, more: bool) -> Self {
        Self(self.0 | (more as u8) << part as u8)
    }

    /// Their features.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        let parts = Part::ALL.into_iter().filter(move |&part| self.has(part));
        parts.map(Part::feature)
    }

    /// These without one.
    #[must_use]
    pub const fn without(self, part: Part) -> Self {
        Self(self.0 & !(1 << part as u8))
    }

    /// A number that no other parts have.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether a part is among them.
    #[must_use]
    pub const fn has(self, part: Part) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    /// The first of them that is not among others.
    #[must_use]
    pub fn beyond(self, others: Self) -> Option<Part> {
        let more = Self(self.0 & !others.0);
        Part::ALL.into_iter().find(|&part| more.has(part))
    }
}

/// Channels that the kernels for the DSP extension take at once: a group of neurons, and the channels of a
/// block of a convolution.
const GROUP: u32 = 8;
/// The most bytes of a window of an input that they copy.
const WINDOW: u32 = 256;

/// Whether they update all neurons of an ensemble.
fn is_whole(e: &Ensemble) -> bool {
    let group = match e.width {
        Width::I16 => GROUP,
        Width::I32 => GROUP / 2,
    };
    e.channels.is_multiple_of(group)
}

/// Whether they sum up what an input brings to 16 bits.
fn in_windows(c: &Connection, conv: &Convolution) -> bool {
    let [_, columns] = conv.kernel;
    let fours = (u32::from(columns) * u32::from(conv.input[2])).div_ceil(4);
    let inside = |axis: usize| {
        let last = u32::from(conv.output[axis]).saturating_sub(1) * u32::from(conv.stride[axis]);
        last + u32::from(conv.kernel[axis]) <= conv.input[axis].into()
    };
    c.layout == Layout::Windows
        && conv.is_plain()
        && conv.padding == [0, 0]
        && u32::from(conv.output[2]).is_multiple_of(GROUP)
        && inside(0)
        && inside(1)
        && u32::from(conv.kernel[0]) * fours * 4 <= WINDOW
}

/// Whether they scatter events over targets of a width.
fn scatters(c: &Connection, conv: &Convolution, width: Width) -> bool {
    let layout = match width {
        Width::I16 => Layout::WidePairs,
        Width::I32 => Layout::Wide,
    };
    let [_, out_width, channels] = conv.output.map(u32::from);
    let line = |places: u32, bytes: u32| {
        let bytes = places.checked_mul(channels * bytes);
        bytes.is_some_and(|bytes| bytes < 1 << 16)
    };
    c.layout == layout
        && conv.is_plain()
        && channels.is_multiple_of(GROUP)
        && line(out_width, width.bytes() as u32)
        && line(conv.kernel[1].into(), 2)
}
