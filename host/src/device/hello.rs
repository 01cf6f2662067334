//! The firmware's answer after a start, about itself.

use serde::Serialize;
use tinyspike_shared::accept::Journal;
use tinyspike_shared::slots::Slot;

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
    /// The image, as it sees it.
    pub image: ImageReport,
    /// Bytes of RAM that nothing takes.
    pub free_ram: u32,
    /// Bytes of stack.
    pub stack: u32,
    /// The slot that the journal names, if there are two.
    pub named: Option<Slot>,
    /// Reason why it does not run the image in that slot, if it does not.
    pub passed_over: Option<String>,
    /// No model below this version may run.
    pub minimum_version: u32,
    /// The key that has to have signed its images, if it asks for one.
    pub key: Option<String>,
}

/// An image as a device sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ImageReport {
    /// Runs it.
    Ready {
        /// The image's checksum.
        checksum: u32,
        /// The model's version.
        version: u32,
        /// The slot that it lies in.
        slot: Slot,
        /// Bytes of arena.
        arena: u32,
    },
    /// Refuses it.
    Refused {
        /// The reason.
        reason: String,
    },
}

impl From<Identity> for Greeting {
    fn from(identity: Identity) -> Self {
        let start = identity.start;
        Self {
            firmware: identity.firmware,
            architecture: identity.architecture,
            kernels: identity.kernels,
            image: match identity.image {
                Ok(image) => ImageReport::Ready {
                    checksum: image.checksum,
                    version: image.version,
                    slot: start.running.unwrap_or(start.named),
                    arena: image.arena,
                },
                Err(reason) => ImageReport::Refused {
                    reason: reason.to_string(),
                },
            },
            free_ram: identity.free_ram,
            stack: identity.stack,
            named: (start.journal != Journal::Absent).then_some(start.named),
            passed_over: start.passed_over().map(|reason| reason.to_string()),
            minimum_version: start.minimum,
            key: identity.key.map(|key| key.id().to_string()),
        }
    }
}
