//! Weights of CuDNNGRU and CuDNNLSTM in the layout of GRU and LSTM, as `preprocess_weights_for_loading` of Keras 2
//! does.

use super::keras1::changed;
use super::weights::Array;
use crate::keras::model::{Cell, LayerConfig, Recurrent};

/// The arrays of a layer's weights in today's layout; a bias of both CuDNN's vectors tells CuDNN's.
pub(super) fn converted<'a>(config: &LayerConfig, arrays: Vec<Array<'a>>) -> Vec<Array<'a>> {
    let layers: Vec<&Recurrent> = match config {
        LayerConfig::Recurrent(layer) => vec![layer],
        LayerConfig::Bidirectional(both) => vec![&both.forward_layer, &both.backward_layer],
        _ => return arrays,
    };
    if arrays.len() != 3 * layers.len() {
        return arrays;
    }
    let mut arrays = arrays.into_iter();
    (layers.into_iter())
        .flat_map(|layer| of_layer(layer, arrays.by_ref().take(3).collect()))
        .collect()
}

fn of_layer<'a>(layer: &Recurrent, arrays: Vec<Array<'a>>) -> Vec<Array<'a>> {
    let (units, gates) = (layer.units, layer.cell.gates());
    let width = units.saturating_mul(gates);
    let of_both = vec![width.saturating_mul(2) as u64];
    let own = arrays.get(2).is_some_and(|bias| bias.shape == of_both);
    if !own || layer.cell == Cell::Simple {
        return arrays;
    }
    let lstm = layer.cell == Cell::Lstm;
    let mut arrays = arrays.into_iter();
    let mut next = |change: Box<dyn Fn(Vec<f32>) -> Vec<f32>>, shape: Option<Vec<u64>>| {
        arrays.next().map(|array| {
            let shape = shape.unwrap_or_else(|| array.shape.clone());
            changed(array, shape, change)
        })
    };
    // Each gate's part of the kernel lies there as the transposed matrix does, in the shape of the plain one.
    let kernel = next(
        Box::new(move |values| {
            let rows = values.len().checked_div(width).unwrap_or(0);
            let from = |row: usize, gate: usize, unit: usize| {
                let place = unit * rows + row;
                (place / units.max(1)) * width + gate * units + place % units.max(1)
            };
            moved(&values, rows, [gates, units], from)
        }),
        None,
    );
    let recurrent = next(
        Box::new(move |values| {
            let from = |row: usize, gate: usize, unit: usize| unit * width + gate * units + row;
            moved(&values, units, [gates, units], from)
        }),
        None,
    );
    // An LSTM has the sum of both; a GRU keeps them apart.
    let shape = if lstm {
        vec![width as u64]
    } else {
        vec![2, width as u64]
    };
    let bias = next(
        Box::new(move |values| {
            if !lstm {
                return values;
            }
            let (a, b) = values.split_at(width.min(values.len()));
            a.iter().zip(b).map(|(a, b)| a + b).collect()
        }),
        Some(shape),
    );
    [kernel, recurrent, bias].into_iter().flatten().collect()
}

/// The values of a matrix of `rows`, whose columns are units of gates, from their places in another order.
fn moved(
    values: &[f32],
    rows: usize,
    [gates, units]: [usize; 2],
    from: impl Fn(usize, usize, usize) -> usize,
) -> Vec<f32> {
    let mut all = Vec::with_capacity(values.len());
    for row in 0..rows {
        for gate in 0..gates {
            for unit in 0..units {
                all.push(
                    values
                        .get(from(row, gate, unit))
                        .copied()
                        .unwrap_or(f32::NAN),
                );
            }
        }
    }
    all
}
