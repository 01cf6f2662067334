//! Ed25519 signatures (RFC 8032) behind images.
//!
//! A signed image is the image, as long as its header states, and a trailer of [`TRAILER_LEN`] bytes at
//! once behind it, which a reader that asks for no signature ignores:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | `TSIG` |
//! | 4 | 4 | the first bytes of the public key, to name it in messages |
//! | 8 | 64 | the signature of the whole image: header, description and sections |
//!
//! Nothing of the image is outside: the header's model version and checksum are signed as well. Of the
//! trailer only the signature is trusted, by being checked.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::image::{HEADER_LEN, Header, ImageError};

/// The first bytes of a trailer.
pub const MAGIC: [u8; 4] = *b"TSIG";
/// The length of a trailer in bytes.
pub const TRAILER_LEN: usize = 72;
/// The length of a public key in bytes.
pub const PUBLIC_KEY_LEN: usize = 32;

/// The first bytes of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    /// Identifier of a public key.
    #[must_use]
    pub const fn of(key: &[u8; PUBLIC_KEY_LEN]) -> Self {
        Self([key[0], key[1], key[2], key[3]])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// Reason why a signed image is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SignatureError {
    /// No image whose end could be found.
    Image(ImageError),
    /// No trailer follows the image.
    Unsigned,
    /// The bytes of the public key are no key, or one that proves nothing.
    Key,
    /// Another key has signed.
    OtherKey {
        /// The one that has.
        found: KeyId,
        /// The one that should have.
        expected: KeyId,
    },
    /// The signature does not fit the image: one of the two has been altered.
    Mismatch,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(e) => e.fmt(f),
            Self::Unsigned => f.write_str("the image is not signed"),
            Self::Key => f.write_str("this is no Ed25519 public key that proves anything"),
            Self::OtherKey { found, expected } => write!(
                f,
                "the image is signed with the key {found}, not with {expected}"
            ),
            Self::Mismatch => {
                f.write_str("the signature does not fit the image: one of the two has been altered")
            }
        }
    }
}

impl core::error::Error for SignatureError {}

/// An image and its trailer, not verified.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The image.
    pub image: &'a [u8],
    /// Key whose signature it claims to be.
    pub key: KeyId,
    /// The signature, unchecked.
    pub signature: &'a [u8; 64],
}

impl<'a> Signed<'a> {
    /// Finds the trailer in bytes that start with an image; what follows it is ignored.
    ///
    /// # Errors
    /// [`SignatureError`] if there is no image, or no trailer.
    pub fn find(bytes: &'a [u8]) -> Result<Self, SignatureError> {
        let header = Header::read(bytes).map_err(SignatureError::Image)?;
        let truncated = SignatureError::Image(ImageError::Truncated {
            stated: header.length,
            found: bytes.len(),
        });
        let (image, rest) = bytes
            .split_at_checked(header.length as usize)
            .filter(|(image, _)| image.len() >= HEADER_LEN)
            .ok_or(truncated)?;
        let (trailer, _) = rest
            .split_first_chunk::<TRAILER_LEN>()
            .ok_or(SignatureError::Unsigned)?;
        let (magic, trailer) = trailer
            .split_first_chunk::<4>()
            .ok_or(SignatureError::Unsigned)?;
        let (key, trailer) = trailer
            .split_first_chunk::<4>()
            .ok_or(SignatureError::Unsigned)?;
        let (signature, _) = trailer
            .split_first_chunk::<64>()
            .ok_or(SignatureError::Unsigned)?;
        if *magic != MAGIC {
            return Err(SignatureError::Unsigned);
        }
        Ok(Self {
            image,
            key: KeyId(*key),
            signature,
        })
    }

    /// The image, if `key` has signed it. Keys of small order and signatures that are not canonical
    /// are refused.
    ///
    /// # Errors
    /// [`SignatureError`] if the key has not signed it.
    #[cfg(feature = "signature")]
    pub fn verify(&self, key: &[u8; PUBLIC_KEY_LEN]) -> Result<&'a [u8], SignatureError> {
        use ed25519_dalek::{Signature, VerifyingKey};

        let expected = KeyId::of(key);
        let key = VerifyingKey::from_bytes(key).map_err(|_| SignatureError::Key)?;
        if key.is_weak() {
            return Err(SignatureError::Key);
        }
        if self.key != expected {
            return Err(SignatureError::OtherKey {
                found: self.key,
                expected,
            });
        }
        key.verify_strict(self.image, &Signature::from_bytes(self.signature))
            .map_err(|_| SignatureError::Mismatch)?;
        Ok(self.image)
    }
}

/// The trailer of an image that was signed by the key.
#[must_use]
pub fn trailer(key: &[u8; PUBLIC_KEY_LEN], signature: &[u8; 64]) -> [u8; TRAILER_LEN] {
    let mut bytes = [0; TRAILER_LEN];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&KeyId::of(key).0);
    bytes[8..].copy_from_slice(signature);
    bytes
}
