//! The order in which a device holds neurons: channels last.

use super::wiring::Wiring;
use crate::network::Ensemble;

/// A shape as height, width and channels.
pub(super) fn planes(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [] => [1, 1, 1],
        [channels] => [1, 1, channels],
        [width, channels] => [1, width, channels],
        [height, width, channels] => [height, width, channels],
        [ref places @ .., channels] => [1, places.iter().product(), channels],
    }
}

/// The shape in which a device holds an ensemble's neurons, and how they get there from Keras's order.
pub(super) fn device_order(ensemble: &Ensemble) -> ([usize; 3], Wiring) {
    let n = ensemble.n_neurons;
    let shape = &ensemble.shape;
    if shape.iter().product::<usize>() != n {
        return ([1, 1, n], Wiring::identity(n));
    }
    match shape.split_first() {
        Some((&channels, places)) if !ensemble.channels_last && !places.is_empty() => {
            let last = [places, &[channels]].concat();
            let order = Wiring::channels_last(places.iter().product(), channels);
            (planes(&last), order)
        }
        _ => (planes(shape), Wiring::identity(n)),
    }
}
