//! `tinyspike export`: a project around an image.

use std::io::Write;
use std::path::Path;

use tinyspike::advice::Advised as _;
use tinyspike::assemble::Image;
use tinyspike::export::{self, ExportError, Project, Sample};
use tinyspike::stream::is_temporal;

use crate::args::Export;
use crate::diagnostics::{Failure, note};
use crate::{files, inputs};

pub(crate) fn run(args: &Export, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = bytes.image();
    let sample = sample(args, &image)?;
    let options = args.options();
    let failed = |e: ExportError| {
        let advice = e.advice();
        Failure::advised(format!("{}: {e}", args.image.display()), &advice)
    };
    if let Some(folder) = &args.c {
        let project = export::c(&bytes, &sample, &options).map_err(failed)?;
        write(&project, folder)?;
        writeln!(
            out,
            "{0}: a C project with the model {1:?}\n\
             \n\
             cmake -S {0} -B {0}/build && cmake --build {0}/build && ctest --test-dir {0}/build",
            folder.display(),
            options.name
        )?;
        let names: Vec<&str> = options.cores.iter().map(|core| core.name).collect();
        writeln!(out, "\nlibraries: {}", names.join(", "))?;
    }
    Ok(())
}

/// The sample that the project carries.
fn sample(args: &Export, image: &Image<'_>) -> Result<Sample, Failure> {
    if args.data.is_empty() {
        return Ok(Sample::made_up(image));
    }
    let set = if is_temporal(image) {
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
