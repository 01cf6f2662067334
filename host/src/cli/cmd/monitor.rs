//! `tinyspike monitor`: what a board logs, and how its network spikes.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::ImageBuf;
use crate::assemble::Image;
use crate::data::DataSet;
use crate::device::run::{self, RunError, RunOptions, Tally};
use crate::device::session::{Link, Lost, Session, SessionError};
use crate::device::{LogReader, LogTable, TalkOptions, serial, talk};
use crate::{emulate, judge};

use super::run::live;
use crate::cli::args::Monitor;
use crate::cli::broken::{Broken, Way};
use crate::cli::deployed::deploy;
use crate::cli::diagnostics::{self, Failure};
use crate::cli::{files, inputs};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &Monitor, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = args.image.as_deref().map(files::read_image).transpose()?;
    let image = bytes.as_ref().map(ImageBuf::image);
    let set = match &image {
        Some(image) if !args.data.is_empty() => Some(inputs::of_image(
            &args.data,
            image,
            &args.bytes,
            Some(args.limit),
        )?),
        _ => None,
    };
    let watch = Watch {
        args,
        image: image.as_ref(),
        set: set.as_ref(),
    };
    if let Some(port) = &args.board.serial {
        let mut session = serial::open(port, args.board.baud).map_err(Failure::of)?;
        let watched = watch.on(&mut session, Log { reader: None, out });
        return watched.map_err(|e| e.failure(Way::Line));
    }
    let deployed = deploy(&args.board, args.firmware.as_deref(), bytes.as_ref())?;
    let table = LogTable::read(&deployed.firmware.path).map_err(Failure::of)?;
    if table.is_none() {
        diagnostics::warn("the firmware does not log");
    }
    let options = TalkOptions {
        restart: args.restart,
        ..deployed.talk()
    };
    let (chip, firmware) = (&deployed.board.chip, Some(&deployed.firmware));
    talk(chip, firmware, &options, |session| {
        let reader = table.as_ref().map(LogTable::reader);
        watch.on(session, Log { reader, out })
    })
    .map_err(|e| e.failure(Way::Probe))
}

/// A device that is to be watched.
struct Watch<'a> {
    args: &'a Monitor,
    image: Option<&'a Image<'a>>,
    set: Option<&'a DataSet>,
}

impl Watch<'_> {
    fn on<L: Link>(&self, session: &mut Session<L>, mut log: Log<'_, '_>) -> Result<(), Broken> {
        log.show(session)?;
        let state = state(session);
        // What a firmware that has just started logs is there when it answers.
        log.show(session)?;
        state?;
        let started = Instant::now();
        if let (Some(image), Some(set)) = (self.image, self.set) {
            run::check(session, image)?;
            let options = RunOptions::default();
            let judge = emulate::judge(image, set);
            let mut judged = judge::Tally::default();
            // One by one, so that the log of each comes with it.
            for sample in 0..set.len() {
                let one = set.select(&[sample]).unwrap_or_else(|| set.clone().take(0));
                let mut seen = Tally::default();
                let report = run::run(session, image, &one, &options, &mut |tally| {
                    seen = tally.clone();
                })?;
                let first = seen.outputs.first().map_or(&[][..], Vec::as_slice);
                if let Some(judge) = &judge {
                    judge.add(&mut judged, sample, first.iter().copied());
                    seen.figures = judge.figures(&judged);
                }
                log.show(session)?;
                let answer = match first {
                    [value] => format!("output {value:.4}"),
                    values => format!("class {}", judge::largest(values.iter().copied())),
                };
                writeln!(log.out, "sample {sample}: {answer}, {}", live(&seen))
                    .map_err(Failure::from)?;
                if let Some(parting) = report.parting() {
                    return Err(Failure::new(parting).into());
                }
            }
        }
        let forever = self.set.is_none() && self.args.seconds.is_none();
        let until = Duration::from_secs(self.args.seconds.unwrap_or(0));
        while forever || started.elapsed() < until {
            log.show(session)?;
            std::thread::sleep(PAUSE);
        }
        log.show(session)
    }
}

/// Sees that the firmware has not stopped and runs an image: of any other there is nothing to watch.
fn state<L: Link>(session: &mut Session<L>) -> Result<(), Broken> {
    match session.hello() {
        Ok(identity) => identity.image.map(|_| ()).map_err(RunError::from)?,
        // One of another kind may log and not answer.
        Err(SessionError::Silent { .. }) => {}
        Err(error) => return Err(RunError::from(error).into()),
    }
    Ok(())
}

/// The log, message by message.
struct Log<'t, 'o> {
    reader: Option<LogReader<'t>>,
    out: &'o mut dyn Write,
}

impl Log<'_, '_> {
    /// Prints what has come.
    fn show<L: Link>(&mut self, session: &mut Session<L>) -> Result<(), Broken> {
        // A device that logs without an end has its turns like others.
        const PIECES: usize = 64;
        let mut bytes = [0; 1024];
        for _ in 0..PIECES {
            let link = session.link();
            let count = match self.reader {
                Some(_) => link.log(&mut bytes),
                // What nobody asked for is passed over; that the connection has ended is noticed.
                None => link.receive(&mut bytes),
            };
            let count = count.map_err(lost)?;
            if count == 0 {
                self.out.flush().map_err(Failure::from)?;
                return Ok(());
            }
            let Some(reader) = &mut self.reader else {
                continue;
            };
            for message in reader.read(bytes.get(..count).unwrap_or(&[])) {
                writeln!(self.out, "{message}").map_err(Failure::from)?;
            }
        }
        Ok(())
    }
}

fn lost(lost: Lost) -> Broken {
    Broken::Run(SessionError::Lost(lost).into())
}
