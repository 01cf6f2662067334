//! Attention, AdditiveAttention and MultiHeadAttention.

use super::dot::products;
use super::masking::Mask;
use super::prelude::*;
use crate::keras::activation::softmax;
use crate::keras::forward::linear;
use crate::ops::check_len;

/// Means of values, weighted by how well queries match keys. Its inputs are queries, values and perhaps keys, which
/// are the values otherwise; each is of the shape `[steps, features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// The function of a query and a key.
    pub score: Score,
    /// `true` if there are weights that scale it.
    pub use_scale: bool,
    /// `true` if a query sees no key behind its own place.
    pub causal: bool,
    /// `true` if it returns the weights of the means, too.
    pub return_attention_scores: bool,
    /// Queries and values that are left out, as inputs after its own tell.
    pub masks: [Option<Mask>; 2],
}

/// The match of a query and a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// The sum of products.
    Dot,
    /// The sum of tanh of sums, of keys alone or with a factor for each feature.
    Additive,
    /// The sum of tanh of sums, scaled: `score_mode="concat"`.
    Concat,
}

impl LayerKind for Attention {
    fn names() -> &'static [&'static str] {
        &["Attention", "AdditiveAttention"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.set("attention_mask") {
            return Ok(None);
        }
        let additive = name == "AdditiveAttention";
        let score = match args.text("score_mode", "dot")?.as_str() {
            _ if additive => Score::Additive,
            "dot" => Score::Dot,
            "concat" => Score::Concat,
            _ => return Err(args.wrong("score_mode", "\"dot\" or \"concat\"")),
        };
        Ok(Some(Self {
            score,
            use_scale: args.flag("use_scale", additive)?,
            causal: causal(args)?,
            return_attention_scores: args.flag("return_attention_scores", false)?,
            masks: [None; 2],
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let features = input.and_then(|shape| *shape.last()?);
        let mut slots = Vec::new();
        if self.use_scale {
            let shape = match self.score {
                Score::Additive => vec![features],
                Score::Dot | Score::Concat => Vec::new(),
            };
            slots.push(Slot::new("scale", shape));
        }
        if self.score == Score::Concat {
            slots.push(Slot::new("concat_score_weight", Vec::new()));
        }
        Ok(slots)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let inputs = own_inputs(inputs, self.masks);
        let [query, value, ..] = inputs else {
            return Err("it takes queries and values".to_owned());
        };
        match (&query[..], &value[..], inputs.len()) {
            ([steps, _], [_, features], 2 | 3) => Ok(vec![*steps, *features]),
            _ => Err("it takes two or three inputs of steps and features".to_owned()),
        }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let mut shapes = vec![self.output(inputs)?];
        if self.return_attention_scores {
            shapes.push(vec![inputs[0][0], inputs[1][0]]);
        }
        Ok(shapes)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        Ok(self.run(w, inputs)?.0)
    }

    fn forward_all(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Problem> {
        let (y, shares) = self.run(w, inputs)?;
        Ok(with_others((y, [shares]), self.return_attention_scores))
    }
}

impl Attention {
    /// The means, and their weights.
    fn run(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<(Tensor, Tensor), Problem> {
        let (query, value, key) = roles(own_inputs(inputs, self.masks))?;
        let shown = shown(inputs, self.masks)?;
        let left_out = LeftOut {
            queries: None,
            keys: shown[1].as_deref(),
            causal: self.causal,
        };
        let scale = self.use_scale.then(|| w.get("scale")).transpose()?;
        let each = |scale: Option<&Tensor>, at: usize| {
            scale.map_or(1.0, |s| {
                s.data()
                    .get(at)
                    .or(s.data().first())
                    .copied()
                    .unwrap_or(1.0)
            })
        };
        let sums = |q: &[f32], k: &[f32], scale: Option<&Tensor>| -> f32 {
            let sums = q.iter().zip(k).enumerate();
            sums.map(|(at, (q, k))| each(scale, at) * (q + k).tanh())
                .sum()
        };
        let (y, shares) = match self.score {
            Score::Dot => {
                let scale = each(scale, 0);
                attend(query, key, value, left_out, |q, k| scale * products(q, k))
            }
            Score::Additive => attend(query, key, value, left_out, |q, k| sums(q, k, scale)),
            Score::Concat => {
                let weight = each(Some(w.get("concat_score_weight")?), 0);
                let scale = each(scale, 0);
                attend(query, key, value, left_out, |q, k| {
                    let sums = q.iter().zip(k).map(|(q, k)| (scale * (q + k)).tanh());
                    weight * sums.sum::<f32>()
                })
            }
        }?;
        // The results of queries that are left out are zeros.
        let Some(shown) = &shown[0] else {
            return Ok((y, shares));
        };
        let width = y.shape().last().copied().unwrap_or(0);
        let rows = y.data().chunks(width.max(1)).zip(shown);
        let values = rows
            .flat_map(|(row, &shown)| row.iter().map(move |&v| if shown { v } else { 0.0 }))
            .collect();
        Ok((axes::tensor(y.shape().to_vec(), values)?, shares))
    }
}

/// `true` if a query sees no key behind its own place, as a layer's or a call's argument says.
fn causal(args: &Args<'_>) -> Result<bool, String> {
    Ok(args.flag("causal", false)? || args.flag("use_causal_mask", false)?)
}

/// The inputs without those that tell masks.
fn own_inputs<T>(inputs: &[T], masks: [Option<Mask>; 2]) -> &[T] {
    let own = inputs.len().saturating_sub(masks.iter().flatten().count());
    inputs.get(..own).unwrap_or(inputs)
}

/// Tells for each step of each item of queries and values if it counts.
fn shown(inputs: &[Tensor], masks: [Option<Mask>; 2]) -> Result<[Option<Vec<bool>>; 2], Problem> {
    let mut sources = inputs.iter().skip(own_inputs(inputs, masks).len());
    let mut found = [None, None];
    for (mask, found) in masks.into_iter().zip(&mut found) {
        if let Some(mask) = mask
            && let Some(source) = sources.next()
        {
            *found = Some(mask.shown(source)?);
        }
    }
    Ok(found)
}

/// The addition by which Keras leaves out a score.
const LEFT_OUT: f32 = -1e9;

/// The pairs of queries and keys that do not count.
#[derive(Clone, Copy)]
struct LeftOut<'a> {
    /// `true` for each query of each item that counts.
    queries: Option<&'a [bool]>,
    /// `true` for each key of each item that counts.
    keys: Option<&'a [bool]>,
    /// `true` if keys behind a query's place do not.
    causal: bool,
}

/// The mean of the values for each query, weighted by a softmax of its scores with the keys; and these weights.
/// All are of the shape `[batch, steps, features]`.
fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    left_out: LeftOut<'_>,
    score: impl Fn(&[f32], &[f32]) -> f32,
) -> Result<(Tensor, Tensor), Problem> {
    let (&[batch, queries, features], &[_, keys, of_key], &[_, values, width]) =
        (query.shape(), key.shape(), value.shape())
    else {
        return Err(Problem::Shape {
            needs: "the axes (batch, steps, features)".to_owned(),
            found: query.shape().to_vec(),
        });
    };
    check_len("the keys' features", features, of_key)?;
    check_len("the keys", values, keys)?;
    let mut scores = Vec::with_capacity(batch * queries * keys);
    for item in 0..batch {
        let rows = |x: &'_ Tensor, steps: usize, size: usize| -> Vec<Vec<f32>> {
            let own = x.data().get(item * steps * size..(item + 1) * steps * size);
            let rows = own.unwrap_or_default().chunks(size.max(1));
            rows.map(<[f32]>::to_vec).collect()
        };
        let counts = |shown: Option<&[bool]>, at: usize| {
            shown.is_none_or(|shown| shown.get(at).is_none_or(|&shown| shown))
        };
        let own = rows(key, keys, features);
        for (at, q) in rows(query, queries, features).iter().enumerate() {
            let row = counts(left_out.queries, item * queries + at);
            scores.extend(own.iter().enumerate().map(|(place, k)| {
                let seen = !left_out.causal || place <= at;
                let both = row && seen && counts(left_out.keys, item * keys + place);
                score(q, k) + if both { 0.0 } else { LEFT_OUT }
            }));
        }
    }
    let shares = softmax(
        &axes::tensor(vec![batch, queries, keys], scores)?,
        -1,
        false,
    )?;
    let mut y = vec![0.0; batch * queries * width];
    for (at, share) in shares.data().iter().enumerate() {
        let (row, key) = (at / keys.max(1), at % keys.max(1));
        let item = row / queries.max(1);
        let from = &value.data()[(item * keys + key) * width..][..width];
        for (y, v) in y[row * width..][..width].iter_mut().zip(from) {
            *y += share * v;
        }
    }
    Ok((axes::tensor(vec![batch, queries, width], y)?, shares))
}

/// Attention of several heads, each with projections of its own. Its inputs are queries, values and perhaps keys.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct MultiHeadAttention {
    pub num_heads: usize,
    pub key_dim: usize,
    pub value_dim: usize,
    pub use_bias: bool,
    /// Features of the output; `None` for those of the queries.
    pub output_shape: Option<usize>,
    /// `true` if a query sees no key behind its own place.
    pub causal: bool,
    /// `true` if it returns the weights of the means, too.
    pub return_attention_scores: bool,
    /// Queries and values that are left out, as inputs after its own tell.
    pub masks: [Option<Mask>; 2],
}

/// The projections in Keras's order: the group, the kernel and the bias.
const PROJECTIONS: [(&str, &str, &str); 4] = [
    ("query_dense/vars", "query_kernel", "query_bias"),
    ("key_dense/vars", "key_kernel", "key_bias"),
    ("value_dense/vars", "value_kernel", "value_bias"),
    ("output_dense/vars", "output_kernel", "output_bias"),
];

impl MultiHeadAttention {
    /// The size of each head's keys and values, of all heads together.
    fn widths(&self) -> Result<[usize; 2], String> {
        let all = |one: usize| self.num_heads.checked_mul(one).ok_or("out of range");
        Ok([all(self.key_dim)?, all(self.value_dim)?])
    }
}

impl LayerKind for MultiHeadAttention {
    fn names() -> &'static [&'static str] {
        &["MultiHeadAttention"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        // Inputs of more axes are none of time.
        let plain = match args.get("attention_axes") {
            None => true,
            Some(_) => args.integers("attention_axes", &[])? == [1],
        };
        let output_shape = match args.get("output_shape") {
            None => None,
            Some(_) => Some(args.integers("output_shape", &[])?),
        };
        let output_shape = match output_shape.as_deref() {
            None => None,
            Some(&[one]) => usize::try_from(one).ok().filter(|&n| n > 0),
            Some(_) => return Ok(None),
        };
        let key_dim = args.size("key_dim")?;
        let plain = plain && !args.set("attention_mask");
        Ok(plain.then_some(Self {
            num_heads: args.size("num_heads")?,
            key_dim,
            value_dim: args.size_or("value_dim", key_dim)?,
            use_bias: args.flag("use_bias", true)?,
            output_shape,
            causal: causal(args)?,
            return_attention_scores: args.flag("return_attention_scores", false)?,
            masks: [None; 2],
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let features = input.and_then(|shape| *shape.last()?);
        let heads = Some(self.num_heads);
        let [key, value] = [Some(self.key_dim), Some(self.value_dim)];
        let out = self.output_shape.or(features);
        let mut slots = Vec::new();
        for (at, (_, kernel, bias)) in PROJECTIONS.into_iter().enumerate() {
            let [of_kernel, of_bias] = match at {
                0 => [vec![features, heads, key], vec![heads, key]],
                1 => [vec![None, heads, key], vec![heads, key]],
                2 => [vec![None, heads, value], vec![heads, value]],
                _ => [vec![heads, value, out], vec![out]],
            };
            slots.push(Slot::new(kernel, of_kernel));
            if self.use_bias {
                slots.push(Slot::new(bias, of_bias));
            }
        }
        Ok(slots)
    }

    fn place(&self, slot: usize) -> (Cow<'static, str>, usize) {
        let each = if self.use_bias { 2 } else { 1 };
        let projection = PROJECTIONS[(slot / each).min(PROJECTIONS.len() - 1)];
        (projection.0.into(), slot % each)
    }

    /// The state of its dropout.
    fn ignores_weights(&self) -> bool {
        true
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.widths()?;
        match own_inputs(inputs, self.masks) {
            [query, others @ ..]
                if query.len() == 2
                    && (1..=2).contains(&others.len())
                    && others.iter().all(|other| other.len() == 2) =>
            {
                Ok(vec![query[0], self.output_shape.or(query[1])])
            }
            _ => Err("it takes two or three inputs of steps and features".to_owned()),
        }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let mut shapes = vec![self.output(inputs)?];
        if self.return_attention_scores {
            shapes.push(vec![Some(self.num_heads), inputs[0][0], inputs[1][0]]);
        }
        Ok(shapes)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        Ok(self.run(w, inputs)?.0)
    }

    fn forward_all(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Problem> {
        let (y, shares) = self.run(w, inputs)?;
        if !self.return_attention_scores {
            return Ok(vec![y]);
        }
        let &[batch, queries, keys] = shares.first().map_or(&[][..], Tensor::shape) else {
            return Ok(vec![y]);
        };
        let mut all = Vec::with_capacity(shares.len() * batch * queries * keys);
        for item in 0..batch {
            for head in &shares {
                all.extend_from_slice(&head.data()[item * queries * keys..][..queries * keys]);
            }
        }
        let shape = vec![batch, shares.len(), queries, keys];
        Ok(vec![y, axes::tensor(shape, all)?])
    }
}

impl MultiHeadAttention {
    /// The output, and each head's weights of its means.
    fn run(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<(Tensor, Vec<Tensor>), Problem> {
        let (query, value, key) = roles(own_inputs(inputs, self.masks))?;
        let shown = shown(inputs, self.masks)?;
        let left_out = LeftOut {
            queries: shown[0].as_deref(),
            keys: shown[1].as_deref(),
            causal: self.causal,
        };
        let [key_width, value_width] = self.widths().map_err(Problem::Values)?;
        let project = |x: &Tensor, at: usize, width: usize| -> Result<Tensor, Problem> {
            let (_, kernel, bias) = PROJECTIONS[at];
            let kernel = w.get(kernel)?;
            let rows = kernel.len().checked_div(width).unwrap_or(0);
            let y = linear::product(x, &axes::reshape(kernel, vec![rows, width])?)?;
            let bias = self.use_bias.then(|| w.get(bias)).transpose()?;
            linear::finish(y, bias, Activation::Linear)
        };
        let queries = project(query, 0, key_width)?;
        let keys = project(key, 1, key_width)?;
        let values = project(value, 2, value_width)?;
        let scale = 1.0 / (self.key_dim as f32).sqrt();
        let mut heads = Vec::with_capacity(self.num_heads);
        for head in 0..self.num_heads {
            let part = |x: &Tensor, size: usize| -> Result<Tensor, Problem> {
                let width = (size * self.num_heads).max(1);
                let rows = x.data().chunks(width);
                let own = rows.flat_map(|row| &row[head * size..][..size]).copied();
                let mut shape = x.shape().to_vec();
                if let Some(last) = shape.last_mut() {
                    *last = size;
                }
                axes::tensor(shape, own.collect())
            };
            let (q, k) = (part(&queries, self.key_dim)?, part(&keys, self.key_dim)?);
            let v = part(&values, self.value_dim)?;
            heads.push(attend(&q, &k, &v, left_out, |q, k| scale * products(q, k))?);
        }
        let [batch, steps, ..] = *query.shape() else {
            return Err(Problem::Shape {
                needs: "the axes (batch, steps, features)".to_owned(),
                found: query.shape().to_vec(),
            });
        };
        let mut joined = Vec::with_capacity(batch * steps * value_width);
        for row in 0..batch * steps {
            for head in &heads {
                joined.extend_from_slice(&head.0.data()[row * self.value_dim..][..self.value_dim]);
            }
        }
        let joined = axes::tensor(vec![batch, steps, value_width], joined)?;
        let out = w.get("output_kernel")?;
        let width = out.len().checked_div(value_width).unwrap_or(0);
        let shares = heads.into_iter().map(|(_, shares)| shares).collect();
        Ok((project(&joined, 3, width)?, shares))
    }
}

/// Queries, values and keys, which are the values unless they are given.
fn roles(inputs: &[Tensor]) -> Result<(&Tensor, &Tensor, &Tensor), Problem> {
    match inputs {
        [query, value] => Ok((query, value, value)),
        [query, value, key] => Ok((query, value, key)),
        _ => Err(Problem::Inputs {
            expected: "two or three inputs",
            found: inputs.len(),
        }),
    }
}
