//! `tinyspike flash`: an image and its firmware onto a board.

use std::io::Write;

use indicatif::{MultiProgress, ProgressBar};
use serde_json::json;
use tinyspike::device::{
    self, DeviceError, Firmware, Flashed, ImageReport, Layout, Phase, Plan, PlanOptions, Progress,
    Region, flash,
};

use crate::args::Flash;
use crate::board::{self, failure};
use crate::diagnostics::{self, Failure};
use crate::{files, progress};

pub(crate) fn run(args: &Flash, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = files::parse_image(&args.image, &bytes)?;
    let chip = board::chip(&args.board)?;
    let options = PlanOptions {
        layout: args.layout()?,
    };
    // What does not fit is refused before anything is built.
    let alone = Plan::new(&chip, &image, None, &options).map_err(failure)?;
    let firmware = firmware(args, &chip, &alone.layout)?;
    let plan = match &firmware {
        Some(firmware) => Plan::new(&chip, &image, Some(firmware), &options).map_err(failure)?,
        None => alone,
    };
    for warning in plan.warnings(&image) {
        diagnostics::warn(warning);
    }
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
        Some(done.map_err(failure)?)
    };
    if args.json {
        let json = json!({ "plan": plan, "flashed": flashed });
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        return Ok(());
    }
    match &flashed {
        Some(flashed) => print_flashed(flashed, out)?,
        None => writeln!(out, "dry run: nothing was touched")?,
    }
    Ok(())
}

/// The firmware to write; `None` where the one on the chip stays, or a dry run can do without.
fn firmware(
    args: &Flash,
    chip: &device::Chip,
    layout: &Layout,
) -> Result<Option<Firmware>, Failure> {
    if args.model_only {
        return Ok(None);
    }
    let found = match &args.firmware {
        Some(path) => Firmware::read(path),
        None => device::build(chip, layout),
    };
    match found {
        Ok(firmware) => Ok(Some(firmware)),
        Err(error @ (DeviceError::NoTarget { .. } | DeviceError::NeedsOwnFirmware { .. }))
            if args.dry_run =>
        {
            diagnostics::warn(format_args!("{error}; the plan is for the image alone"));
            Ok(None)
        }
        Err(error) => Err(failure(error)),
    }
}

/// A plan as a person reads it.
fn print(plan: &Plan, out: &mut dyn Write) -> Result<(), Failure> {
    let layout = &plan.layout;
    writeln!(
        out,
        "chip       {}, {}",
        plan.chip(),
        plan.processor.architecture
    )?;
    let place = |region: Region| format!("{region} {:>9} bytes", region.len);
    writeln!(out, "firmware   {}", place(layout.firmware))?;
    for state in layout.slots.state.into_iter().flatten() {
        writeln!(out, "state      {}", place(state))?;
    }
    writeln!(out, "slot A     {}", place(layout.slots.a))?;
    if let Some(b) = layout.slots.b {
        writeln!(out, "slot B     {}", place(b))?;
    }
    writeln!(out, "RAM        {}", place(layout.ram))?;
    for part in &plan.firmware {
        writeln!(out, "write      {} of firmware", place(*part))?;
    }
    writeln!(
        out,
        "write      {} of image {:08x}",
        place(plan.image),
        plan.checksum
    )?;
    let mut runs: Vec<(Region, usize)> = Vec::new();
    for block in &plan.erased {
        match runs.last_mut() {
            Some((run, count)) if run.end() == block.address => {
                *run = Region::new(run.address, block.end());
                *count += 1;
            }
            _ => runs.push((*block, 1)),
        }
    }
    for (run, count) in runs {
        writeln!(out, "erase      {} in {count} sectors", place(run))?;
    }
    for budget in &plan.budgets {
        writeln!(out, "{budget}")?;
    }
    Ok(())
}

fn print_flashed(flashed: &Flashed, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(
        out,
        "erased {} bytes, wrote {} and read them back the same",
        flashed.erased, flashed.programmed
    )?;
    if let Some(greeting) = &flashed.greeting {
        writeln!(
            out,
            "firmware {} for {} with {} kernels; {} bytes of RAM are free",
            greeting.firmware, greeting.architecture, greeting.kernels, greeting.free_ram
        )?;
        if let ImageReport::Ready { checksum, arena } = greeting.image {
            writeln!(
                out,
                "runs the image {checksum:08x}, with an arena of {arena} bytes"
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
        _ => "working",
    }
}
