//! Projects for firmware engineers: an image with the engine as a library, as C and other ecosystems want them.
//!
//! A project is a set of files in memory, so that tests can look at it. Each kind of project has a module, which makes its files of
//! an image, a sample with the emulator's results, and static libraries.

mod c;
mod layouts;
mod project;
mod rust;
pub mod sample;

use std::path::PathBuf;

use tinyspike_board::held;
use tinyspike_board::library::{self, Contents, Core};
use tinyspike_firmware::limits::Limits;
use tinyspike_firmware::parts::Parts;

use crate::advice::{Advice, Advised};
use crate::assemble::Image;
use crate::emulate::EmulateError;
use crate::file;
use crate::image::ImageBuf;

pub use project::{Keep, Project, WriteError};
pub use sample::{Expected, Sample};

/// Reasons why an image cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A library could not be built.
    #[error("the library for {core} could not be built: {source}")]
    Build {
        /// The core.
        core: &'static str,
        /// The reason.
        source: tinyspike_board::Failure,
    },
    /// A library that was built before cannot be read.
    #[error("cannot read the library for {core} at {}: {source}", path.display())]
    Library {
        /// The core.
        core: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The network is larger than libraries that were built before hold.
    #[error(
        "the network has {ensembles} ensembles and {connections} connections, and the libraries hold {} and {}",
        Contents::WHOLE.ensembles,
        Contents::WHOLE.connections
    )]
    TooLarge {
        /// Ensembles of the network.
        ensembles: usize,
        /// Connections of the network.
        connections: usize,
    },
    /// No core that a kind of project is for.
    #[error("{what} needs a library for {cores}, and none of these cores was chosen")]
    NoCore {
        /// The kind of project.
        what: &'static str,
        /// Cores that it is for.
        cores: &'static str,
    },
    /// A name that C does not take.
    #[error(
        "{name:?} is no name for a model: it takes letters, digits and underscores, and begins with a letter"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The sample does not fit the image.
    #[error(transparent)]
    Sample(#[from] EmulateError),
}

impl Advised for ExportError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Sample(error) => error.advice(),
            _ => Vec::new(),
        }
    }
}

/// Source of static libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Libraries {
    /// Build each for this image alone, with what is installed: the smallest ones.
    Built,
    /// Build each with the whole engine, for any image of the usual size.
    Whole,
    /// Take those that `cargo xtask libraries` has put into a folder.
    Folder(PathBuf),
    /// Take those that the tool holds, with the whole engine.
    Prebuilt,
}

impl Default for Libraries {
    /// Those that the tool holds, or else builds for the image alone.
    fn default() -> Self {
        match held::any() {
            true => Self::Prebuilt,
            false => Self::Built,
        }
    }
}

impl Libraries {
    /// Contents of a library for an image.
    fn contents(&self, core: &Core, image: &Image<'_>) -> Contents {
        match self {
            Self::Built => Contents {
                parts: Parts::needed(image, core.family()),
                ensembles: image.description().ensembles.len().max(1),
                connections: image.description().connections.len().max(1),
            },
            _ => Contents::WHOLE,
        }
    }

    /// The library for a core.
    fn library(&self, core: &'static Core, image: &Image<'_>) -> Result<Vec<u8>, ExportError> {
        let name = core.name;
        let failed = |source| ExportError::Build { core: name, source };
        let path = match self {
            Self::Prebuilt => return library::prebuilt(core).map_err(failed),
            Self::Folder(folder) => folder.join(name).join("libtinyspike.a"),
            _ => library::build(core, self.contents(core, image)).map_err(failed)?,
        };
        file::read(&path, 1 << 28).map_err(|source| ExportError::Library {
            core: name,
            path,
            source,
        })
    }
}

/// Settings of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Name of the model, of which its files, variables and macros are made.
    pub name: String,
    /// Cores that get a library.
    pub cores: Vec<&'static Core>,
    /// Source of the libraries.
    pub libraries: Libraries,
}

impl ExportOptions {
    fn check(&self, image: &Image<'_>) -> Result<(), ExportError> {
        let name = &self.name;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(word) {
            return Err(ExportError::Name { name: name.clone() });
        }
        let network = image.description();
        let (ensembles, connections) = (network.ensembles.len(), network.connections.len());
        let whole = Contents::WHOLE;
        if self.libraries != Libraries::Built
            && (ensembles > whole.ensembles || connections > whole.connections)
        {
            return Err(ExportError::TooLarge {
                ensembles,
                connections,
            });
        }
        Ok(())
    }
}

/// An image with all that a project needs of it.
struct Model<'a> {
    image: &'a Image<'a>,
    sample: &'a Sample,
    expected: Expected,
    options: &'a ExportOptions,
}

impl<'a> Model<'a> {
    fn new(
        image: &'a Image<'a>,
        sample: &'a Sample,
        options: &'a ExportOptions,
    ) -> Result<Self, ExportError> {
        options.check(image)?;
        Ok(Self {
            image,
            sample,
            expected: Expected::of(image, sample)?,
            options,
        })
    }

    /// Bytes of stack for all calls but `ts_open`, on any core.
    fn stack(&self) -> u32 {
        let network = self.image.description();
        let (ensembles, connections) = (network.ensembles.len(), network.connections.len());
        let of = |limits: Limits| {
            let rooms = limits.rooms(ensembles, connections);
            let limits = limits.times(rooms.unwrap_or(Limits::MOST_ROOMS));
            limits.stack(network)
        };
        of(Limits::MAINLINE).max(of(Limits::BASELINE))
    }
}

/// A kind of project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// C with CMake, which checks itself on the host and on emulated boards.
    C,
    /// A library for the Arduino IDE.
    Arduino,
    /// A module of Zephyr's.
    Zephyr,
    /// A component of ESP-IDF's.
    EspIdf,
    /// A library of PlatformIO's.
    PlatformIo,
    /// A pack of CMSIS.
    CmsisPack,
    /// A crate in Rust for a Cortex-M.
    Rust,
}

/// A project around an image.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    image: &ImageBuf,
    sample: &Sample,
    kind: Kind,
    options: &ExportOptions,
) -> Result<Project, ExportError> {
    let image = image.image();
    let model = Model::new(&image, sample, options)?;
    match kind {
        Kind::C => c::project(&model),
        Kind::Arduino => layouts::arduino(&model),
        Kind::Zephyr => layouts::zephyr(&model),
        Kind::EspIdf => layouts::esp_idf(&model),
        Kind::PlatformIo => layouts::platformio(&model),
        Kind::CmsisPack => layouts::cmsis_pack(&model),
        Kind::Rust => Ok(rust::project(&model)),
    }
}

/// The name of a model's pack of CMSIS, which its rules fix.
#[must_use]
pub fn pack_name(name: &str) -> String {
    layouts::pack_name(name)
}
