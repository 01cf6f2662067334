//! What the firmware says of itself after a start.

use serde::Serialize;

use super::session::Identity;

/// A firmware's answer to the first request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Greeting {
    /// The firmware's version.
    pub firmware: String,
    /// The architecture that it was built for.
    pub architecture: String,
    /// The kernels that it runs.
    pub kernels: String,
    /// What it makes of the image.
    pub image: ImageReport,
    /// Bytes of RAM that nothing takes.
    pub free_ram: u32,
    /// Bytes of stack.
    pub stack: u32,
}

/// What a device makes of its image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ImageReport {
    /// It runs it.
    Ready {
        /// The image's checksum.
        checksum: u32,
        /// Bytes of arena.
        arena: u32,
    },
    /// It cannot.
    Refused {
        /// Why not.
        reason: String,
    },
}

impl From<Identity> for Greeting {
    fn from(identity: Identity) -> Self {
        Self {
            firmware: identity.firmware,
            architecture: identity.architecture,
            kernels: identity.kernels,
            image: match identity.image {
                Ok(image) => ImageReport::Ready {
                    checksum: image.checksum,
                    arena: image.arena,
                },
                Err(reason) => ImageReport::Refused {
                    reason: reason.to_string(),
                },
            },
            free_ram: identity.free_ram,
            stack: identity.stack,
        }
    }
}
