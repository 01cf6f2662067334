//! The parts of the engine that firmware can be built without, and which of them a network needs.
//!
//! Each part is a feature of this package, and all but current-based neurons are on by default. An engine that was built without a part
//! refuses the networks that need it. `tinyspike bench` builds a firmware of what one image needs and states its
//! size beside that of the whole engine's.

use core::fmt;

use tinyspike_shared::image::{Image, SourceMap, Transform, Width};
use tinyspike_shared::weights::Layout;

use crate::kernels::NATIVE;
use crate::kernels::family::{Family, Leaves, Shape, Values};

/// A part of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Part {
    /// Neurons other than integrate-and-fire, inboxes, and networks without end. [`Image::parse`] refuses them if
    /// it is missing.
    Exact,
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
    /// Max pooling. [`Image::parse`] refuses it if it is missing.
    MaxPooling,
    /// Current-based neurons. [`Image::parse`] refuses them if it is missing.
    CurrentBased,
    /// Layers that are computed densely, from all bytes of an input or all counts of an ensemble.
    Dense,
    /// The portable kernels, for all that those of the processor's family leave to them. With a family that leaves
    /// nothing to a part it is always there.
    Portable,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 10] = [
        Self::Exact,
        Self::Convolutions,
        Self::InputMatrices,
        Self::SourceMaps,
        Self::Steps,
        Self::Wide,
        Self::MaxPooling,
        Self::CurrentBased,
        Self::Dense,
        Self::Portable,
    ];

    /// The feature of this package that brings it.
    #[must_use]
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Convolutions => "convolutions",
            Self::InputMatrices => "input-matrices",
            Self::SourceMaps => "source-maps",
            Self::Steps => "steps",
            Self::Wide => "wide",
            Self::MaxPooling => "max-pooling",
            Self::CurrentBased => "current-based",
            Self::Dense => "dense",
            Self::Portable => "portable",
        }
    }

    /// Tells whether this build has it.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Exact => cfg!(feature = "exact"),
            Self::Convolutions => cfg!(feature = "convolutions"),
            Self::InputMatrices => cfg!(feature = "input-matrices"),
            Self::SourceMaps => cfg!(feature = "source-maps"),
            Self::Steps => cfg!(feature = "steps"),
            Self::Wide => cfg!(feature = "wide"),
            Self::MaxPooling => cfg!(feature = "max-pooling"),
            Self::CurrentBased => cfg!(feature = "current-based"),
            Self::Dense => cfg!(feature = "dense"),
            Self::Portable => cfg!(feature = "portable") || NATIVE.leaves.is_none(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "neurons and filters of exact networks",
            Self::Convolutions => "convolutions",
            Self::InputMatrices => "matrices from an input",
            Self::SourceMaps => "windows and tables of sources",
            Self::Steps => "inferences of more than one step",
            Self::Wide => "ensembles of 32 bits",
            Self::MaxPooling => "max pooling",
            Self::CurrentBased => "current-based neurons",
            Self::Dense => "dense layers",
            Self::Portable => "kernels for shapes and layouts that have none in assembly",
        })
    }
}

/// Some parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u16);

impl Parts {
    /// Parts that this build has.
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
    pub const ALL: Self = Self(u16::MAX >> (16 - Part::ALL.len()));

    /// The parts that a network needs if it runs on the kernels of a family.
    #[must_use]
    pub fn needed<const E: usize, const C: usize>(
        image: &Image<'_, E, C>,
        family: &Family,
    ) -> Self {
        let network = image.description();
        let exact = network.is_exact();
        let mut parts = Self(0)
            .and(Part::Exact, exact)
            .and(Part::Steps, exact || network.steps > 1);
        for e in &network.ensembles {
            let left = !e.pools() && family.leaves.is_some_and(|leaves| (leaves.ensemble)(e));
            parts = parts
                .and(Part::MaxPooling, e.pools())
                .and(Part::CurrentBased, e.current_based().is_some())
                .and(Part::Wide, e.width == Width::I32)
                .and(Part::Portable, left);
        }
        for c in &network.connections {
            let shape = Shape::of(network, c);
            let counts = matches!(c.transform, Transform::Dense(d) if d.outputs == 0);
            let left = |leaves: Leaves| !counts && (leaves.connection)(&shape, c.layout);
            let convolution = matches!(c.transform, Transform::Convolution(_));
            let driven = matches!(shape.values, Values::Input { .. } | Values::Dense { .. });
            let source = c.pre.ensemble();
            let source = source.and_then(|e| network.ensembles.get(usize::from(e)));
            let summed = source.is_some_and(|e| !exact && c.sums(e, network.steps).is_some());
            parts = parts
                .and(Part::SourceMaps, c.source != SourceMap::Direct)
                .and(Part::Convolutions, convolution)
                .and(Part::InputMatrices, driven && !convolution)
                .and(
                    Part::Dense,
                    shape.is_dense() || c.layout == Layout::Tiles || summed,
                )
                // Sums exceed what kernels for counts take.
                .and(
                    Part::Portable,
                    summed && !convolution && family.leaves.is_some(),
                )
                .and(Part::Wide, convolution && shape.width == Width::I32)
                .and(Part::Portable, family.leaves.is_some_and(left));
        }
        parts
    }

    /// Adds one more part if `more` says so.
    #[must_use]
    const fn and(self, part: Part, more: bool) -> Self {
        Self(self.0 | (more as u16) << part as u16)
    }

    /// Features of these parts.
    pub fn features(self) -> impl Iterator<Item = &'static str> {
        let parts = Part::ALL.into_iter().filter(move |&part| self.has(part));
        parts.map(Part::feature)
    }

    /// Leaves out one part, and what needs it.
    #[must_use]
    pub const fn without(self, part: Part) -> Self {
        let rest = Self(self.0 & !(1 << part as u16));
        match part {
            Part::Exact => rest.without(Part::CurrentBased),
            _ => rest,
        }
    }

    /// A number that no other parts have.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Tells whether a part is among them.
    #[must_use]
    pub const fn has(self, part: Part) -> bool {
        self.0 & (1 << part as u16) != 0
    }

    /// The first of them that is not among others.
    #[must_use]
    pub fn beyond(self, others: Self) -> Option<Part> {
        let more = Self(self.0 & !others.0);
        Part::ALL.into_iter().find(|&part| more.has(part))
    }
}
