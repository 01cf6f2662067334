//! Rectified neurons: V += max(J, 0) - slope · max(-J, 0); n = V / θ, rounded towards zero; V -= n θ.

use core::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::integrate_and_fire::{IntegrateAndFire, add, fire_down_to};
use super::{Drive, Kind, Neurons};
use crate::event::Events;
use crate::fixed::scaled;
use crate::image::reader::Reader;

/// Neurons that integrate a rectified current; n = V / θ, rounded towards zero and clamped to ± max_count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rectified {
    /// The slope below zero, in parts of 2^16.
    pub negative_slope: u16,
}

impl Rectified {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            negative_slope: reader.u16(),
        }
    }
}

impl Kind for Rectified {
    fn start(&self, threshold: i32, share: u16) -> u32 {
        IntegrateAndFire.start(threshold, share)
    }

    fn potential(&self, stored: u32) -> i32 {
        IntegrateAndFire.potential(stored)
    }

    fn settle(&self, current: i32) -> i32 {
        rectified(current, self.negative_slope)
    }

    fn saturate(&self, state: &mut [u32], limits: RangeInclusive<i32>) {
        IntegrateAndFire.saturate(state, limits);
    }

    fn adds(&self) -> bool {
        true
    }

    fn fires_above(&self) -> bool {
        self.negative_slope == 0
    }

    fn charge(&self, neurons: &mut Neurons<'_>, mut drive: Drive<'_>) {
        let currents = drive.currents;
        match self.negative_slope {
            0 => {
                let rectify = |v: &mut u32, j: i32| add(v, j.max(0));
                drive.inbox.advance(neurons.state, currents, rectify);
            }
            slope => {
                let rectify = |v: &mut u32, j| add(v, rectified(j, slope));
                drive.inbox.advance(neurons.state, currents, rectify);
            }
        }
    }

    fn fire(&self, neurons: &mut Neurons<'_>, from: usize, events: &mut Events) -> usize {
        let least = match self.negative_slope {
            0 => 0,
            _ => -i32::from(neurons.max_count),
        };
        fire_down_to(least, neurons, from, events)
    }
}

/// The current to add: all of it above zero, a share of it below.
#[inline]
fn rectified(current: i32, negative_slope: u16) -> i32 {
    let below = scaled(current.min(0).wrapping_neg(), negative_slope);
    current.max(0).wrapping_sub(below)
}
