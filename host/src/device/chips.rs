//! The chips that probe-rs knows.

use std::path::Path;

use probe_rs::config::{Chip as Variant, ChipFamily, Registry};
use serde::Serialize;

use super::chip::{Chip, ChipError};
use super::likeness::likest;
use super::memory::{Layout, LayoutOptions, MemoryError, MemoryMap, firmware_ram};
use super::processor::Processor;
use crate::file;

/// No chip description has more bytes.
const MAX_DESCRIPTION: u64 = 16 << 20;
/// No chip description has more chips; the largest of probe-rs's own has 219.
const MAX_VARIANTS: usize = 1024;

/// The chips that probe-rs knows, and those of added descriptions.
pub struct Chips {
    registry: Registry,
}

impl std::fmt::Debug for Chips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let families = self.registry.families().len();
        f.debug_struct("Chips")
            .field("families", &families)
            .finish()
    }
}

impl Default for Chips {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Chips {
    /// The chips that come with probe-rs.
    #[must_use]
    pub fn builtin() -> Self {
        Self {
            registry: Registry::from_builtin_families(),
        }
    }

    /// No chips but those of descriptions that are added.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            registry: Registry::new(),
        }
    }

    /// Adds the chips of a description in probe-rs's YAML format.
    ///
    /// # Errors
    /// [`ChipError`], if the file cannot be read or is no description.
    pub fn add_description(&mut self, path: &Path) -> Result<(), ChipError> {
        let text = file::read_text(path, MAX_DESCRIPTION).map_err(|source| ChipError::File {
            path: path.to_owned(),
            source,
        })?;
        self.add_yaml(path, &text)
    }

    /// Adds the chips of a description's text; `name` is what errors call it.
    ///
    /// # Errors
    /// [`ChipError`], if it is no description.
    pub fn add_yaml(&mut self, name: impl AsRef<Path>, text: &str) -> Result<(), ChipError> {
        let failed = |source| ChipError::Description {
            path: name.as_ref().to_owned(),
            source,
        };
        let family = self.registry.add_target_family_from_yaml(text);
        let family = family.map_err(|e| failed(Box::new(e)))?;
        let mut families = self.registry.families().iter();
        let count = families.find(|f| f.name == family);
        let count = count.map_or(0, |family| family.variants.len());
        if count > MAX_VARIANTS {
            return Err(failed(
                format!(
                    "it has {count} chips, and at most {MAX_VARIANTS} are read: leave out others"
                )
                .into(),
            ));
        }
        Ok(())
    }

    /// The Cortex-M chips whose name, or that of a package or of the family, contains `text`, in any
    /// case; an `x` in a chip's name stands for any letter. All of them for an empty text.
    #[must_use]
    pub fn search(&self, text: &str) -> Vec<Summary> {
        let wanted = text.to_lowercase();
        let mut found = Vec::new();
        for family in self.registry.families() {
            let family_fits = family.name.to_lowercase().contains(&wanted);
            let mut fitting = cortex_m(family)
                .filter(|chip| {
                    family_fits || chip.package_variants().any(|name| contains(name, &wanted))
                })
                .peekable();
            if fitting.peek().is_some() {
                let bare = without_chips(family);
                found.extend(fitting.map(|chip| summary(&bare, chip)));
            }
        }
        found
    }

    /// The chip with a name, in any case. The beginning of a name will do if it is the only one.
    ///
    /// # Errors
    /// [`ChipError`], with the nearest names if there is no such chip.
    pub fn find(&self, name: &str) -> Result<Chip, ChipError> {
        let target = self.registry.get_target_by_name(name).map_err(|error| {
            let beginning = name.to_lowercase();
            let examples: Vec<String> = self
                .names()
                .filter(|n| n.to_lowercase().starts_with(&beginning))
                .map(str::to_owned)
                .collect();
            match error {
                probe_rs::config::RegistryError::ChipNotUnique(..) => ChipError::Ambiguous {
                    name: name.to_owned(),
                    count: examples.len(),
                    examples: examples.into_iter().take(SUGGESTIONS).collect(),
                },
                _ => ChipError::Unknown {
                    name: name.to_owned(),
                    suggestions: self.nearest(name),
                },
            }
        })?;
        let family = self.family_of(&target.name);
        Chip::new(target, family)
    }

    /// The names that are the most like one.
    fn nearest(&self, name: &str) -> Vec<String> {
        let wanted = name.to_lowercase();
        let names = self.names();
        let names = names.map(|n| (strsim::jaro_winkler(&wanted, &n.to_lowercase()), n));
        likest(names, SUGGESTIONS)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        (self.registry.families().iter())
            .flat_map(cortex_m)
            .flat_map(|chip| chip.package_variants().map(String::as_str))
    }

    fn family_of(&self, name: &str) -> String {
        let families = self.registry.families().iter();
        let mut of = families.filter(|family| {
            let mut names = family.variants.iter().flat_map(Variant::package_variants);
            names.any(|n| n.eq_ignore_ascii_case(name))
        });
        of.next().map_or_else(String::new, |f| f.name.clone())
    }
}

/// The chips of a family with a Cortex-M core.
fn cortex_m(family: &ChipFamily) -> impl Iterator<Item = &Variant> {
    family.variants.iter().filter(|chip| {
        // probe-rs's generic entries have a core and nothing else.
        !chip.memory_map.is_empty() && chip.cores.iter().any(|c| c.core_type.is_cortex_m())
    })
}

/// A family without its chips.
fn without_chips(family: &ChipFamily) -> ChipFamily {
    let mut bare = family.clone();
    bare.variants.clear();
    bare
}

/// The line of a chip of a family, of which no other chip is looked at: probe-rs goes through all that it knows for each name.
fn summary(bare: &ChipFamily, chip: &Variant) -> Summary {
    let mut alone = bare.clone();
    alone.variants.push(chip.clone());
    let mut registry = Registry::new();
    let target = registry.add_target_family(alone);
    let found = target
        .and_then(|_| registry.get_target_by_name(&chip.name))
        .map_err(|_| ChipError::Unknown {
            name: chip.name.clone(),
            suggestions: Vec::new(),
        })
        .and_then(|target| Chip::new(target, bare.name.clone()));
    match found {
        Ok(chip) => chip.summary(),
        Err(error) => Summary {
            name: chip.name.clone(),
            family: bare.name.clone(),
            core: None,
            flash: 0,
            ram: 0,
            flash_algorithm: !chip.flash_algorithms.is_empty(),
            refused: Some(error.to_string()),
        },
    }
}

impl Chip {
    /// Its line in a list of chips.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let processor = self.processor();
        let (flash, ram, refused) = match MemoryMap::of(self) {
            Ok(map) => {
                let options = LayoutOptions::default();
                let layout = Layout::divide(self, &map, &options);
                let refused = layout.err().map(|e| e.source);
                let needed = firmware_ram(processor.target());
                let ram = map.ram.len;
                let little = (ram < needed).then_some(MemoryError::LittleRam { ram, needed });
                (
                    map.flash.len,
                    ram,
                    refused.or(little).map(|e| e.to_string()),
                )
            }
            Err(error) => (0, 0, Some(error.to_string())),
        };
        Summary {
            name: self.name().to_owned(),
            family: self.family().to_owned(),
            core: Some(processor),
            flash,
            ram,
            flash_algorithm: !self.target.flash_algorithms.is_empty(),
            refused,
        }
    }
}

/// Number of names that an error lists.
const SUGGESTIONS: usize = 5;

/// Tells whether a chip's name contains a text of small letters; its `x` stands for any letter.
fn contains(name: &str, text: &str) -> bool {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let text: Vec<char> = text.chars().collect();
    text.is_empty()
        || name.windows(text.len()).any(|part| {
            let mut pairs = part.iter().zip(&text);
            pairs.all(|(a, b)| a == b || *a == 'x')
        })
}

/// A line of a list of chips.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Its family.
    pub family: String,
    /// The processor that starts first; `None` if that is no Cortex-M.
    pub core: Option<Processor>,
    /// Bytes of flash that it starts from; 0 if it is refused.
    pub flash: u32,
    /// Bytes of the RAM that a program gets, which lies in one piece; 0 if it is refused.
    pub ram: u32,
    /// True if probe-rs can write its flash.
    pub flash_algorithm: bool,
    /// Reason why nothing can be put on it, if there is one.
    pub refused: Option<String>,
}
