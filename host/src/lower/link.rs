//! Path → link: the synapses of a link in the forms that images have.

use super::error::{COMPOSITION, PLACES, VOLUMES, WINDOWS};
use super::path::{MAX_COMPOSED, Middle, Path, VOLUME, Weights, matrix_after, sum};
use super::wiring::Wiring;
use crate::graph::{Convolution, Dense, LinearMap, Link, SourceMap, Window};
use crate::tensor::Tensor;

/// A map between places that has none of an image's forms.
pub(super) const MIXTURE: &str = "an order or a mixture of places that no convolution has";

/// Averages that no weights share.
pub(super) const UNEVEN: &str =
    "an average over windows of different sizes, as padding=\"same\" leaves at the border,";

/// Advice on what an image cannot hold.
pub(super) fn advice(what: &str) -> &'static str {
    match what {
        MIXTURE => PLACES,
        UNEVEN => WINDOWS,
        VOLUME => VOLUMES,
        _ => COMPOSITION,
    }
}

/// Turns a path into a map of the source and weights. `source` is the source's shape, `target` the target's,
/// both channels last; `Err` says what an image cannot hold.
pub(super) fn finish(
    path: Path,
    source: [usize; 3],
    target: [usize; 3],
) -> Result<(SourceMap, LinearMap), String> {
    let Path { before, middle } = path;
    match middle {
        None => {
            let whole = convolution(Convolution::one_to_one(target), &before, source);
            let flat = [1, 1, target.iter().product()];
            whole
                .or_else(|| convolution(Convolution::one_to_one(flat), &before, source))
                .or_else(|| {
                    let one = Weights::Convolution(Convolution::one_to_one(flat));
                    matrix(&one, &Wiring::identity(flat[2]), &before)
                })
                .ok_or_else(|| match averages_unevenly(&before) {
                    true => UNEVEN.into(),
                    false => MIXTURE.into(),
                })
        }
        Some(Middle { weights, after }) => {
            let made = match &weights {
                Weights::Dense(w) => placed(w, &after).and_then(|d| dense(d, &before, source)),
                Weights::Convolution(c) => c
                    .placed(&after)
                    .and_then(|c| convolution(c, &before, source)),
            };
            made.or_else(|| matrix(&weights, &after, &before))
                .ok_or_else(|| {
                    "a convolution whose input or output is taken apart or put together in this way"
                        .into()
                })
        }
    }
}

/// Tells whether rows are averages, of which some are over fewer values than others.
fn averages_unevenly(wiring: &Wiring) -> bool {
    let mut sizes = wiring.rows().map(<[_]>::len);
    let first = sizes.next();
    let uneven = sizes.any(|size| Some(size) != first);
    let averages = |values: Vec<f32>| {
        let mut rows = wiring.rows().zip(values).filter(|(row, _)| !row.is_empty());
        rows.all(|(row, value)| (value * row.len() as f32 - 1.0).abs() < 1e-3)
    };
    uneven && wiring.adds() && wiring.row_values().is_some_and(averages)
}

/// Links into one target, with those that have one source and one synapse added up as far as the sum is
/// no larger. `sizes` are those of a source and of the target.
pub(super) fn combined(links: Vec<Link>, sizes: impl Fn(&Link) -> [usize; 2]) -> Vec<Link> {
    let mut all: Vec<Link> = Vec::with_capacity(links.len());
    for mut link in links {
        let mut place = all.len();
        // A sum may in turn fit others.
        while let Some((at, both)) = all.iter().enumerate().find_map(|(at, kept)| {
            let alike = kept.pre == link.pre && kept.synapse == link.synapse;
            let both = alike.then(|| combine(kept, &link, sizes(kept))).flatten()?;
            Some((at, both))
        }) {
            all.remove(at);
            place = place.min(at);
            link = both;
        }
        all.insert(place.min(all.len()), link);
    }
    all
}

/// The sum of two links of one source and one target, if it is no larger than both.
fn combine(a: &Link, b: &Link, sizes: [usize; 2]) -> Option<Link> {
    let map = match (&a.map, &b.map) {
        (LinearMap::Dense(x), LinearMap::Dense(y)) if a.source == b.source => {
            x.plus(y).map(LinearMap::Dense)
        }
        (LinearMap::Convolution(x), LinearMap::Convolution(y)) if a.source == b.source => {
            let sum = x.beside(y).or_else(|| x.with(y)).or_else(|| y.with(x));
            sum.map(LinearMap::Convolution)
        }
        _ => None,
    };
    if let Some(map) = map {
        return Some(Link { map, ..a.clone() });
    }
    // A full matrix has room for all.
    [(a, b), (b, a)].into_iter().find_map(|(a, b)| {
        let (LinearMap::Dense(d), SourceMap::Direct) = (&a.map, &a.source) else {
            return None;
        };
        let map = LinearMap::Dense(d.with(b, sizes)?);
        Some(Link { map, ..a.clone() })
    })
}

impl Dense {
    /// The sum of two matrices whose rows follow or overlap each other.
    fn plus(&self, other: &Self) -> Option<Self> {
        let [rows, columns] = *self.weights.shape() else {
            return None;
        };
        let [others, seen] = *other.weights.shape() else {
            return None;
        };
        let first = self.first.min(other.first);
        let end = (self.first + rows).max(other.first + others);
        if columns != seen || end - first > rows + others {
            return None;
        }
        if rows == others && self.first == other.first {
            let weights = sum(&self.weights, &other.weights)?;
            return Some(Self { weights, first });
        }
        let mut data = vec![0.0; (end - first) * columns];
        for part in [self, other] {
            let to = data.iter_mut().skip((part.first - first) * columns);
            to.zip(part.weights.data()).for_each(|(to, w)| *to += w);
        }
        let weights = Tensor::new(vec![end - first, columns], data)?;
        Some(Self { weights, first })
    }

    /// The sum of this matrix and a link that reaches no other rows; `None` if they are too large.
    fn with(&self, link: &Link, [inputs, outputs]: [usize; 2]) -> Option<Self> {
        /// Columns that are computed at once.
        const AT_ONCE: usize = 64;
        let [rows, columns] = *self.weights.shape() else {
            return None;
        };
        if columns != inputs || inputs.checked_mul(outputs)? > MAX_COMPOSED {
            return None;
        }
        let mut data = self.weights.data().to_vec();
        for start in (0..inputs).step_by(AT_ONCE) {
            let count = AT_ONCE.min(inputs - start);
            let mut units = vec![0.0; count * inputs];
            for column in 0..count {
                units[column * inputs + start + column] = 1.0;
            }
            let mut reached = vec![0.0; count * outputs];
            link.apply_batch(count, &units, &mut reached).ok()?;
            for (column, reached) in reached.chunks(outputs).enumerate() {
                for (row, &value) in reached.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                    let row = row.checked_sub(self.first).filter(|row| *row < rows)?;
                    data[row * columns + start + column] += value;
                }
            }
        }
        Some(Self {
            weights: Tensor::new(vec![rows, columns], data)?,
            first: self.first,
        })
    }
}

impl Convolution {
    /// The sum of two convolutions of one kind whose filters follow or overlap each other.
    fn beside(&self, other: &Self) -> Option<Self> {
        let [ky, kx, inner, filters] = *self.kernel.shape() else {
            return None;
        };
        let first = self.first.min(other.first);
        let end = (self.first + filters).max(other.first + other.filters());
        let same = (
            self.input,
            self.output,
            self.stride,
            self.padding,
            self.dilation,
        ) == (
            other.input,
            other.output,
            other.stride,
            other.padding,
            other.dilation,
        ) && self.kernel.shape()[..3] == other.kernel.shape()[..3]
            && self.groups == 1
            && other.groups == 1;
        if !same || end - first > filters + other.filters() {
            return None;
        }
        let mut data = vec![0.0; ky * kx * inner * (end - first)];
        for part in [self, other] {
            let own = part.kernel.data().chunks(part.filters().max(1));
            for (to, own) in data.chunks_mut(end - first).zip(own) {
                let to = to.iter_mut().skip(part.first - first);
                to.zip(own).for_each(|(to, w)| *to += w);
            }
        }
        Some(Self {
            kernel: Tensor::new(vec![ky, kx, inner, end - first], data)?,
            first,
            ..self.clone()
        })
    }

    /// The sum of this convolution and one that this one's kernel has room for.
    fn with(&self, other: &Self) -> Option<Self> {
        let [ky, kx, inner, filters] = *self.kernel.shape() else {
            return None;
        };
        let [other_ky, other_kx, other_inner, other_filters] = *other.kernel.shape() else {
            return None;
        };
        let geometry = |c: &Self| (c.input, c.output, c.stride);
        let offset = other.first.checked_sub(self.first)?;
        let grouped = self.groups > 1;
        let equal = self.groups == other.groups && offset == 0 && filters == other_filters;
        if geometry(self) != geometry(other)
            || grouped && !equal
            || offset + other_filters > filters
        {
            return None;
        }
        // The tap that sees what a tap of the other one sees.
        let tap = |axis: usize, at: usize| {
            let place = (at * other.dilation[axis] + self.padding[axis])
                .checked_sub(other.padding[axis])?;
            let tap = place / self.dilation[axis].max(1);
            let fits = place.is_multiple_of(self.dilation[axis].max(1)) && tap < [ky, kx][axis];
            fits.then_some(tap)
        };
        let outer = other_filters / other.groups.max(1);
        let mut data = self.kernel.data().to_vec();
        for (at, w) in other.kernel.data().iter().enumerate() {
            let (row, filter) = (at / other_filters, at % other_filters);
            let (place, i) = (row / other_inner, row % other_inner);
            let [y, x] = [tap(0, place / other_kx)?, tap(1, place % other_kx)?];
            let channel = if grouped {
                i
            } else {
                filter / outer.max(1) * other_inner + i
            };
            data[((y * kx + x) * inner + channel) * filters + offset + filter] += w;
        }
        debug_assert_eq!(
            other_ky * other_kx * other_inner * other_filters,
            other.kernel.len()
        );
        Some(Self {
            kernel: Tensor::new(self.kernel.shape().to_vec(), data)?,
            ..self.clone()
        })
    }
}

/// Multiplies everything into one matrix.
fn matrix(weights: &Weights, after: &Wiring, before: &Wiring) -> Option<(SourceMap, LinearMap)> {
    let weights = matrix_after(&weights.matrix(after)?, before)?;
    let map = LinearMap::Dense(Dense { weights, first: 0 });
    Some((SourceMap::Direct, map))
}

/// `after` the matrix, without the rows of zeros before and behind.
fn placed(w: &Tensor, after: &Wiring) -> Option<Dense> {
    if after.is_identity() {
        return Some(Dense {
            weights: w.clone(),
            first: 0,
        });
    }
    let mut rows = after.rows();
    let first = rows.clone().position(|row| !row.is_empty())?;
    let end = rows.rposition(|row| !row.is_empty())? + 1;
    let weights = Weights::Dense(w.clone()).matrix(&after.part(first..end))?;
    Some(Dense { weights, first })
}

/// A matrix after wiring.
fn dense(d: Dense, before: &Wiring, source: [usize; 3]) -> Option<(SourceMap, LinearMap)> {
    if before.is_identity() {
        return Some((SourceMap::Direct, LinearMap::Dense(d)));
    }
    let first = d.first;
    let map = |weights| LinearMap::Dense(Dense { weights, first });
    let direct = || Some((SourceMap::Direct, map(matrix_after(&d.weights, before)?)));
    // Places that see the same are one, and their order is the source's: what is left of the wiring
    // is what the matrix cannot take over.
    let mut order: Vec<usize> = (0..before.outputs())
        .filter(|&row| !before.row(row).is_empty())
        .collect();
    let seen = |row: usize| before.row(row).iter().map(|&(at, _)| at);
    order.sort_by(|&a, &b| seen(a).cmp(seen(b)));
    let uniform = before.row_values();
    let groups: Vec<&[usize]> = order.chunk_by(|&a, &b| seen(a).eq(seen(b))).collect();
    let Some(values) = uniform.filter(|_| groups.len() < before.inputs) else {
        return direct();
    };
    let [outputs, columns] = *d.weights.shape() else {
        return None;
    };
    let data = (0..outputs)
        .flat_map(|output| {
            let row = &d.weights.data()[output * columns..][..columns];
            let values = &values;
            groups
                .iter()
                .map(move |group| group.iter().map(|&at| row[at] * values[at]).sum())
        })
        .collect();
    let weights = Tensor::new(vec![outputs, groups.len()], data)?;
    let places: Vec<Vec<usize>> = groups
        .iter()
        .map(|group| seen(group[0]).map(|at| at as usize).collect())
        .collect();
    let channels = source[2];
    // Wiring that takes channels apart is no window of whole places.
    let pooled = places.len() / channels.max(1);
    let whole = places.len().is_multiple_of(channels.max(1));
    let windowed = (1..=pooled)
        .filter(|height| whole && pooled.is_multiple_of(*height))
        .find_map(|height| window(&places, source, [height, pooled / height, channels]));
    let seen = windowed.map(SourceMap::Window);
    match seen.or_else(|| table(&places, before.inputs)) {
        Some(seen) => Some((seen, map(weights))),
        None => direct(),
    }
}

/// A convolution after wiring.
fn convolution(
    c: Convolution,
    before: &Wiring,
    source: [usize; 3],
) -> Option<(SourceMap, LinearMap)> {
    if before.is_identity() {
        return Some((SourceMap::Direct, LinearMap::Convolution(c)));
    }
    let values = before.row_values()?;
    let seen = c.input[2];
    // The one value of each channel's rows, 0 if they are all empty.
    let factor = |channel: usize| {
        let rows = before.rows().zip(&values).skip(channel).step_by(seen);
        let mut used = rows.filter(|(row, _)| !row.is_empty()).map(|(_, v)| *v);
        let value = used.next().unwrap_or(0.0);
        used.all(|v| v == value).then_some(value)
    };
    let factors: Vec<f32> = (0..seen).map(factor).collect::<Option<_>>()?;
    let c = scaled_channels(&c, &factors)?;
    // The source may not have the shape that it is seen with: a matrix's outputs have one channel.
    let width = before.inputs.checked_div(seen).unwrap_or(0);
    let reshaped = (1..=width)
        .filter(|w| width.is_multiple_of(*w))
        .map(|w| [width / w, w, seen]);
    let shapes = std::iter::once(source).chain(reshaped.filter(|shape| *shape != source));
    let same = |map: &SourceMap| *map == SourceMap::Direct;
    let mut second = None;
    for shape in shapes {
        if shape.iter().product::<usize>() != before.inputs {
            continue;
        }
        match windowed(&c, before, shape, false) {
            Some(found) if same(&found.0) => return Some(found),
            Some(found) => {
                second.get_or_insert(found);
            }
            None => {}
        }
        // What a whole order needs does not depend on how it is named.
        if second.is_some() {
            break;
        }
    }
    let places: Vec<Vec<usize>> = before
        .rows()
        .map(|row| row.iter().map(|&(at, _)| at as usize).collect())
        .collect();
    second
        .or_else(|| {
            let map = table(&places, before.inputs)?;
            Some((map, LinearMap::Convolution(c.clone())))
        })
        .or_else(|| windowed(&c, before, source, true))
}

/// A convolution after wiring from a source of this shape, if each of its channels sees at most
/// one channel of the source, and all see it through the same window. `ungroup` allows to give up the
/// groups of the convolution for it.
fn windowed(
    c: &Convolution,
    before: &Wiring,
    shape: [usize; 3],
    ungroup: bool,
) -> Option<(SourceMap, LinearMap)> {
    let seen = c.input[2];
    let channels = shape[2];
    // The channel of the source that each channel sees.
    let mut from = vec![None; seen];
    for (at, row) in before.rows().enumerate() {
        for &(column, _) in row {
            let channel = column as usize % channels;
            if *from[at % seen].get_or_insert(channel) != channel {
                return None;
            }
        }
    }
    // All that do see one must see it alike.
    let template = from.iter().position(Option::is_some)?;
    let mut places = Vec::with_capacity(before.outputs() / seen);
    for first in (0..before.outputs()).step_by(seen) {
        let end = (first + seen).min(before.outputs());
        let rows: Vec<&[(u32, f32)]> = (first..end).map(|at| before.row(at)).collect();
        let place = |row: &[(u32, f32)]| -> Vec<usize> {
            row.iter().map(|&(at, _)| at as usize / channels).collect()
        };
        let expected = place(rows.get(template)?);
        let alike = rows
            .iter()
            .zip(&from)
            .all(|(row, from)| from.is_none() || place(row) == expected);
        if !alike {
            return None;
        }
        places.push(expected);
    }
    let c = selected_channels(c, &from, channels, ungroup)?;
    let [height, width, _] = c.input;
    let plane = [shape[0], shape[1], 1];
    let w = window(&places, plane, [height, width, 1])?;
    if let Some(direct) = padded(&c, &w) {
        return Some((SourceMap::Direct, LinearMap::Convolution(direct)));
    }
    let w = Window {
        input: shape,
        output: c.input,
        ..w
    };
    Some((SourceMap::Window(w), LinearMap::Convolution(c)))
}

/// A convolution of a source that the window only offsets, as one with other padding.
fn padded(c: &Convolution, w: &Window) -> Option<Convolution> {
    if w.pool != [1; 2] || w.repeat != [1; 2] {
        return None;
    }
    let mut padding = [0; 2];
    for (axis, padding) in padding.iter_mut().enumerate() {
        *padding = c.padding[axis].checked_add_signed(w.offset[axis])?;
        let (kernel, dilation) = (c.kernel.shape()[axis], c.dilation[axis]);
        let last = c.output[axis].checked_sub(1)? * c.stride[axis];
        // Where the source reaches beyond what the convolution sees, no window may reach.
        let cut = w.input[axis] as isize + w.offset[axis] > w.output[axis] as isize;
        let reaches = last + (kernel - 1) * dilation >= w.output[axis] + c.padding[axis];
        if w.offset[axis] < 0
            || *padding > (kernel - 1) * dilation
            || last >= w.input[axis] + *padding
            || cut && reaches
        {
            return None;
        }
    }
    Some(Convolution {
        input: [w.input[0], w.input[1], c.input[2]],
        padding,
        ..c.clone()
    })
}

/// The convolution of channels that are multiplied by `factors` before.
fn scaled_channels(c: &Convolution, factors: &[f32]) -> Option<Convolution> {
    let (channels, filters) = (c.input[2], c.filters());
    let (inner, outer) = (channels / c.groups, filters / c.groups);
    let data = c
        .kernel
        .data()
        .iter()
        .enumerate()
        .map(|(at, w)| {
            let (row, filter) = (at / filters, at % filters);
            w * factors[filter / outer * inner + row % inner]
        })
        .collect();
    Some(Convolution {
        kernel: Tensor::new(c.kernel.shape().to_vec(), data)?,
        ..c.clone()
    })
}

/// The convolution of a source with `channels` channels, of which each channel that it saw was one,
/// or none.
fn selected_channels(
    c: &Convolution,
    from: &[Option<usize>],
    channels: usize,
    ungroup: bool,
) -> Option<Convolution> {
    let seen = c.input[2];
    let in_order = |from: &[Option<usize>]| (0..).zip(from).all(|(i, f)| *f == Some(i));
    if channels == seen && in_order(from) {
        return Some(c.clone());
    }
    // A run of whole groups stays grouped.
    let (inner, outer) = (seen / c.groups, c.filters() / c.groups);
    let first = from.iter().position(Option::is_some)?;
    let end = from.iter().rposition(Option::is_some)? + 1;
    let whole_groups = first.is_multiple_of(inner) && end.is_multiple_of(inner);
    if end - first == channels && whole_groups && in_order(&from[first..end]) && c.groups > 1 {
        let filters = first / inner * outer..end / inner * outer;
        let rows = c.kernel.data().chunks(c.filters());
        let data = rows
            .flat_map(|row| &row[filters.clone()])
            .copied()
            .collect();
        let mut shape = c.kernel.shape().to_vec();
        shape[3] = filters.len();
        return Some(Convolution {
            input: [c.input[0], c.input[1], channels],
            kernel: Tensor::new(shape, data)?,
            groups: channels / inner,
            first: c.first + filters.start,
            ..c.clone()
        });
    }
    if c.groups > 1 && !ungroup {
        return None;
    }
    let whole = c.ungrouped()?;
    let [ky, kx, _, filters] = *whole.kernel.shape() else {
        return None;
    };
    let mut data = vec![0.0; ky * kx * channels * filters];
    for (row, weights) in whole.kernel.data().chunks(filters).enumerate() {
        let (tap, channel) = (row / seen, row % seen);
        if let Some(source) = from[channel] {
            let to = &mut data[(tap * channels + source) * filters..][..filters];
            to.iter_mut().zip(weights).for_each(|(to, w)| *to += w);
        }
    }
    Some(Convolution {
        input: [c.input[0], c.input[1], channels],
        kernel: Tensor::new(vec![ky, kx, channels, filters], data)?,
        ..whole
    })
}

/// The window through which places of `output` see those of `input`, if it is one.
fn window(places: &[Vec<usize>], input: [usize; 3], output: [usize; 3]) -> Option<Window> {
    let channels = input[2];
    if places.len() != output.iter().product::<usize>() || channels == 0 {
        return None;
    }
    let mut w = Window {
        input,
        output,
        pool: [1; 2],
        repeat: [1; 2],
        offset: [0; 2],
    };
    for axis in 0..2 {
        // What each place of the output sees along this axis.
        let mut seen = vec![Vec::new(); output[axis]];
        for (at, from) in places.iter().enumerate() {
            let along = |place: usize, shape: [usize; 3]| match axis {
                0 => place / shape[2] / shape[1],
                _ => place / shape[2] % shape[1],
            };
            let seen: &mut Vec<usize> = &mut seen[along(at, output)];
            if seen.is_empty() {
                seen.extend(from.iter().map(|&from| along(from, input)));
                seen.sort_unstable();
                seen.dedup();
            }
        }
        let mut seen_by = vec![Vec::new(); input[axis]];
        for (at, from) in seen.iter().enumerate() {
            for &from in from {
                seen_by[from].push(at);
            }
        }
        w.pool[axis] = seen.iter().map(Vec::len).max().filter(|&n| n > 0)?;
        w.repeat[axis] = seen_by.iter().map(Vec::len).max()?;
        let (from, first) = seen_by
            .iter()
            .enumerate()
            .find(|(_, by)| by.len() == w.repeat[axis])
            .and_then(|(from, by)| Some((from, *by.first()?)))?;
        w.offset[axis] = first as isize - (from / w.pool[axis] * w.repeat[axis]) as isize;
    }
    let fits = |limit: usize, value: usize| value <= limit;
    let small = w.pool.iter().chain(&w.repeat).all(|&v| fits(255, v));
    let near = w.offset.iter().all(|&o| i16::try_from(o).is_ok());
    if !small || !near {
        return None;
    }
    // Whether that is all.
    let mut found = vec![Vec::new(); places.len()];
    w.for_each(|from, to| found[to].push(from));
    let same = found.iter_mut().zip(places).all(|(found, place)| {
        found.sort_unstable();
        found == place
    });
    same.then_some(w)
}

/// A table in which each place of the source has at most one entry.
fn table(places: &[Vec<usize>], inputs: usize) -> Option<SourceMap> {
    // The last number stands for none.
    if places.len() > usize::from(u16::MAX) {
        return None;
    }
    let mut to = vec![None; inputs];
    for (at, from) in (0u32..).zip(places) {
        for &from in from {
            if to[from].replace(at).is_some() {
                return None;
            }
        }
    }
    Some(SourceMap::Table {
        places: places.len(),
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Sparse;

    /// More places than a matrix is spelt out for.
    const PLACES: u32 = 600;

    /// Windows of three places each, of which those at the ends see two.
    fn windows(value: impl Fn(usize) -> f32) -> Path {
        let rows = (0..PLACES).map(|at| at.saturating_sub(1)..(at + 2).min(PLACES));
        let entries = (0..).zip(rows).flat_map(|(row, columns): (u32, _)| {
            let value = value(columns.len());
            columns.map(move |column| ((row, column), value))
        });
        let (indices, values): (Vec<_>, Vec<_>) = entries.unzip();
        let size = PLACES as usize;
        Path::of(Wiring::sparse(&Sparse {
            size_out: size,
            size_in: size,
            values: Tensor::new(vec![values.len()], values).unwrap(),
            indices: indices.into(),
        }))
    }

    #[test]
    fn averages_over_windows_of_different_sizes_say_so() {
        let shape = [1, PLACES as usize, 1];
        let refused = |path| finish(path, shape, shape).unwrap_err();
        assert_eq!(refused(windows(|seen| 1.0 / seen as f32)), UNEVEN);
        assert_eq!(refused(windows(|seen| 0.5 * seen as f32)), MIXTURE);
    }
}
