//! `tinyspike export`: a project around an image, or a file that a board takes.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::ImageBuf;
use crate::advice::Advised as _;
use crate::assemble::Image;
use crate::device::Format;
use crate::export::{self, ExportError, Kind, Project, Sample};
use crate::stream::is_current_based;
use crate::text::{escaped, shown};

use super::flash::Wanted;
use crate::cli::args::Export;
use crate::cli::board;
use crate::cli::diagnostics::{Failure, note};
use crate::cli::outputs::{Output, apart, takes_files};
use crate::cli::{files, inputs};

pub(crate) fn run(args: &Export, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    if let Some((format, path)) = args.file() {
        return file(args, &bytes, format, path, out);
    }
    if args.has_board_flags() {
        return Err(Failure::new(
            "board, chip and firmware are chosen for a file: --uf2, --hex or --bin",
        )
        .hint("a project says nothing about the board; --core NAME adds a core's library"));
    }
    let image = bytes.image();
    let sample = sample(args, &image)?;
    let options = args.options();
    let failed = |e: ExportError| {
        let advice = e.advice();
        Failure::advised(format!("{}: {e}", args.image.display()), &advice)
    };
    // One of them is there: clap asks for it.
    let Some((kind, path)) = args.kind() else {
        return Ok(());
    };
    let archive = match kind {
        Kind::Arduino => Some((path.to_owned(), format!("tinyspike_{}", options.name))),
        Kind::CmsisPack => Some((path.join(export::pack_name(&options.name)), String::new())),
        _ => None,
    };
    // What cannot be written is no reason to build libraries first.
    let read = inputs::data_files(&args.image, &args.data);
    let read = || read.iter().map(PathBuf::as_path);
    let place = match &archive {
        Some((path, folder)) => {
            let parent = path.parent().unwrap_or(path);
            takes_files(parent)?;
            std::fs::create_dir_all(parent)?;
            let output = Output::new(path, read())?;
            let project = export::export(&bytes, &sample, kind, &options).map_err(failed)?;
            output.write(&project.zip(folder)?)?;
            path.as_path()
        }
        None => {
            takes_files(path)?;
            let project = export::export(&bytes, &sample, kind, &options).map_err(failed)?;
            for (file, _) in project.files() {
                apart(&path.join(file), read())?;
            }
            write(&project, path)?;
            path
        }
    };
    writeln!(out, "{}: {}", shown(place), next(kind))?;
    if kind != Kind::Rust {
        let names: Vec<&str> = options.cores.iter().map(|core| core.name).collect();
        writeln!(out, "libraries: {}", names.join(", "))?;
    }
    Ok(())
}

/// Writes firmware and image as a file.
fn file(
    args: &Export,
    image: &ImageBuf,
    format: Format,
    path: &Path,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let flags = args.board().ok_or_else(|| {
        Failure::new("a file is for one board").hint(
            "--board NAME says which (`tinyspike boards` lists them), --chip NAME takes any chip",
        )
    })?;
    let chip = board::chip(&flags)?;
    if format == Format::Uf2 {
        chip.uf2_family().map_err(Failure::of)?;
    }
    let wanted = Wanted {
        image: &args.image,
        chip: &chip,
        firmware: &args.firmware,
        model_only: false,
        dry_run: false,
    };
    let inputs = [
        Some(args.image.as_path()),
        args.firmware.firmware.as_deref(),
        args.firmware.key.as_deref(),
        flags.chip_description.as_deref(),
    ];
    let output = Output::new(path, inputs.into_iter().flatten())?;
    let plan = wanted.plan(image)?;
    let contents = plan.file(format).map_err(Failure::of)?;
    output.write(&contents)?;
    let board = plan.board.map_or(plan.chip(), |board| board.title);
    writeln!(
        out,
        "{}: firmware and image {:08x} for {}, {} bytes",
        shown(path),
        plan.checksum,
        escaped(board),
        contents.len()
    )?;
    if let Some(board) = plan.board {
        writeln!(out, "flashing: {}", board.flashing)?;
    }
    Ok(())
}

/// The way from a project to a program.
fn next(kind: Kind) -> &'static str {
    match kind {
        Kind::C => {
            "a C project; there, `cmake -B build && cmake --build build && ctest --test-dir build` checks it"
        }
        Kind::Arduino => {
            "a library for the Arduino IDE: Sketch, Include Library, Add .ZIP Library; its example is Check"
        }
        Kind::Zephyr => {
            "a module of Zephyr's; there, `west build -b BOARD samples/check` builds its sample"
        }
        Kind::EspIdf => {
            "a component of ESP-IDF's; in its folder examples/check, `idf.py set-target esp32c3 build` builds its example"
        }
        Kind::PlatformIo => {
            "a library of PlatformIO's, for lib_deps or the folder lib of a project"
        }
        Kind::CmsisPack => "a pack, which `cpackget add` and the pack managers of IDEs install",
        Kind::Rust => {
            "a crate; there, `cargo build --release --target thumbv7em-none-eabi` builds it, and memory.x says which chip"
        }
    }
}

/// The sample that the project carries.
fn sample(args: &Export, image: &Image<'_>) -> Result<Sample, Failure> {
    if args.data.is_empty() {
        return Ok(Sample::made_up(image));
    }
    let set = if is_current_based(image) {
        inputs::recordings(&args.data, image, &args.bytes, &args.recordings(), Some(1))?
    } else {
        inputs::of_image(&args.data, image, &args.bytes, Some(1))?
    };
    Sample::first(image, &set).map_err(|e| {
        let (image, data) = (args.image.display(), args.data.join(", "));
        Failure::advised(format!("{image} on {data}: {e}"), &e.advice())
    })
}

/// Writes a project, and says which files have stayed as they were.
fn write(project: &Project, folder: &Path) -> Result<(), Failure> {
    let kept = project.kept(folder);
    project.write(folder)?;
    for path in kept {
        note(format_args!(
            "{} was there and is yours to change: it stays as it was",
            path.display()
        ));
    }
    Ok(())
}
