//! Prebuilt firmware: the application for each core, which is moved to a chip's memory.
//!
//! `cargo xtask dist` builds all that is listed here, and the tool holds it ([`held`](crate::held)).

use std::path::PathBuf;

use tinyspike_boards::Program;

use crate::firmware::{self, App, toolchain_here};
use crate::held;
use crate::memory::{Memory, Turns};
use crate::relocate::relocate;
use crate::shell::Failure;
use crate::toolchain::ALL_TARGETS;

/// The programs of emulated boards that are prebuilt: those that measure.
pub const PROGRAMS: [Program; 2] = [Program::Bench, Program::Layers];

/// Times the usual room for ensembles and connections that there is prebuilt firmware with.
pub const ROOMS: [usize; 5] = [1, 2, 4, 8, 16];

/// The memory that prebuilt applications are linked for. No chip has its images there: so no address means two things.
#[must_use]
pub fn memory() -> Memory {
    Memory {
        flash: 0x1000_0000..0x1010_0000,
        ram: 0x2000_0000..0x2004_0000,
        images: 0x6010_0000..0x6020_0000,
        stack: 0x1800,
        turns: Some(Turns {
            journal: [0x6000_0000..0x6000_1000, 0x6000_1000..0x6000_2000],
            slot_b: 0x6018_0000,
        }),
    }
}

/// A prebuilt application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The compiler's target.
    pub target: &'static str,
    /// True with the parts that few images need: `dense` and `current-based`.
    pub whole: bool,
    /// True if it runs only images that a key has signed.
    pub signed: bool,
    /// Times the usual room for ensembles and connections.
    pub rooms: usize,
}

impl Variant {
    /// All that are built: with more room than the usual one there are all parts.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |target| {
            ROOMS.into_iter().flat_map(move |rooms| {
                [(false, false), (true, false), (false, true), (true, true)]
                    .into_iter()
                    .filter(move |(whole, _)| *whole || rooms == 1)
                    .map(move |(whole, signed)| Self {
                        target,
                        whole,
                        signed,
                        rooms,
                    })
            })
        };
        ALL_TARGETS.into_iter().flat_map(of)
    }

    /// Its name, and that of its file.
    #[must_use]
    pub fn name(self) -> String {
        let Self { target, rooms, .. } = self;
        let whole = if self.whole { "-whole" } else { "" };
        let signed = if self.signed { "-signed" } else { "" };
        format!("app-{target}{whole}{signed}-{rooms}")
    }

    /// Features of the package.
    #[must_use]
    pub fn features(self) -> &'static [&'static str] {
        match self.whole {
            true => &["defmt", "dense", "current-based"],
            false => &["defmt"],
        }
    }

    /// The application for the memory of prebuilt ones. If it asks for a key, moving it puts the right one in the place of zeros.
    #[must_use]
    pub fn app(self, memory: &Memory) -> App<'_> {
        App {
            memory,
            target: self.target,
            features: self.features(),
            key: self.signed.then_some(&[0; 32]),
            rooms: self.rooms,
        }
    }

    /// The one with the fewest parts that serves for an application.
    fn of(app: &App<'_>) -> Option<Self> {
        Self::all().find(|variant| {
            variant.target == app.target
                && variant.signed == app.key.is_some()
                && variant.rooms == app.rooms
                && (app.features.iter()).all(|feature| variant.features().contains(feature))
        })
    }
}

/// The application, moved to its memory, in a file; `None` if the tool holds none for it, or it does not fit there and one
/// that may be smaller can be built.
///
/// # Errors
/// [`Failure`] if no file can be written, or it does not fit and nothing else can be had.
pub fn app(app: &App<'_>) -> Result<Option<PathBuf>, Failure> {
    let Some(variant) = Variant::of(app) else {
        return Ok(None);
    };
    let Some(linked) = held::file(&variant.name())? else {
        return Ok(None);
    };
    match relocate(&linked, &memory(), app.memory, app.key) {
        Ok(moved) => held::keep(&variant.name(), &moved).map(Some),
        Err(reason) => match toolchain_here(app.target) {
            Ok(_) => Ok(None),
            Err(_) => Err(reason),
        },
    }
}

/// The application, built with what is installed. Memory alone needs no other build: one that has been linked for the memory
/// of prebuilt ones is moved, like them. If that does not fit, it is linked for its own memory, with no more parts than it needs.
///
/// # Errors
/// [`Failure`] if the sources or a toolchain are missing, or the build fails.
pub fn built(app: &App<'_>) -> Result<PathBuf, Failure> {
    let Some(variant) = Variant::of(app) else {
        return firmware::app(app);
    };
    let memory = memory();
    let linked = firmware::app(&variant.app(&memory))?;
    let linked = std::fs::read(&linked).map_err(Failure::file(&linked))?;
    match relocate(&linked, &memory, app.memory, app.key) {
        Ok(moved) => firmware::keep(app, &moved),
        Err(_) => firmware::app(app),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_a_name_of_its_own_and_the_least_serves() {
        let names: std::collections::BTreeSet<_> = Variant::all().map(Variant::name).collect();
        assert_eq!(names.len(), Variant::all().count());
        let memory = memory();
        for (features, rooms, whole) in [
            (&["defmt"][..], 1, false),
            (&["defmt", "dense"], 1, true),
            (&["defmt", "current-based"], 1, true),
            (&["defmt"], 8, true),
        ] {
            for key in [None, Some(&[1; 32])] {
                let app = App {
                    memory: &memory,
                    target: "thumbv6m-none-eabi",
                    features,
                    key,
                    rooms,
                };
                let variant = Variant::of(&app).unwrap();
                assert_eq!(
                    (variant.whole, variant.rooms, variant.signed),
                    (whole, rooms, key.is_some())
                );
            }
        }
    }
}
