//! Reasons why a NIR file has no network.

use thiserror::Error;

use crate::text::brief;

/// A NIR file without a network: which, and why.
#[derive(Debug, Error)]
#[error("{file}: {}", brief(&problem.to_string()))]
pub struct NirError {
    /// The file, as the caller named it.
    pub file: String,
    /// The fault. The message contains it, so the source does not repeat it.
    pub problem: Problem,
}

impl Problem {
    /// The problem as one of a file.
    pub(super) fn in_file(self, file: &str) -> NirError {
        NirError {
            file: file.to_owned(),
            problem: self,
        }
    }
}

/// Fault of a NIR file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The content is no HDF5, or HDF5 of another kind.
    #[error("is no NIR graph: {reason}; write it again with nir.write()")]
    Format {
        /// The finding.
        reason: String,
    },
    /// Something in the file cannot be read.
    #[error("HDF5 object \"{object}\": {reason}")]
    Object {
        /// The path of the object in the HDF5 file.
        object: String,
        /// The fault.
        reason: String,
    },
    /// More of something than is read.
    #[error("{what} of {found} is above the limit of {limit}")]
    TooLarge {
        /// The measure.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A type of node that is not known here.
    #[error("the node \"{node}\" is of the type {found}; known types are {known}")]
    Type {
        /// The node's name.
        node: String,
        /// Its type.
        found: String,
        /// The types that are known.
        known: String,
    },
    /// A node contradicts itself, or what comes into it.
    #[error("the node \"{node}\" ({kind}): {reason}")]
    Node {
        /// The node's name.
        node: String,
        /// Its type.
        kind: &'static str,
        /// The finding, and the remedy.
        reason: String,
    },
    /// An edge names a node that is not there.
    #[error(
        "the edge {edge} names \"{missing}\", which is no node; {there}. Mend the edges before nir.write(): frameworks of before \
         nir 1.0.8 write such files unchecked"
    )]
    Dangling {
        /// The edge's ends, in words.
        edge: String,
        /// The end at fault.
        missing: String,
        /// The nodes that there are, in words, and which may be meant.
        there: String,
    },
    /// Nodes that need each other within a step.
    #[error(
        "the nodes {nodes} form a cycle without neurons; a cycle takes its delay where neurons spike, so that it needs some"
    )]
    Cycle {
        /// The nodes, in words.
        nodes: String,
    },
    /// A choice of semantics that there is not.
    #[error("{0}")]
    Choice(String),
    /// A recorded sample does not fit.
    #[error("{0}")]
    Trace(String),
}
