//! A function of one value as a sum of straight pieces, each of which a rectifier with a maximum computes.

/// Values of the function are taken from minus this on to this.
const REACH: f32 = 32.0;
/// Values of the function to a unit.
const FINENESS: usize = 128;
/// Half the part of the domain whose values tell how large the function's range is.
const USUAL: f32 = 3.0;
/// The share of that range by which the sum may miss the function.
const TOLERANCE: f32 = 0.01;
/// The same for functions that are made of straight pieces.
const EXACT: f32 = 1e-5;
/// The most pieces of a function that are taken for its own.
const OWN: usize = 3;
/// The most pieces of a sum.
const MOST: usize = 12;

/// A sum of straight pieces: offset + Σ slope · min(max(sign · x - start, 0), width).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pieces {
    pub(super) offset: f32,
    pub(super) pieces: Vec<Piece>,
    /// The least value; `None` if there is none.
    pub(super) least: Option<f32>,
    /// The largest difference from the function.
    pub(super) error: f32,
}

/// A straight piece, which is 0 before its start and constant behind its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    /// 1 if it counts x, -1 if it counts -x.
    pub(super) sign: f32,
    pub(super) start: f32,
    /// Its length; `None` if it goes on for ever.
    pub(super) width: Option<f32>,
    pub(super) slope: f32,
}

/// The places at which functions are looked at.
pub(super) fn places() -> Vec<f32> {
    let half = REACH as usize * FINENESS;
    (0..=2 * half)
        .map(|at| at as f32 / FINENESS as f32 - REACH)
        .collect()
}

impl Pieces {
    /// The pieces of the function with these values at [`places`]; `None` if it has jumps, no slope at an end, or
    /// needs too many.
    pub(super) fn of(values: &[f32]) -> Option<Self> {
        let places = places();
        if values.len() != places.len() || values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let usual = places
            .iter()
            .zip(values)
            .filter(|(x, _)| x.abs() <= USUAL)
            .map(|(_, y)| *y);
        let (low, high) = usual.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), y| {
            (a.min(y), b.max(y))
        });
        let range = high - low;
        if range <= 0.0 {
            return None;
        }
        let last = values.len() - 1;
        let ends = [
            slope_at_end(values[0], values[FINENESS], values[2 * FINENESS])?,
            slope_at_end(
                values[last],
                values[last - FINENESS],
                values[last - 2 * FINENESS],
            )?,
        ];
        // Where the function is flat, the sum needs no piece.
        let anchor = match ends {
            [0.0, _] => 0,
            [_, 0.0] => last,
            _ => last / 2,
        };
        let fit = |tolerance| Self::from(anchor, values, ends, tolerance * range);
        fit(EXACT)
            .filter(|fit| fit.pieces.len() <= OWN)
            .or_else(|| fit(TOLERANCE).filter(|fit| fit.pieces.len() <= MOST))
            // A jump is a piece that is steep and ends at the next place.
            .filter(|fit| fit.error <= 2.0 * TOLERANCE * range && fit.is_gradual())
    }

    /// The pieces from a place on, to both sides, that stay within a tolerance of the values.
    fn from(anchor: usize, values: &[f32], ends: [f32; 2], tolerance: f32) -> Option<Self> {
        let places = places();
        let (x, y) = (places[anchor], values[anchor]);
        let side = |sign: f32| -> Vec<Piece> {
            let to: Vec<(f32, f32)> = match sign < 0.0 {
                true => (0..anchor)
                    .rev()
                    .map(|at| (x - places[at], values[at] - y))
                    .collect(),
                false => (anchor + 1..values.len())
                    .map(|at| (places[at] - x, values[at] - y))
                    .collect(),
            };
            let end = ends[usize::from(sign > 0.0)];
            within(&to, end, tolerance)
                .into_iter()
                .filter(|line| line.slope != 0.0)
                .map(|line| Piece {
                    sign,
                    start: sign * x + line.start,
                    width: line.width,
                    slope: line.slope,
                })
                .collect()
        };
        let mut pieces = side(-1.0);
        pieces.extend(side(1.0));
        let mut sum = Self {
            offset: y,
            pieces,
            least: None,
            error: 0.0,
        };
        let own: Vec<f32> = places.iter().map(|x| sum.at(*x)).collect();
        let missed = own.iter().zip(values).map(|(a, b)| (a - b).abs());
        sum.error = missed.fold(0.0, f32::max);
        let falls = |piece: &Piece| piece.width.is_none() && piece.slope < 0.0;
        sum.least = (!sum.pieces.iter().any(falls)).then(|| {
            let least = own.iter().copied().fold(f32::INFINITY, f32::min);
            if least.abs() <= EXACT { 0.0 } else { least }
        });
        (!sum.pieces.is_empty()).then_some(sum)
    }

    /// The sum at a place.
    pub(super) fn at(&self, x: f32) -> f32 {
        let pieces = self.pieces.iter().map(|piece| {
            let reached = (piece.sign * x - piece.start).max(0.0);
            piece.slope * piece.width.map_or(reached, |width| reached.min(width))
        });
        pieces.fold(self.offset, |sum, value| sum + value)
    }

    fn is_gradual(&self) -> bool {
        let shortest = 2.0 / FINENESS as f32;
        (self.pieces.iter()).all(|piece| piece.width.is_none_or(|width| width > shortest))
    }
}

/// The slope towards an end of the values; `None` if it still changes there.
fn slope_at_end(end: f32, next: f32, inner: f32) -> Option<f32> {
    let [outer, inner] = [end - next, next - inner];
    let settled = (outer - inner).abs() <= 1e-3 * outer.abs().max(0.1);
    settled.then(|| if outer.abs() < 1e-4 { 0.0 } else { outer })
}

/// A line that goes on from the end of the one before.
struct Line {
    start: f32,
    width: Option<f32>,
    slope: f32,
}

/// Lines from (0, 0) on through the points, none of which they miss by more than a tolerance; the last one, of the
/// slope `end`, goes on for ever. Each is as long as can be. The first may be flat, and is left out then.
fn within(points: &[(f32, f32)], end: f32, tolerance: f32) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut x, mut y) = (0.0, 0.0);
    let mut at = 0;
    // From here on the function has the slope of its end.
    let straight = points.iter().rposition(|(px, py)| {
        let (last_x, last_y) = points[points.len() - 1];
        (py - (last_y + end * (px - last_x))).abs() > tolerance
    });
    // The line before ends at the first of these.
    let straight = straight.map_or(0, |at| (at + 2).min(points.len()));
    while at < straight && points[at].1.abs() <= tolerance {
        x = points[at].0;
        at += 1;
    }
    while at < straight {
        let (mut low, mut high) = (f32::NEG_INFINITY, f32::INFINITY);
        let first = at;
        while at < straight {
            let (px, py) = points[at];
            let [least, most] = [py - tolerance, py + tolerance].map(|v| (v - y) / (px - x));
            if least.max(low) > most.min(high) {
                break;
            }
            (low, high) = (low.max(least), high.min(most));
            at += 1;
        }
        // The start misses the next point only at a jump.
        if at == first {
            let (px, py) = points[at];
            (low, high) = ((py - y) / (px - x), (py - y) / (px - x));
            at += 1;
        }
        let slope = f32::midpoint(low, high);
        let slope = if low <= 0.0 && high >= 0.0 {
            0.0
        } else {
            slope
        };
        let to = points[at - 1].0;
        lines.push(Line {
            start: x,
            width: Some(to - x),
            slope,
        });
        (x, y) = (to, y + slope * (to - x));
    }
    if end != 0.0 {
        lines.push(Line {
            start: x,
            width: None,
            slope: end,
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(f: impl Fn(f32) -> f32) -> Option<Pieces> {
        Pieces::of(&places().into_iter().map(f).collect::<Vec<_>>())
    }

    fn sigmoid(x: f32) -> f32 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn smooth_functions_are_met_within_a_hundredth_of_their_range() {
        type Function = fn(f32) -> f32;
        let functions: [(&str, Function, f32); 7] = [
            ("tanh", f32::tanh, -1.0),
            ("sigmoid", sigmoid, 0.0),
            ("elu", |x| if x > 0.0 { x } else { x.exp_m1() }, -1.0),
            ("swish", |x| x * sigmoid(x), -0.278),
            ("gelu", |x| x * sigmoid(1.702 * x), -0.17),
            ("softplus", |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), 0.0),
            ("softsign_like", |x| x / (1.0 + x * x).sqrt(), -1.0),
        ];
        for (name, function, least) in functions {
            let found = pieces(function).unwrap_or_else(|| panic!("{name}"));
            let range = function(3.0) - least;
            assert!(found.error <= 0.021 * range, "{name}: {found:?}");
            assert!(found.pieces.len() <= 9, "{name}: {found:?}");
            let own = found.least.unwrap();
            assert!((own - least).abs() < 0.03 * range, "{name}: {own}");
            for x in [-40.0f32, -7.3, -1.1, 0.0, 0.37, 2.2, 40.0] {
                let difference = (found.at(x) - function(x)).abs();
                assert!(difference < 0.03 * range, "{name}({x}): {difference}");
            }
        }
    }

    #[test]
    fn functions_of_straight_pieces_are_exact() {
        let hard_sigmoid = pieces(|x| (0.2 * x + 0.5).clamp(0.0, 1.0)).unwrap();
        assert_eq!(hard_sigmoid.pieces.len(), 1, "{hard_sigmoid:?}");
        let piece = hard_sigmoid.pieces[0];
        assert!(
            (piece.start + 2.5).abs() < 1e-3 && piece.width.is_some_and(|w| (w - 5.0).abs() < 1e-3)
        );
        let soft_shrink = pieces(|x| x - x.clamp(-0.5, 0.5)).unwrap();
        assert_eq!((soft_shrink.pieces.len(), soft_shrink.least), (2, None));
        assert!(soft_shrink.error < 1e-4, "{soft_shrink:?}");
        assert!((soft_shrink.at(-100.0) + 99.5).abs() < 1e-2);
    }

    #[test]
    fn jumps_and_growth_without_a_slope_are_refused() {
        assert_eq!(pieces(|x| if x.abs() > 0.5 { x } else { 0.0 }), None);
        assert_eq!(pieces(f32::exp), None);
        assert_eq!(pieces(|x| x * x), None);
        assert_eq!(pieces(|_| 1.0), None);
        assert_eq!(pieces(|x| 1.0 / x), None);
    }
}
