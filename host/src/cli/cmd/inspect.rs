//! `tinyspike inspect`: what is in a model or an image.

use std::io::Write;
use std::path::Path;

use crate::assemble::{Image, scale_value};
use crate::emulate::coder_of;
use crate::inspect::{Listing, listing};
use crate::report::Way;
use crate::sign::signer;
use crate::text::escaped;
use crate::trained::Trained;
use serde::Serialize;
use serde_json::{Value, json};
use tinyspike_shared::image::{
    Channel, Connection, HEADER_LEN, Input, Output, Post, Pre, Readout, SourceMap, Transform,
    VERSION, Width,
};
use tinyspike_shared::signature::KeyId;
use tinyspike_shared::weights::Layout;

use crate::cli::args::Inspect;
use crate::cli::converted::steps;
use crate::cli::diagnostics::Failure;
use crate::cli::files;
use crate::cli::source;
use crate::cli::warnings;

pub(crate) fn run(args: &Inspect, out: &mut dyn Write) -> Result<(), Failure> {
    if files::is_image(&args.file) {
        image(&args.file, args.json, out)
    } else {
        model(args, out)
    }
}

/// A model's listing, and the converter's warnings.
#[derive(Serialize)]
struct ModelListing<'a> {
    #[serde(flatten)]
    listing: Listing<'a>,
    warnings: Vec<String>,
}

fn model(args: &Inspect, out: &mut dyn Write) -> Result<(), Failure> {
    let conversion = match source::load(&args.file, &args.convert)? {
        Trained::Layers(layers) => layers.conversion,
        Trained::Graph(reading) => {
            return super::nir::inspect(&reading, &args.convert, args.json, out);
        }
    };
    let listing = listing(&conversion.network);
    if args.json {
        let warnings = conversion.warnings.iter().map(ToString::to_string);
        let all = ModelListing {
            listing,
            warnings: warnings.collect(),
        };
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        warnings::show(&conversion.warnings, false);
        write!(out, "{listing}")?;
    }
    Ok(())
}

/// The labels of a connection's ends.
fn ends<'a>(image: &'a Image<'_>, c: &Connection) -> (&'a str, &'a str) {
    let network = image.description();
    let pre = match c.pre {
        Pre::Input(i) => network.input_label(usize::from(i)),
        Pre::Ensemble(e) | Pre::Counts(e) => network.ensemble_label(usize::from(e)),
    };
    let post = match c.post {
        Post::Ensemble(e) => network.ensemble_label(usize::from(e)),
        Post::Output(o) => network.output_label(usize::from(o)),
    };
    (pre, post)
}

/// The parts of an image's bytes: where each starts, its length, and its name.
fn sections(image: &Image<'_>) -> Vec<(u32, u32, String)> {
    let network = image.description();
    let (start, description) = (HEADER_LEN as u32, image.header().description_len);
    let mut sections = vec![
        (0, start, "header".to_owned()),
        (start, description, "description".to_owned()),
    ];
    for (at, e) in network.ensembles.iter().enumerate() {
        let what = format!("{} parameters", network.ensemble_label(at));
        sections.push((e.params, e.params_len(), what));
    }
    for (at, o) in network.outputs.iter().enumerate() {
        let what = format!("{} parameters", network.output_label(at));
        sections.push((o.params, o.size * 8, what));
    }
    for c in &network.connections {
        let (pre, post) = ends(image, c);
        let what = format!("{pre} to {post} weights");
        sections.push((c.weights.offset, c.weights.len, what));
    }
    sections.sort_by_key(|section| section.0);
    sections
}

fn potential(width: Width) -> &'static str {
    match width {
        Width::I16 => "int16",
        Width::I32 => "int32",
    }
}

fn weights(c: &Connection) -> u32 {
    Layout::Rows.bytes(&c.transform).unwrap_or(0)
}

/// An image as JSON, with all sizes in bytes.
fn as_json(image: &Image<'_>, signed_by: Option<KeyId>) -> Value {
    let (network, header) = (image.description(), image.header());
    let sections = sections(image).into_iter();
    let inputs = network.inputs.iter().enumerate().map(|(at, i)| {
        let channels = image.channels(i).map(|channel| {
            json!({ "zero_point": channel.zero_point, "scale": scale_value(channel.scale) })
        });
        let channels: Vec<Value> = channels.collect();
        let mut input = json!({
            "label": network.input_label(at),
            "size": i.size,
            "resting_byte": i.zero_point,
            "max_byte": i.max,
        });
        if let Some(coder) = coder_of(image) {
            input["coder"] = json!(coder.to_string());
        }
        match channels.as_slice() {
            [one] => {
                input["zero_point"] = one["zero_point"].clone();
                input["scale"] = one["scale"].clone();
            }
            _ => input["channels"] = channels.into(),
        }
        input
    });
    let ensembles = network.ensembles.iter().enumerate().map(|(at, e)| {
        json!({
            "label": network.ensemble_label(at),
            "neurons": e.neurons,
            "channels": e.channels,
            "potential": potential(e.width),
            "max_count": e.max_count,
            "activation_per_spike": scale_value(e.scale),
            "potential_bounds": [e.potential_min, e.potential_max],
            "ram_bytes": image.ensemble_ram(at),
        })
    });
    let outputs = network.outputs.iter().enumerate().map(|(at, o)| {
        json!({
            "label": network.output_label(at),
            "size": o.size,
            "scale": scale_value(o.scale),
            "divided_by_steps": o.readout == Readout::Sum,
            "ram_bytes": image.output_ram(at),
        })
    });
    let connections = network.connections.iter().map(|c| {
        let (pre, post) = ends(image, c);
        let transform = transform(&c.source, &c.transform);
        json!({
            "pre": pre,
            "post": post,
            "transform": transform,
            "weights": weights(c),
            "way": way(c),
        })
    });
    json!({
        "format_version": VERSION,
        "model_version": header.model_version,
        "checksum": format!("{:08x}", header.checksum),
        "signed_by": signed_by.map(|id| id.to_string()),
        "steps": network.steps,
        "flash_bytes": image.bytes().len(),
        "ram_bytes": image.arena_bytes(),
        "sections": sections
            .map(|(offset, bytes, what)| json!({ "what": what, "offset": offset, "bytes": bytes }))
            .collect::<Vec<_>>(),
        "inputs": inputs.collect::<Vec<_>>(),
        "ensembles": ensembles.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "connections": connections.collect::<Vec<_>>(),
    })
}

/// Way in which a connection's targets are computed.
const fn way(c: &Connection) -> Way {
    match (c.pre, c.layout) {
        (Pre::Counts(_), _) | (_, Layout::Tiles) => Way::Dense,
        _ => Way::Events,
    }
}

fn transform(source: &SourceMap, t: &Transform) -> String {
    let shape = |[y, x, c]: [u16; 3]| format!("{y}x{x}x{c}");
    let pair = |[y, x]: [u8; 2]| format!("{y}x{x}");
    let mut text = match source {
        SourceMap::Direct => String::new(),
        SourceMap::Window(w) => {
            let mut text = format!("window {} to {}", shape(w.input), shape(w.output));
            for (what, value) in [("pool", w.pool), ("repeat", w.repeat)] {
                if value != [1; 2] {
                    text += &format!(", {what} {}", pair(value));
                }
            }
            if w.offset != [0; 2] {
                text += &format!(", offset {},{}", w.offset[0], w.offset[1]);
            }
            text + "; "
        }
        SourceMap::Table(_) => "table; ".to_owned(),
    };
    match t {
        Transform::Dense(d) if d.outputs == 0 => {
            return text + &format!("counts of {} places, to pool", d.inputs);
        }
        Transform::Dense(d) => {
            text += &format!("Dense {} x {}", d.inputs, d.outputs);
            if d.first > 0 {
                text += &format!(" from {} on", d.first);
            }
        }
        Transform::Convolution(c) => {
            text += &format!(
                "Convolution {} to {}, kernel {}, stride {}",
                shape(c.input),
                shape(c.output),
                pair(c.kernel),
                pair(c.stride)
            );
            if c.dilation != [1; 2] {
                text += &format!(", dilation {}", pair(c.dilation));
            }
            if c.groups > 1 {
                text += &format!(", {} groups", c.groups);
            }
            if c.filters < c.output[2] {
                text += &format!(", {} filters from {} on", c.filters, c.first);
            }
        }
    }
    text
}

/// Values that an input's bytes stand for.
fn encoding(image: &Image<'_>, input: &Input) -> String {
    let channels: Vec<Channel> = image.channels(input).collect();
    let range = |channel: &Channel| {
        let value = |byte: u8| {
            scale_value(channel.scale) * (f64::from(byte) - f64::from(channel.zero_point))
        };
        (value(0), value(input.max))
    };
    let ends = channels.iter().map(range);
    let (least, most) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |all, own| {
        (all.0.min(own.0), all.1.max(own.1))
    });
    let how = match channels.as_slice() {
        [one] => format!(
            "value = {:.6e} (byte - {})",
            scale_value(one.scale),
            one.zero_point
        ),
        several => format!(
            "a scale and a zero point for each of {} channels (--json lists them)",
            several.len()
        ),
    };
    format!("{how}, {least:.4} to {most:.4}")
}

/// Value that an output's sums stand for.
fn reading(output: &Output) -> String {
    let scale = scale_value(output.scale);
    match output.readout {
        Readout::Sum => format!("{scale:.6e} sum / steps"),
        Readout::Shown { .. } => format!("{scale:.6e} sum"),
    }
}

fn image(path: &Path, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(path)?;
    let image = bytes.image();
    let (network, header) = (image.description(), image.header());
    let signed_by = signer(&bytes);
    if json {
        let json = as_json(&image, signed_by);
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        return Ok(());
    }
    let signature = match signed_by {
        Some(id) => format!("claims to be signed with the key {id}"),
        None => "not signed".to_owned(),
    };
    writeln!(
        out,
        "image, format version {VERSION}, model version {}, {signature}, checksum {:08x}: {}, {} bytes of flash, {} bytes of RAM\n",
        header.model_version,
        header.checksum,
        steps(network.steps),
        image.bytes().len(),
        image.arena_bytes()
    )?;
    writeln!(out, "{:>9} {:>9}  section", "offset", "bytes")?;
    for (offset, bytes, what) in sections(&image) {
        writeln!(out, "{offset:>9} {bytes:>9}  {}", escaped(&what))?;
    }
    writeln!(out)?;
    for (at, i) in network.inputs.iter().enumerate() {
        let label = escaped(network.input_label(at));
        if let Some(coder) = coder_of(&image) {
            writeln!(
                out,
                "input      {label:<20} {:>6} places, events of {coder}",
                i.size
            )?;
            continue;
        }
        writeln!(
            out,
            "input      {label:<20} {:>6} bytes up to {}, {}",
            i.size,
            i.max,
            encoding(&image, i)
        )?;
    }
    for (at, e) in network.ensembles.iter().enumerate() {
        writeln!(
            out,
            "ensemble   {:<20} {:>6} neurons, {} channels, {} potentials within {}..={}, up to {} spikes a step, {} bytes of RAM",
            escaped(network.ensemble_label(at)),
            e.neurons,
            e.channels,
            potential(e.width),
            e.potential_min,
            e.potential_max,
            e.max_count,
            image.ensemble_ram(at)
        )?;
    }
    for (at, o) in network.outputs.iter().enumerate() {
        let (label, ram) = (escaped(network.output_label(at)), image.output_ram(at));
        writeln!(
            out,
            "output     {label:<20} {:>6} values, {ram} bytes of RAM, value = {}",
            o.size,
            reading(o)
        )?;
    }
    for c in &network.connections {
        let (pre, post) = ends(&image, c);
        writeln!(
            out,
            "connection {} -> {}: {}, {} weights, {}",
            escaped(pre),
            escaped(post),
            transform(&c.source, &c.transform),
            weights(c),
            way(c)
        )?;
    }
    Ok(())
}
