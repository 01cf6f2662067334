//! Packed images on the host: bytes, owned, aligned and checked.

use std::io;
use std::path::{Path, PathBuf};

use tinyspike_shared::image::{self, ALIGN, HEADER_LEN, Header, ImageError, MAGIC, checksum};

use crate::advice::{Advice, Advised};
use crate::file;

/// The most ensembles that the host assembles and emulates. A firmware may be built for fewer.
pub const MAX_ENSEMBLES: usize = 128;
/// The most connections that the host assembles and emulates.
pub const MAX_CONNECTIONS: usize = 254;

/// An image with room for the largest network that the host handles.
pub type Image<'a> = image::Image<'a, MAX_ENSEMBLES, MAX_CONNECTIONS>;

/// No image has more bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// Reasons why a file holds no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The content is no image.
    #[error("{}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        source: ImageError,
    },
}

impl Advised for ImageFileError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Image { .. } => vec![Advice::Image],
            _ => Vec::new(),
        }
    }
}

/// An owned image: bytes that [`Image::parse`] accepts, and what follows them, such as a signature.
///
/// ```
/// use tinyspike::ImageBuf;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("mnist.tsp");
/// let image = ImageBuf::load("../examples/embed/mnist.tsp")?;
/// assert_eq!(image.image().description().inputs[0].size, 784);
/// image.with_model_version(2).save(&path)?;
/// assert_eq!(ImageBuf::load(&path)?.image().header().model_version, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageBuf {
    bytes: AlignedBytes,
}

impl ImageBuf {
    /// Copies an image.
    ///
    /// # Errors
    /// [`ImageError`], if `bytes` do not start with a sound image.
    pub fn new(bytes: &[u8]) -> Result<Self, ImageError> {
        let bytes = aligned_copy(bytes);
        Image::parse(&bytes)?;
        Ok(Self { bytes })
    }

    /// Reads an image file.
    ///
    /// # Errors
    /// [`ImageFileError`], if it cannot be read or holds no sound image.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ImageFileError> {
        let path = path.as_ref();
        // Of what is no image, no more than the start is read.
        let bytes = file::read_if(path, MAX_BYTES, |start| start.starts_with(&MAGIC));
        let bytes = bytes.map_err(|source| ImageFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::new(&bytes).map_err(|source| ImageFileError::Image {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes an image file, as a whole or not at all. What is no regular file is written in place.
    ///
    /// # Errors
    /// [`ImageFileError::Write`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ImageFileError> {
        let path = path.as_ref();
        file::write(path, &self.bytes).map_err(|source| ImageFileError::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// The parsed image. Each call checks the bytes again, which takes time linear in their number.
    #[must_use]
    pub fn image(&self) -> Image<'_> {
        Image::parse(&self.bytes).expect("every constructor has parsed these bytes")
    }

    /// The packed bytes, and what follows them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The image alone, with these bytes behind it.
    pub(crate) fn followed_by(&self, behind: &[u8]) -> Self {
        Self {
            bytes: aligned_copy(&[self.image().bytes(), behind].concat()),
        }
    }

    /// The same image, stated to be this release of its model. A signature does not fit it any more, and is
    /// dropped.
    #[must_use]
    pub fn with_model_version(mut self, model_version: u32) -> Self {
        let mut header = *self.image().header();
        header.model_version = model_version;
        self.bytes.len = header.length as usize;
        seal(self.bytes.as_mut(), header);
        self
    }
}

/// Writes an image's header, with the checksum of what it is then.
pub(crate) fn seal(image: &mut [u8], mut header: Header) {
    image[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    header.checksum = checksum(image);
    image[..HEADER_LEN].copy_from_slice(&header.to_bytes());
}

/// Copies `bytes` to where an image may lie: a multiple of its alignment.
#[must_use]
pub fn aligned_copy(bytes: &[u8]) -> AlignedBytes {
    let mut words = vec![0u32; bytes.len().div_ceil(ALIGN)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    AlignedBytes {
        words,
        len: bytes.len(),
    }
}

/// Bytes aligned as an image must be.
#[derive(Clone, Debug)]
pub struct AlignedBytes {
    words: Vec<u32>,
    len: usize,
}

impl std::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl AsMut<[u8]> for AlignedBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}
