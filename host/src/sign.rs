//! Keys and signatures: PEM files as OpenSSL writes them, and signed images.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    KeypairBytes,
};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use tinyspike_shared::signature::{
    KeyId, PUBLIC_KEY_LEN, SignatureError, Signed, TRAILER_LEN, trailer,
};

use crate::advice::{Advice, Advised};
use crate::image::ImageBuf;

/// Fault of an image or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// No private key in the text.
    #[error(
        "this is no Ed25519 private key in PKCS#8 PEM form ({0}); `openssl genpkey -algorithm ed25519` makes one, too"
    )]
    PrivateKey(String),
    /// No public key in the text.
    #[error("this is no Ed25519 public key in PEM form ({0})")]
    PublicKey(String),
    /// A key cannot be written as PEM.
    #[error("the key cannot be written as PEM: {0}")]
    Encode(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a key: {0}")]
    Random(String),
    /// The signature is missing or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Advised for SignError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::PrivateKey(_) | Self::PublicKey(_) => vec![Advice::MakeKeys],
            _ => Vec::new(),
        }
    }
}

/// A private key, which signs images.
pub struct PrivateKey(SigningKey);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

/// A public key, by which devices know who has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY_LEN]);

impl PrivateKey {
    /// A new key, from the system's random numbers.
    ///
    /// # Errors
    /// [`SignError`] if the system gives none.
    pub fn generate() -> Result<Self, SignError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| SignError::Random(e.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a PKCS#8 PEM text.
    ///
    /// # Errors
    /// [`SignError`] if there is no Ed25519 private key in it.
    pub fn from_pem(text: &str) -> Result<Self, SignError> {
        SigningKey::from_pkcs8_pem(text)
            .map(Self)
            .map_err(|e| SignError::PrivateKey(e.to_string()))
    }

    /// The key as PKCS#8 PEM.
    ///
    /// # Errors
    /// [`SignError`] if the encoder fails.
    pub fn to_pem(&self) -> Result<String, SignError> {
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            // With it the form would be PKCS#8's second version, which OpenSSL does not read.
            public_key: None,
        };
        pair.to_pkcs8_pem(LineEnding::LF)
            .map(|text| text.to_string())
            .map_err(|e| SignError::Encode(e.to_string()))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The image with a signature behind it; one that was there is replaced.
    #[must_use]
    pub fn sign(&self, image: &ImageBuf) -> ImageBuf {
        let signature = self.0.sign(image.image().bytes()).to_bytes();
        image.followed_by(&trailer(&self.public().0, &signature))
    }
}

impl PublicKey {
    /// The key that these bytes are. Whether they are one shows when something is verified with it.
    #[must_use]
    pub const fn new(bytes: [u8; PUBLIC_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// Reads a PEM text: SubjectPublicKeyInfo, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`SignError`] if there is no Ed25519 public key in it.
    pub fn from_pem(text: &str) -> Result<Self, SignError> {
        VerifyingKey::from_public_key_pem(text)
            .map(|key| Self(key.to_bytes()))
            .map_err(|e| SignError::PublicKey(e.to_string()))
    }

    /// The key as PEM.
    ///
    /// # Errors
    /// [`SignError`] if the encoder fails.
    pub fn to_pem(&self) -> Result<String, SignError> {
        VerifyingKey::from_bytes(&self.0)
            .map_err(|e| SignError::Encode(e.to_string()))?
            .to_public_key_pem(LineEnding::LF)
            .map_err(|e| SignError::Encode(e.to_string()))
    }

    /// The key's 32 bytes, as firmware is built with.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0
    }

    /// Name of the key in messages.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }

    /// Checks that this key has signed the image.
    ///
    /// # Errors
    /// If it has not.
    pub fn verify(&self, image: &ImageBuf) -> Result<(), SignError> {
        Signed::find(image.bytes())?.verify(&self.0)?;
        Ok(())
    }
}

/// Key that claims to have signed an image; `None` if there is no signature.
#[must_use]
pub fn signer(image: &ImageBuf) -> Option<KeyId> {
    Signed::find(image.bytes()).ok().map(|signed| signed.key)
}

/// Trailer of a signed image, unchecked; `None` if it is not signed.
#[must_use]
pub fn trailer_of(image: &ImageBuf) -> Option<[u8; TRAILER_LEN]> {
    let signed = Signed::find(image.bytes()).ok()?;
    let behind = image.bytes().get(signed.image.len()..)?;
    behind.first_chunk().copied()
}
