//! The listing for people.

use std::fmt;

use super::{Listing, TransformListing};
use crate::text::escaped;

impl fmt::Display for Listing {
    /// One object a line, in Nengo's words, under its kind and count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.net_label {
            writeln!(f, "Network '{}'", escaped(label))?;
        }
        writeln!(f, "nodes ({})", self.nodes.len())?;
        for node in &self.nodes {
            write!(f, "  {}", escaped(&node.repr))?;
            match (&node.tensor_func, &node.output) {
                (Some(func), _) => {
                    write!(
                        f,
                        " {func} {:?} -> {:?}",
                        node.shape_in.as_deref().unwrap_or(&[]),
                        node.shape_out.as_deref().unwrap_or(&[])
                    )?;
                }
                (None, Some(Some(_))) => write!(f, " -> {}", node.size_out)?,
                (None, _) => write!(f, " {} -> {}", node.size_in, node.size_out)?,
            }
            writeln!(f)?;
        }
        writeln!(f, "ensembles ({})", self.ensembles.len())?;
        for ensemble in &self.ensembles {
            writeln!(
                f,
                "  {} {} neurons, {}, gain={}, bias={}",
                escaped(&ensemble.repr),
                ensemble.n_neurons,
                ensemble.neuron_type,
                ensemble.gain,
                ensemble.bias
            )?;
        }
        writeln!(f, "connections ({})", self.connections.len())?;
        for connection in &self.connections {
            writeln!(
                f,
                "  <Connection from {} to {}> {}, synapse={}, trainable={}",
                escaped(&shortened(&connection.pre)),
                escaped(&shortened(&connection.post)),
                connection.transform,
                connection.synapse,
                connection.trainable
            )?;
        }
        writeln!(f, "probes ({})", self.probes.len())?;
        for probe in &self.probes {
            writeln!(f, "  <Probe of {}> synapse={}", probe.target, probe.synapse)?;
        }
        if !self.networks.is_empty() {
            writeln!(f, "networks ({})", self.networks.len())?;
            for network in &self.networks {
                writeln!(f, "  <Network '{network}'>")?;
            }
        }
        Ok(())
    }
}

/// Indices of a slice that a person wants to see at either end.
const EDGE: usize = 3;

/// An object with a long index list cut to its ends.
fn shortened(object: &str) -> String {
    let Some((name, indices)) = object.split_once("[[") else {
        return object.to_owned();
    };
    let indices: Vec<&str> = indices.trim_end_matches(']').split(' ').collect();
    if indices.len() <= 2 * EDGE + 1 {
        return object.to_owned();
    }
    format!(
        "{name}[[{} ... {}]]",
        indices[..EDGE].join(" "),
        indices[indices.len() - EDGE..].join(" ")
    )
}

impl fmt::Display for TransformListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTransform { shape } => write!(f, "NoTransform {shape:?}"),
            Self::Dense {
                shape, init_shape, ..
            } if init_shape.len() < 2 => {
                write!(f, "Dense {shape:?} of {init_shape:?}")
            }
            Self::Dense { shape, .. } => write!(f, "Dense {shape:?}"),
            Self::Sparse { shape, nnz, .. } => write!(f, "Sparse {shape:?} with {nnz} entries"),
            Self::Convolution {
                kernel_shape,
                input_shape,
                output_shape,
                strides,
                padding,
                groups,
                dilation,
                ..
            } => {
                write!(
                    f,
                    "Convolution {input_shape:?} -> {output_shape:?} kernel {kernel_shape:?} \
                     strides {strides:?} {padding}"
                )?;
                if let Some(groups) = groups {
                    write!(f, " groups {groups}")?;
                }
                if let Some(dilation) = dilation {
                    write!(f, " dilation {dilation:?}")?;
                }
                Ok(())
            }
        }
    }
}
