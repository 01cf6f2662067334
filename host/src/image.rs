//! Packed images on the host: bytes, owned, aligned and checked.

use tinyspike_shared::image::{self, ALIGN, ImageError};
use tinyspike_shared::signature::{Signed, TRAILER_LEN};

/// The most ensembles that the host assembles and emulates. A firmware may be built for fewer.
pub const MAX_ENSEMBLES: usize = 64;
/// The most connections that the host assembles and emulates.
pub const MAX_CONNECTIONS: usize = 128;

/// An image with room for the largest network that the host handles.
pub type Image<'a> = image::Image<'a, MAX_ENSEMBLES, MAX_CONNECTIONS>;

/// An owned image: bytes that [`Image::parse`] accepts, with its signature behind it if it has one.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let image = tinyspike::image::ImageBuf::new(include_bytes!("../../examples/embed/mnist.tsp"))?;
/// assert_eq!(image.image().description().inputs[0].size, 784);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ImageBuf {
    bytes: AlignedBytes,
}

impl ImageBuf {
    /// Copies an image from the start of `bytes`. What follows it is dropped, except a signature.
    ///
    /// # Errors
    /// [`ImageError`], if `bytes` do not start with a sound image.
    pub fn new(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut bytes = aligned_copy(bytes);
        let len = Image::parse(&bytes)?.bytes().len();
        bytes.len = match Signed::find(&bytes) {
            Ok(_) => len + TRAILER_LEN,
            Err(_) => len,
        };
        Ok(Self { bytes })
    }

    /// The parsed image. Each call checks the bytes again, which takes time linear in their number.
    #[must_use]
    pub fn image(&self) -> Image<'_> {
        Image::parse(&self.bytes).expect("every constructor has parsed these bytes")
    }

    /// The packed bytes, with the signature if there is one.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
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
