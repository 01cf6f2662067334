//! Max pooling as a population of windows over one layer's neurons.
//!
//! The largest of a x + b is a times the largest x plus b, or the least x if a is below zero. So what scales channels
//! before the windows, such as batch normalization, goes behind them.

use super::error::unsupported;
use super::resolve::{Affine, Refused, Resolved, Resolver};
use super::wiring::Wiring;
use crate::graph::{Neuron, Pooled, Population, SourceMap};
use crate::network::{MaxPool, Network, NodeId, NodeKind, Post, Pre};

/// The population of a node that pools, the source that it counts, and its view of that.
pub(super) fn pooled(
    network: &Network,
    node: NodeId,
    resolver: &mut Resolver<'_>,
) -> Result<(Population, Pre, SourceMap), Refused> {
    let resolved = resolver.sum_into(Post::Node(node))?;
    let object = &network.nodes[node.0];
    let NodeKind::Max(pool) = &object.kind else {
        return Err(super::order::looped(&object.label).into());
    };
    if resolved.terms.iter().any(|term| term.synapse.is_some()) {
        return Err(unsupported(
            &object.label,
            "max pooling behind a synapse",
            "convert the network without one",
        )
        .into());
    }
    let counted = counted(network, pool, &resolved).ok_or_else(|| Refused {
        error: unsupported(
            &object.label,
            "max pooling of something else than one layer's neurons",
            "put an activation such as relu before it",
        ),
        cut: Some(node),
    })?;
    let [height, width, channels] = pool.shape();
    let order = match pool.channels_last {
        true => Wiring::identity(pool.size_out()),
        false => Wiring::channels_last(height * width, channels),
    };
    let each = |of_channel: &[f32]| {
        let values = of_channel.iter().copied();
        let in_order: Vec<f32> = values.cycle().take(pool.size_out()).collect();
        let mut values = vec![0.0; pool.size_out()];
        for (row, value) in order.rows().zip(in_order) {
            values[row[0].0 as usize] = value;
        }
        values
    };
    let affine = Affine {
        scale: each(&counted.scale),
        bias: each(&counted.bias),
        order: order.clone(),
    };
    resolver.pooled(node, affine);
    let population = Population {
        label: object.label.clone(),
        neurons: pool.size_out(),
        shape: pool.shape(),
        channels,
        bias: vec![0.0; channels],
        delayed_bias: Vec::new(),
        neuron: Neuron::Pooled(Pooled {
            least: counted.scale.iter().map(|scale| *scale < 0.0).collect(),
            pool: MaxPool {
                channels_last: true,
                ..pool.clone()
            },
        }),
        ceiling: None,
        ensemble: None,
    };
    Ok((population, counted.pre, counted.source))
}

/// One source, and how the places of windows see it.
struct Counted {
    pre: Pre,
    source: SourceMap,
    /// Factor of each channel.
    scale: Vec<f32>,
    /// Offset of each channel.
    bias: Vec<f32>,
}

/// Neurons of one layer whose channels are scaled and offset; `None` if it is anything else.
fn counted(network: &Network, pool: &MaxPool, resolved: &Resolved) -> Option<Counted> {
    let [term] = resolved.terms.as_slice() else {
        return None;
    };
    if let Pre::Node(n) = term.pre
        && !matches!(network.nodes[n.0].kind, NodeKind::Max(_))
    {
        return None;
    }
    if term.path.middle.is_some() {
        return None;
    }
    let [height, width, channels] = pool.input;
    let order = match pool.channels_last {
        true => Wiring::identity(pool.size_in()),
        false => Wiring::channels_last(height * width, channels),
    };
    let seen = order.after(&term.path.before)?;
    let bias: Vec<f32> = (order.rows())
        .map(|row| resolved.bias[row[0].0 as usize])
        .collect();
    let mut scale = vec![None; channels];
    let mut to = vec![None; seen.inputs];
    for (at, row) in seen.rows().enumerate() {
        let &[(from, value)] = match row {
            [] => continue,
            [entry] => std::array::from_ref(entry),
            _ => return None,
        };
        let scale = scale[at % channels].get_or_insert(value);
        let twice = to[from as usize].replace(at as u32).is_some();
        if twice || !near(*scale, value) {
            return None;
        }
    }
    let uniform = |(at, value): (usize, &f32)| near(bias[at % channels], *value);
    if !bias.iter().enumerate().all(uniform) {
        return None;
    }
    let direct = to.len() == pool.size_in() && (0..).zip(&to).all(|(at, to)| *to == Some(at));
    Some(Counted {
        pre: term.pre,
        source: if direct {
            SourceMap::Direct
        } else {
            SourceMap::Table {
                places: pool.size_in(),
                to,
            }
        },
        scale: scale.iter().map(|scale| scale.unwrap_or(1.0)).collect(),
        bias: bias[..channels].to_vec(),
    })
}

/// Tells whether two values differ by no more than the rounding of sums.
fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= a.abs().max(b.abs()) * 1e-6
}
