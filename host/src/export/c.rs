//! C projects for CMake.

use std::fmt::Write as _;

use tinyspike_board::library::CORES;
use tinyspike_shared::image::{Coder, LeftOut, Readout};

use super::project::{Keep, Project};
use super::{ExportError, Libraries, Model};
use crate::assemble::scale_value;
use crate::text::escaped;

/// Files that are the same for every model: their paths, and their text.
const COMMON: [(&str, &str); 11] = [
    ("main.c", include_str!("c/main.c")),
    ("CMakeLists.txt", include_str!("c/CMakeLists.txt")),
    (
        "cmake/arm-none-eabi.cmake",
        include_str!("c/cmake/arm-none-eabi.cmake"),
    ),
    (
        "cmake/riscv64-unknown-elf.cmake",
        include_str!("c/cmake/riscv64-unknown-elf.cmake"),
    ),
    (
        "boards/cortex-m/link.ld",
        include_str!("c/boards/cortex-m/link.ld"),
    ),
    (
        "boards/cortex-m/startup.c",
        include_str!("c/boards/cortex-m/startup.c"),
    ),
    (
        "boards/riscv/link.ld",
        include_str!("c/boards/riscv/link.ld"),
    ),
    (
        "boards/riscv/startup.c",
        include_str!("c/boards/riscv/startup.c"),
    ),
    (
        "boards/microbit/memory.ld",
        include_str!("c/boards/microbit/memory.ld"),
    ),
    (
        "boards/mps2-an386/memory.ld",
        include_str!("c/boards/mps2-an386/memory.ld"),
    ),
    (
        "boards/mps2-an505/memory.ld",
        include_str!("c/boards/mps2-an505/memory.ld"),
    ),
];

/// The memory of QEMU's RISC-V board.
const VIRT: (&str, &str) = (
    "boards/riscv-virt/memory.ld",
    include_str!("c/boards/riscv-virt/memory.ld"),
);

/// Values on a line of an array.
const LINE: usize = 12;

/// A project for CMake.
pub(super) fn project(model: &Model<'_>) -> Result<Project, ExportError> {
    let name = &model.options.name;
    let mut project = Project::default();
    for (path, text) in COMMON.into_iter().chain([VIRT]) {
        project.add(path, named(text, name), Keep::Keep);
    }
    project.add("cmake/cores.cmake", cores(), Keep::Replace);
    add_sources(&mut project, "", model);
    let header = tinyspike_c::HEADER;
    project.add("tinyspike/include/tinyspike.h", header, Keep::Replace);
    for core in &model.options.cores {
        let library = model.options.libraries.library(core, model.image)?;
        let path = format!("tinyspike/lib/{}/libtinyspike.a", core.name);
        project.add(path, library, Keep::Replace);
    }
    Ok(project)
}

/// Adds the files of a model and its sample to a folder, which ends in `/` or is empty.
pub(super) fn add_sources(project: &mut Project, folder: &str, model: &Model<'_>) {
    let name = &model.options.name;
    for (file, text) in [
        (format!("{name}.h"), header(model)),
        (format!("{name}.c"), source(model)),
        ("sample.h".to_owned(), sample(model)),
    ] {
        project.add(format!("{folder}{file}"), text, Keep::Replace);
    }
}

/// The text of a file that is the same for every model.
pub(super) fn source_of(path: &str) -> &'static str {
    let found = COMMON.iter().find(|(other, _)| *other == path);
    found.map_or("", |(_, text)| text)
}

/// A text of a file with a model's name in it.
pub(super) fn named(text: &str, name: &str) -> String {
    text.replace("@NAME@", name)
        .replace("model.c", &format!("{name}.c"))
        .replace("\"model.h\"", &format!("\"{name}.h\""))
        .replace("MODEL_", &format!("{}_", name.to_uppercase()))
        .replace("model_", &format!("{name}_"))
}

/// GCC's options for each core, as CMake's variables.
fn cores() -> String {
    let mut text =
        "# Options of GCC for each core, with which the libraries were built.\n".to_owned();
    for core in &CORES {
        let _ = writeln!(
            text,
            "set(TINYSPIKE_GCC_{} {})",
            core.name,
            core.gcc.join(" ")
        );
    }
    text
}

/// Text for a comment: one line, which does not end it.
fn comment(text: &str) -> String {
    escaped(text).replace("*/", "* /").replace("/*", "/ *")
}

/// The beginning of a file that is made of an image.
fn made_of(model: &Model<'_>, what: &str) -> String {
    let header = model.image.header();
    format!(
        "/*\n * {what}\n *\n * Made by `tinyspike export` of the image {:08x} of model version {}: export it again, do not change this file.\n */\n",
        header.checksum, header.model_version
    )
}

/// A float as C writes it.
fn float(value: f64) -> String {
    format!("{:e}F", value as f32)
}

/// `model.h`: sizes, scales and units.
fn header(model: &Model<'_>) -> String {
    let (image, name) = (model.image, model.options.name.as_str());
    let (network, upper) = (image.description(), name.to_uppercase());
    let mut text = made_of(
        model,
        "A model: its sizes, and the units of its inputs and outputs.",
    );
    let _ = writeln!(
        text,
        "#ifndef TINYSPIKE_MODEL_{upper}_H\n#define TINYSPIKE_MODEL_{upper}_H\n"
    );
    if model.options.libraries == Libraries::Built {
        let _ = writeln!(
            text,
            "/* The project's library was built for this network, and holds none that is larger. */"
        );
        let contents = [
            ("ENSEMBLES", network.ensembles.len().max(1)),
            ("CONNECTIONS", network.connections.len().max(1)),
        ];
        for (what, count) in contents {
            let _ = writeln!(
                text,
                "#if defined(TINYSPIKE_{what}) && (TINYSPIKE_{what} != {count})\n#error \"include {name}.h before tinyspike.h\"\n#endif\n#undef TINYSPIKE_{what}\n#define TINYSPIKE_{what} {count}"
            );
        }
    }
    let stack = model.stack();
    let steps = match network.steps {
        0 => "The network is a stream: it takes steps without end.".to_owned(),
        steps => format!("Steps of an inference: {steps}. Outputs are sums over them."),
    };
    let _ = writeln!(
        text,
        "#include \"tinyspike.h\"\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         /* Bytes of the image, which lies in flash. */\n\
         #define {upper}_IMAGE_BYTES {}U\n\
         extern const uint32_t {name}_image[{}];\n\n\
         /* Words of arena, which lies in RAM, beside a ts_state. */\n\
         #define {upper}_ARENA_WORDS {}U\n\
         /* Bytes of stack for all calls but ts_open, with an eighth to spare. */\n\
         #define {upper}_STACK_BYTES {stack}U\n\n\
         /* {steps} */\n\
         #define {upper}_STEPS {}U\n",
        image.bytes().len(),
        image.bytes().len().div_ceil(4),
        image.arena_bytes() / 4,
        network.steps
    );
    let _ = writeln!(
        text,
        "#define {upper}_INPUTS {}U\nextern const size_t {name}_input_sizes[{0}];\n",
        network.inputs.len()
    );
    for (at, input) in network.inputs.iter().enumerate() {
        let channels: Vec<_> = image.channels(input).collect();
        let coder = network.coder;
        let units = match channels.as_slice() {
            [one] if coder != Coder::None => {
                let (what, from, to) = match coder {
                    Coder::Delta { .. } => ("int16_t, little-endian", -32768.0, 32767.0),
                    _ => ("uint8_t", 0.0, 255.0),
                };
                let scale = scale_value(one.scale);
                format!(
                    " samples of {what}, of which the device makes events; value = SCALE * sample, from LEAST to MOST. */\n\
                     #define {upper}_INPUT_{at}_SAMPLES {}U\n\
                     #define {upper}_INPUT_{at}_SCALE {}\n\
                     #define {upper}_INPUT_{at}_LEAST {}\n\
                     #define {upper}_INPUT_{at}_MOST {}\n",
                    coder.values(input.size as usize),
                    float(scale),
                    float(scale * from),
                    float(scale * to)
                )
            }
            [one] => {
                let (scale, zero) = (scale_value(one.scale), f64::from(one.zero_point));
                let range = [0.0, f64::from(input.max)].map(|byte| float(scale * (byte - zero)));
                format!(
                    " value = SCALE * (byte - ZERO_POINT), from LEAST to MOST. */\n\
                     #define {upper}_INPUT_{at}_SCALE {}\n\
                     #define {upper}_INPUT_{at}_ZERO_POINT {}\n\
                     #define {upper}_INPUT_{at}_LEAST {}\n\
                     #define {upper}_INPUT_{at}_MOST {}\n",
                    float(scale),
                    one.zero_point,
                    range[0],
                    range[1]
                )
            }
            several => {
                let each = several.iter().enumerate().map(|(channel, one)| {
                    format!(
                        " *   channel {channel}: value = {} * (byte - {})\n",
                        float(scale_value(one.scale)),
                        one.zero_point
                    )
                });
                format!(
                    " place i is of channel i mod {}; ts_quantize_f32 knows them.\n{} */\n#define {upper}_INPUT_{at}_CHANNELS {0}U\n",
                    several.len(),
                    each.collect::<String>()
                )
            }
        };
        let a_byte = match coder {
            Coder::None => " a byte for each place;",
            _ => "",
        };
        let label = comment(network.input_label(at));
        let _ = writeln!(
            text,
            "/* Input {at}, {label}:{a_byte}{units}\
             #define {upper}_INPUT_{at}_SIZE {}U\n\
             #define {upper}_INPUT_{at}_MAX {}U\n\
             #define {upper}_INPUT_{at}_RESTING_BYTE {}U\n",
            input.size, input.max, input.zero_point
        );
    }
    let largest = network.outputs.iter().map(|o| o.size).max().unwrap_or(0);
    let _ = writeln!(
        text,
        "#define {upper}_OUTPUTS {}U\n#define {upper}_LARGEST_OUTPUT {largest}U\nextern const size_t {name}_output_sizes[{0}];\n",
        network.outputs.len()
    );
    for (at, output) in network.outputs.iter().enumerate() {
        let label = comment(network.output_label(at));
        let of = match output.readout {
            Readout::Sum => "SCALE * ts_output / steps",
            Readout::Shown { .. } => "SCALE * ts_output",
        };
        let left = match output.left_out {
            LeftOut::Nothing => "",
            LeftOut::Softmax | LeftOut::Softmaxes => {
                " The model's softmax is left out: the class is the same."
            }
            LeftOut::Sigmoid | LeftOut::HardSigmoid | LeftOut::SteepHardSigmoid => {
                " The model's sigmoid is left out: above 0 is above one half."
            }
            LeftOut::Tanh | LeftOut::HardTanh => {
                " The model's tanh is left out: signs are the same."
            }
        };
        let _ = writeln!(
            text,
            "/* Output {at}, {label}: value = {of}, which ts_dequantize computes.{left} */\n\
             #define {upper}_OUTPUT_{at}_SIZE {}U\n\
             #define {upper}_OUTPUT_{at}_SCALE {}\n",
            output.size,
            float(scale_value(output.scale))
        );
    }
    text + "#ifdef __cplusplus\n}\n#endif\n\n#endif\n"
}

/// `model.c`: the image as words, which are aligned in any compiler.
fn source(model: &Model<'_>) -> String {
    let (image, name) = (model.image, model.options.name.as_str());
    let network = image.description();
    let mut text = made_of(
        model,
        "A model: its image, which the engine reads in place.",
    );
    let _ = writeln!(text, "#include \"{name}.h\"\n");
    for (what, sizes) in [
        (
            "input",
            network.inputs.iter().map(|i| i.size).collect::<Vec<_>>(),
        ),
        ("output", network.outputs.iter().map(|o| o.size).collect()),
    ] {
        let count = sizes.len();
        let values = sizes.iter().map(|size| format!("{size}U"));
        array(
            &mut text,
            &format!("const size_t {name}_{what}_sizes[{count}]"),
            values,
        );
    }
    let words = image.bytes().chunks(4).map(|bytes| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        format!("0x{:08X}U", u32::from_le_bytes(word))
    });
    let count = words.len();
    array(
        &mut text,
        &format!("const uint32_t {name}_image[{count}]"),
        words,
    );
    text
}

/// `sample.h`: a sample, and what the emulator makes of it.
fn sample(model: &Model<'_>) -> String {
    let (sample, expected) = (model.sample, &model.expected);
    let what = if sample.made_up {
        "A sample that nobody recorded (`tinyspike export --data` takes one), and what the emulator makes of it."
    } else {
        "The first sample of a data set, and what the emulator makes of it."
    };
    let mut text = made_of(model, what);
    let size = sample.frames.first().map_or(0, Vec::len);
    let _ = writeln!(
        text,
        "#ifndef TINYSPIKE_SAMPLE_H\n#define TINYSPIKE_SAMPLE_H\n\n#include <stdint.h>\n\n\
         /* One frame for an inference; in a stream one for each step. */\n\
         #define SAMPLE_FRAMES {}U\n\
         #define SAMPLE_FRAME_BYTES {size}U\n\n\
         #define SAMPLE_STEPS {}U\n\
         #define SAMPLE_SPIKES {}U\n\
         /* FNV-1a over words: ensemble, source and value of each event, and after each frame all outputs. */\n\
         #define SAMPLE_DIGEST 0x{:08X}U\n\
         #define SAMPLE_CLASS {}U\n",
        sample.frames.len(),
        expected.steps,
        expected.spikes,
        expected.digest,
        expected.class
    );
    let values: Vec<&i32> = expected.outputs.iter().flatten().collect();
    let count = values.len();
    let values = values.into_iter().map(|&value| match value {
        // The least number has no literal of its own.
        i32::MIN => "(-2147483647 - 1)".to_owned(),
        value => value.to_string(),
    });
    array(
        &mut text,
        &format!("static const int32_t sample_outputs[{count}]"),
        values,
    );
    let bytes = sample
        .frames
        .iter()
        .flatten()
        .map(|byte| format!("{byte}U"));
    let count = size * sample.frames.len();
    array(
        &mut text,
        &format!("static const uint8_t sample_frames[{count}]"),
        bytes,
    );
    text + "\n#endif\n"
}

/// Writes an array.
fn array(text: &mut String, name: &str, values: impl Iterator<Item = String>) {
    let _ = write!(text, "{name} = {{");
    for (at, value) in values.enumerate() {
        let before = if at % LINE == 0 { "\n    " } else { " " };
        let _ = write!(text, "{before}{value},");
    }
    text.push_str("\n};\n");
}
