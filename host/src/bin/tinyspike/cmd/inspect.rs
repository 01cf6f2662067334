//! `tinyspike inspect`: what is in a model or an image.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use tinyspike::assemble::{Image, scale_value};
use tinyspike::inspect::{Listing, listing};
use tinyspike::sign::signer;
use tinyspike::text::escaped;
use tinyspike_shared::image::{
    HEADER_LEN, Post, Pre, Section, SourceMap, Transform, VERSION, Width,
};
use tinyspike_shared::signature::KeyId;
use tinyspike_shared::weights::Layout;

use crate::args::Inspect;
use crate::diagnostics::{Failure, warn};
use crate::files;

pub(crate) fn run(args: &Inspect, out: &mut dyn Write) -> Result<(), Failure> {
    if files::is_image(&args.file) {
        image(&args.file, args.json, out)
    } else {
        model(args, out)
    }
}

/// A model's listing, and the converter's warnings.
#[derive(Serialize)]
struct ModelListing {
    #[serde(flatten)]
    listing: Listing,
    warnings: Vec<String>,
}

fn model(args: &Inspect, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, conversion) = super::converted(&args.file, &args.convert)?;
    let listing = listing(&conversion.network);
    if args.json {
        let warnings = conversion.warnings.iter().map(ToString::to_string);
        let all = ModelListing {
            listing,
            warnings: warnings.collect(),
        };
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else {
        for warning in &conversion.warnings {
            warn(warning);
        }
        write!(out, "{listing}")?;
    }
    Ok(())
}

/// An image, with all sizes in bytes.
#[derive(Serialize)]
struct ImageListing<'a> {
    format_version: u16,
    model_version: u32,
    checksum: String,
    signed_by: Option<String>,
    steps: u16,
    flash_bytes: usize,
    ram_bytes: usize,
    sections: Vec<SectionListing>,
    inputs: Vec<InputListing<'a>>,
    ensembles: Vec<EnsembleListing<'a>>,
    outputs: Vec<OutputListing<'a>>,
    connections: Vec<ConnectionListing<'a>>,
}

#[derive(Serialize)]
struct SectionListing {
    what: String,
    offset: u32,
    bytes: u32,
}

#[derive(Serialize)]
struct InputListing<'a> {
    label: &'a str,
    size: u32,
    zero_point: u8,
    scale: f64,
}

#[derive(Serialize)]
struct EnsembleListing<'a> {
    label: &'a str,
    neurons: u32,
    channels: u32,
    potential: &'static str,
    max_count: u8,
    activation_per_spike: f64,
    potential_bounds: [i32; 2],
    ram_bytes: u32,
}

#[derive(Serialize)]
struct OutputListing<'a> {
    label: &'a str,
    size: u32,
    scale: f64,
    ram_bytes: u32,
}

#[derive(Serialize)]
struct ConnectionListing<'a> {
    pre: &'a str,
    post: &'a str,
    transform: String,
    weights: u32,
}

fn describe<'a>(image: &'a Image<'_>, signed_by: Option<KeyId>) -> ImageListing<'a> {
    let network = image.description();
    let header = image.header();
    let pre = |pre| match pre {
        Pre::Input(i) => network.input_label(usize::from(i)),
        Pre::Ensemble(e) => network.ensemble_label(usize::from(e)),
    };
    let post = |post| match post {
        Post::Ensemble(e) => network.ensemble_label(usize::from(e)),
        Post::Output(o) => network.output_label(usize::from(o)),
    };
    let part = |what: String, section: Section| SectionListing {
        what,
        offset: section.offset,
        bytes: section.len,
    };
    let mut sections = vec![
        SectionListing {
            what: "header".into(),
            offset: 0,
            bytes: HEADER_LEN as u32,
        },
        SectionListing {
            what: "description".into(),
            offset: HEADER_LEN as u32,
            bytes: header.description_len,
        },
    ];
    for (at, e) in network.ensembles.iter().enumerate() {
        let label = network.ensemble_label(at);
        let (offset, len) = (e.params, e.params_len());
        sections.push(part(format!("{label} parameters"), Section { offset, len }));
    }
    for (at, o) in network.outputs.iter().enumerate() {
        let label = network.output_label(at);
        let (offset, len) = (o.params, o.size * 8);
        sections.push(part(format!("{label} parameters"), Section { offset, len }));
    }
    for c in &network.connections {
        let what = format!("{} to {} weights", pre(c.pre), post(c.post));
        sections.push(part(what, c.weights));
    }
    sections.sort_by_key(|s| s.offset);
    ImageListing {
        format_version: VERSION,
        model_version: header.model_version,
        checksum: format!("{:08x}", header.checksum),
        signed_by: signed_by.map(|id| id.to_string()),
        steps: network.steps,
        flash_bytes: image.bytes().len(),
        ram_bytes: image.arena_bytes(),
        sections,
        inputs: network
            .inputs
            .iter()
            .enumerate()
            .map(|(at, i)| InputListing {
                label: network.input_label(at),
                size: i.size,
                zero_point: i.zero_point,
                scale: scale_value(i.scale),
            })
            .collect(),
        ensembles: network
            .ensembles
            .iter()
            .enumerate()
            .map(|(at, e)| EnsembleListing {
                label: network.ensemble_label(at),
                neurons: e.neurons,
                channels: e.channels,
                potential: match e.width {
                    Width::I16 => "int16",
                    Width::I32 => "int32",
                },
                max_count: e.max_count,
                activation_per_spike: scale_value(e.scale),
                potential_bounds: [e.potential_min, e.potential_max],
                ram_bytes: image.ensemble_ram(at),
            })
            .collect(),
        outputs: network
            .outputs
            .iter()
            .enumerate()
            .map(|(at, o)| OutputListing {
                label: network.output_label(at),
                size: o.size,
                scale: scale_value(o.scale),
                ram_bytes: image.output_ram(at),
            })
            .collect(),
        connections: network
            .connections
            .iter()
            .map(|c| ConnectionListing {
                pre: pre(c.pre),
                post: post(c.post),
                transform: transform(&c.source, &c.transform),
                weights: Layout::Rows.bytes(&c.transform).unwrap_or(0),
            })
            .collect(),
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

fn image(path: &Path, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(path)?;
    let image = bytes.image();
    let listing = describe(&image, signer(bytes.bytes())?);
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&listing)?)?;
        return Ok(());
    }
    let signature = match &listing.signed_by {
        Some(id) => format!("claims to be signed with the key {id}"),
        None => "not signed".to_owned(),
    };
    writeln!(
        out,
        "image, format version {}, model version {}, {signature}, checksum {}: {} steps, {} bytes of flash, {} bytes of RAM\n",
        listing.format_version,
        listing.model_version,
        listing.checksum,
        listing.steps,
        listing.flash_bytes,
        listing.ram_bytes
    )?;
    writeln!(out, "{:>9} {:>9}  section", "offset", "bytes")?;
    for s in &listing.sections {
        writeln!(out, "{:>9} {:>9}  {}", s.offset, s.bytes, escaped(&s.what))?;
    }
    writeln!(out)?;
    for i in &listing.inputs {
        writeln!(
            out,
            "input      {:<20} {:>6} bytes",
            escaped(i.label),
            i.size
        )?;
    }
    for e in &listing.ensembles {
        writeln!(
            out,
            "ensemble   {:<20} {:>6} neurons, {} channels, {} potentials within {}..={}, up to {} spikes a step, {} bytes of RAM",
            escaped(e.label),
            e.neurons,
            e.channels,
            e.potential,
            e.potential_bounds[0],
            e.potential_bounds[1],
            e.max_count,
            e.ram_bytes
        )?;
    }
    for o in &listing.outputs {
        writeln!(
            out,
            "output     {:<20} {:>6} values, {} bytes of RAM",
            escaped(o.label),
            o.size,
            o.ram_bytes
        )?;
    }
    for c in &listing.connections {
        writeln!(
            out,
            "connection {} -> {}: {}, {} weights",
            escaped(c.pre),
            escaped(c.post),
            c.transform,
            c.weights
        )?;
    }
    Ok(())
}
