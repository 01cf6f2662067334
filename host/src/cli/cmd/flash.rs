//! `tinyspike flash`: an image and its firmware onto a board.

use std::io::Write;
use std::path::Path;

use crate::ImageBuf;
use crate::advice::Advised as _;
use crate::device::serial::{self, ExchangeError, Exchanged};
use crate::device::{
    self, Firmware, FirmwareError, FlashError, Flashed, Layout, Mode, Phase, Plan, PlanError,
    PlanOptions, Progress, Region, Trial, flash,
};
use crate::sign::PublicKey;
use crate::text::escaped;
use indicatif::{MultiProgress, ProgressBar};
use serde_json::json;

use crate::cli::args::{FirmwareFlags, Flash};
use crate::cli::board;
use crate::cli::broken::{Way, failure};
use crate::cli::diagnostics::{self, Failure};
use crate::cli::{advice, files, progress};

pub(crate) fn run(args: &Flash, out: &mut dyn Write) -> Result<(), Failure> {
    let image = files::read_image(&args.image)?;
    if let Some(port) = &args.board.serial {
        return exchange(args, port, &image, out);
    }
    let chip = board::chip(&args.board)?;
    let wanted = Wanted {
        image: &args.image,
        chip: &chip,
        firmware: &args.firmware,
        model_only: args.model_only,
        dry_run: args.dry_run,
    };
    let plan = wanted.plan(&image)?;
    if !args.json {
        print(&plan, out)?;
    }
    let flashed = if args.dry_run {
        None
    } else {
        let board = board::connect(&args.board, chip)?;
        let mut bars = Bars::default();
        let done = flash(&plan, &args.options(board.probe.clone()), &mut |p| {
            bars.show(p)
        });
        bars.clear();
        Some(done.map_err(|error| match error {
            FlashError::Plan(error) => refused(&args.image, error),
            other => Failure::of(other),
        })?)
    };
    if args.json {
        let json = json!({ "plan": plan, "flashed": flashed });
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        return Ok(());
    }
    match &flashed {
        Some(flashed) => print_flashed(&plan, flashed, out)?,
        None => writeln!(out, "dry run: nothing was touched")?,
    }
    Ok(())
}

/// Exchanges the image over a serial line.
fn exchange(
    args: &Flash,
    port: &str,
    image: &ImageBuf,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if !args.model_only || args.dry_run {
        return Err(Failure::new(
            "over a serial line the image alone is written, by the firmware that is there",
        )
        .hint(
            "give --model-only; `tinyspike export --board NAME` writes a file with the firmware",
        ));
    }
    let mut session = serial::open(port, args.board.baud).map_err(Failure::of)?;
    let bar = progress::bar("sending", image.bytes().len() as u64);
    let minimum = args.firmware.minimum_version;
    let done = serial::exchange(&mut session, image, minimum, &mut |n| bar.inc(n as u64));
    bar.finish_and_clear();
    let done = done.map_err(|error| match error {
        ExchangeError::Session(error) => failure(error.into(), Way::Line),
        ExchangeError::Refused(_) => Failure::advised(
            format!("{}: {error}", args.image.display()),
            &error.advice(),
        ),
        other => Failure::of(other),
    })?;
    if args.json {
        writeln!(
            out,
            "{}",
            serde_json::to_string_pretty(&json!({ "exchanged": done }))?
        )?;
        return Ok(());
    }
    let Exchanged {
        slot,
        bytes,
        running,
    } = done;
    writeln!(out, "the image of {bytes} bytes is in slot {slot}")?;
    match running {
        true => writeln!(out, "the device runs it")?,
        false => writeln!(out, "the device runs it when it starts again")?,
    }
    Ok(())
}

/// An error, with the image's name if it is about that.
fn refused(image: &Path, error: PlanError) -> Failure {
    match &error {
        PlanError::Refused { .. } => {
            Failure::advised(format!("{}: {error}", image.display()), &error.advice())
        }
        _ => Failure::of(error),
    }
}

/// An image that is wanted on a chip.
pub(super) struct Wanted<'a> {
    pub(super) image: &'a Path,
    pub(super) chip: &'a device::Chip,
    pub(super) firmware: &'a FirmwareFlags,
    /// The firmware stays as it is.
    pub(super) model_only: bool,
    /// A plan for the image alone will do.
    pub(super) dry_run: bool,
}

impl Wanted<'_> {
    /// The plan, with the firmware that it takes, which the tool holds or builds unless it is given. Its warnings are printed.
    pub(super) fn plan(&self, image: &ImageBuf) -> Result<Plan, Failure> {
        let key = match &self.firmware.key {
            Some(path) => Some(files::read_public_key(path)?),
            None => None,
        };
        let options = PlanOptions {
            layout: self.firmware.layout()?,
            model_only: self.model_only,
            key,
            minimum: self.firmware.minimum_version,
        };
        let given = self.firmware.firmware.as_deref().map(Firmware::read);
        let given = given.transpose().map_err(Failure::of)?;
        let refused = |error| refused(self.image, error);
        // What does not fit is refused before anything is built.
        let alone = Plan::new(self.chip, image, given.as_ref(), &options).map_err(refused)?;
        let plan = match self.built(given.is_some(), &alone.layout, key.as_ref())? {
            Some(firmware) => {
                Plan::new(self.chip, image, Some(&firmware), &options).map_err(refused)?
            }
            None => alone,
        };
        for (text, advice) in plan.warnings(&image.image()) {
            match advice {
                Some(advice) => {
                    diagnostics::warn(format_args!("{text}; {}", advice::hint(&advice)))
                }
                None => diagnostics::warn(text),
            }
        }
        Ok(plan)
    }

    /// The firmware that the tool holds or builds; `None` if one is given, the one on the chip stays, or a dry run can do without.
    fn built(
        &self,
        given: bool,
        layout: &Layout,
        key: Option<&PublicKey>,
    ) -> Result<Option<Firmware>, Failure> {
        if self.model_only || given {
            return Ok(None);
        }
        match device::application(self.chip, layout, key, self.firmware.origin()) {
            Ok(firmware) => Ok(Some(firmware)),
            Err(error @ (FirmwareError::NoTarget { .. } | FirmwareError::Obstacle { .. }))
                if self.dry_run =>
            {
                diagnostics::warn(format_args!("{error}; the plan is for the image alone"));
                Ok(None)
            }
            Err(error) => Err(Failure::of(error)),
        }
    }
}

/// A plan as a person reads it.
fn print(plan: &Plan, out: &mut dyn Write) -> Result<(), Failure> {
    let layout = &plan.layout;
    if let Some(board) = plan.board {
        writeln!(out, "board      {}", board.title)?;
    }
    writeln!(
        out,
        "chip       {}, {}",
        escaped(plan.chip()),
        plan.processor.architecture
    )?;
    let place = |region: Region| format!("{region} {:>9} bytes", region.len);
    writeln!(out, "firmware   {}", place(layout.firmware))?;
    let journal = layout.slots.second.map(|second| second.journal);
    for block in journal.into_iter().flatten() {
        writeln!(out, "journal    {}", place(block))?;
    }
    writeln!(out, "slot A     {}", place(layout.slots.a))?;
    if let Some(second) = layout.slots.second {
        writeln!(out, "slot B     {}", place(second.b))?;
    }
    writeln!(out, "RAM        {}", place(layout.ram))?;
    if let Some(block) = plan.boot {
        writeln!(out, "write      {} for the boot ROM", place(block))?;
    }
    for part in &plan.firmware {
        writeln!(out, "write      {} of firmware", place(*part))?;
    }
    for (at, to) in plan.places.iter().enumerate() {
        let either = if at > 0 { "or" } else { "write" };
        writeln!(
            out,
            "{either:<10} {} of image {:08x}, slot {}",
            place(to.image),
            plan.checksum,
            to.slot
        )?;
    }
    for (run, count) in runs(&plan.erased) {
        writeln!(out, "erase      {} in {count} sectors", place(run))?;
    }
    for (at, to) in plan.places.iter().enumerate() {
        let either = if at > 0 { "or" } else { "erase" };
        for (run, count) in runs(&to.erased) {
            writeln!(out, "{either:<10} {} in {count} sectors", place(run))?;
        }
    }
    if plan.mode == Mode::InactiveSlot {
        writeln!(
            out,
            "the slot that is not in use is written, then the journal"
        )?;
    }
    for budget in &plan.budgets {
        writeln!(out, "{budget}")?;
    }
    Ok(())
}

/// Sectors that follow one another, as one, and how many they are.
fn runs(blocks: &[Region]) -> Vec<(Region, usize)> {
    let mut runs: Vec<(Region, usize)> = Vec::new();
    for block in blocks {
        match runs.last_mut() {
            Some((run, count)) if run.end() == block.address => {
                *run = Region::new(run.address, block.end());
                *count += 1;
            }
            _ => runs.push((*block, 1)),
        }
    }
    runs
}

fn print_flashed(plan: &Plan, flashed: &Flashed, out: &mut dyn Write) -> Result<(), Failure> {
    if flashed.journal_repaired {
        writeln!(
            out,
            "the journal was damaged or had never been written: it is new, and any model may run of version {} or above",
            plan.minimum
        )?;
    }
    writeln!(out, "the image is in slot {}", flashed.slot)?;
    writeln!(
        out,
        "erased {} bytes, wrote {} and read them back the same",
        flashed.erased, flashed.programmed
    )?;
    if let Some(Trial { steps, stack }) = &flashed.trial {
        writeln!(
            out,
            "an inference of {steps} steps was the emulator's, to the bit; it took {} of {} bytes of stack",
            stack.high_water, stack.size
        )?;
    }
    if let Some(greeting) = &flashed.greeting {
        writeln!(
            out,
            "firmware {} for {} with {} kernels; {} bytes of RAM are free",
            escaped(&greeting.firmware),
            escaped(&greeting.architecture),
            escaped(&greeting.kernels),
            greeting.free_ram
        )?;
        if let Some(key) = &greeting.key {
            writeln!(out, "runs only what the key {} has signed", key.id())?;
        }
        let minimum = greeting.start.minimum;
        if minimum > 0 {
            writeln!(out, "runs no model below version {minimum}")?;
        }
        if let Ok(image) = &greeting.image {
            writeln!(
                out,
                "runs the image {:08x} (version {}) from slot {}, with an arena of {} bytes",
                image.checksum,
                image.version,
                greeting.slot(),
                image.arena
            )?;
        }
    }
    Ok(())
}

/// A bar for each part of the work, on the error stream.
#[derive(Default)]
pub(crate) struct Bars {
    all: MultiProgress,
    bars: Vec<(Phase, ProgressBar)>,
}

impl Bars {
    pub(crate) fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Planned { phase, bytes } => match self.of(phase) {
                Some(bar) => bar.inc_length(bytes),
                None => {
                    let bar = self.all.add(progress::bar(title(phase), bytes));
                    self.bars.push((phase, bar));
                }
            },
            Progress::Done { phase, bytes } => {
                if let Some(bar) = self.of(phase) {
                    bar.inc(bytes);
                }
            }
            _ => {}
        }
    }

    fn of(&self, phase: Phase) -> Option<&ProgressBar> {
        let found = self.bars.iter().find(|(of, _)| *of == phase);
        found.map(|(_, bar)| bar)
    }

    pub(crate) fn clear(&self) {
        for (_, bar) in &self.bars {
            bar.finish_and_clear();
        }
    }
}

fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::Erase => "erasing",
        Phase::Program => "writing",
        Phase::Verify => "verifying",
    }
}
