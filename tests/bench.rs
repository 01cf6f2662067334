//! An emulated board with the application's firmware, over probe-rs.

use std::path::Path;
use std::time::Duration;

use emulated_board::{Board, Machine, Options};
use probe_rs::flashing::DownloadOptions;
use probe_rs::probe::DebugProbeSelector;
use probe_rs::probe::list::Lister;
use probe_rs::{Permissions, Session};
use tinyspike::ImageBuf;
use tinyspike::data::DataSet;
use tinyspike::device::run::{self, RunError, RunOptions, RunReport, StreamOptions};
use tinyspike::device::session::{Identity, Link as _, SessionError};
use tinyspike::device::{
    Chip, Chips, ConnectError, Firmware, FlashError, FlashOptions, Flashed, Layout, LayoutOptions,
    LogMessage, LogTable, Origin, Plan, PlanError, PlanOptions, Progress, TalkOptions, application,
    flash, talk,
};
use tinyspike::sign::PublicKey;

/// Reason for the end of a conversation.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the type that it holds")]
#[non_exhaustive]
pub enum Ended {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// A board with the application's firmware for it.
#[derive(Debug)]
pub struct Bench {
    /// The board.
    pub board: Board,
    /// Its chip.
    pub chip: Chip,
    /// The firmware.
    pub firmware: Firmware,
}

#[expect(
    clippy::missing_panics_doc,
    reason = "what a test has no use for ends it"
)]
/// The chip of an emulated board.
#[must_use]
pub fn chip(machine: Machine) -> Chip {
    let mut chips = Chips::builtin();
    if let Some(text) = machine.chip_description() {
        chips.add_yaml(machine.name(), text).unwrap();
    }
    chips.find(machine.chip()).unwrap()
}

/// Options to write to an emulated board, which may take its time.
#[must_use]
pub fn flash_options(board: &Board) -> FlashOptions {
    FlashOptions {
        probe: Some(board.probe_selector().parse().unwrap()),
        timeout: Duration::from_secs(30),
        ..FlashOptions::default()
    }
}

impl Bench {
    /// A board with blank flash, and firmware that asks for the key's signature, if there is one.
    #[must_use]
    pub fn new(machine: Machine, key: Option<&PublicKey>) -> Self {
        Self::start(machine, key, &Options::default(), None)
    }

    /// A board with blank flash, and firmware that is built for an image.
    #[must_use]
    pub fn for_image(machine: Machine, image: &[u8]) -> Self {
        Self::start(machine, None, &Options::default(), Some(image))
    }

    /// The same, with a clock that counts instructions: each takes 64 ns.
    #[must_use]
    pub fn counting(machine: Machine, key: Option<&PublicKey>) -> Self {
        let options = Options {
            icount_shift: Some(6),
            ..Options::default()
        };
        Self::start(machine, key, &options, None)
    }

    fn start(
        machine: Machine,
        key: Option<&PublicKey>,
        options: &Options,
        image: Option<&[u8]>,
    ) -> Self {
        let chip = chip(machine);
        let layout = Layout::of(&chip, &LayoutOptions::default()).unwrap();
        let layout = match image.map(|image| ImageBuf::new(image).unwrap()) {
            Some(image) => layout.built_for(&chip, &image.image()),
            None => layout,
        };
        let firmware =
            application(&chip, &layout, key, Origin::Prebuilt).unwrap_or_else(|e| panic!("{e}"));
        let board = Board::start(machine, options).unwrap_or_else(|e| panic!("{e}"));
        Self {
            board,
            chip,
            firmware,
        }
    }

    /// A plan for an image and what stands behind it.
    ///
    /// # Errors
    /// [`PlanError`], if nothing may be written.
    pub fn plan(&self, image: &[u8], options: PlanOptions) -> Result<Plan, PlanError> {
        let image = ImageBuf::new(image).unwrap();
        let firmware = (!options.model_only).then_some(&self.firmware);
        Plan::new(&self.chip, &image, firmware, &options)
    }

    /// Does what was planned.
    ///
    /// # Errors
    /// [`FlashError`], as of [`flash()`].
    pub fn carry_out(
        &self,
        plan: &Plan,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Flashed, FlashError> {
        flash(plan, &flash_options(&self.board), progress)
    }

    /// Writes an image, and sees that the firmware runs it.
    pub fn flash(&self, image: &[u8], with_firmware: bool) -> Flashed {
        let options = PlanOptions {
            model_only: !with_firmware,
            ..PlanOptions::default()
        };
        let plan = self.plan(image, options).unwrap_or_else(|e| panic!("{e}"));
        let flashed = self.carry_out(&plan, &mut |_| ());
        let flashed = flashed.unwrap_or_else(|e| panic!("{e}"));
        assert!(flashed.programmed >= image.len() as u64);
        let image = flashed.greeting.as_ref().unwrap().image.unwrap();
        assert_eq!(image.checksum, plan.checksum);
        flashed
    }

    /// The board as probe-rs sees it.
    #[must_use]
    pub fn attach(&self) -> Session {
        let mut registry = probe_rs::config::Registry::from_builtin_families();
        let machine = self.board.machine();
        if let Some(text) = machine.chip_description() {
            registry.add_target_family_from_yaml(text).unwrap();
        }
        let selector: DebugProbeSelector = self.board.probe_selector().parse().unwrap();
        let probe = Lister::new().open(selector).unwrap();
        probe
            .attach_with_registry(machine.chip(), Permissions::default(), &registry)
            .unwrap()
    }

    /// Writes bytes to flash, whatever they are and whoever would refuse them.
    pub fn write(&self, address: u32, bytes: &[u8]) {
        let mut session = self.attach();
        let mut loader = session.target().flash_loader();
        loader.add_data(address.into(), bytes).unwrap();
        loader
            .commit(&mut session, DownloadOptions::default())
            .unwrap();
        session.core(0).unwrap().reset().unwrap();
    }

    fn talk(&self, restart: bool) -> TalkOptions {
        TalkOptions {
            probe: Some(self.board.probe_selector().parse().unwrap()),
            timeout: Duration::from_secs(30),
            restart,
        }
    }

    /// Greets the firmware, after a new start or as it runs, and returns its identity and its log.
    ///
    /// # Errors
    /// [`Ended`], if it does not say.
    pub fn hello(&self, restart: bool) -> Result<(Identity, Vec<LogMessage>), Ended> {
        let (answer, log) = self.ask(restart, |session| session.hello())?;
        Ok((answer?, log))
    }

    /// Asks the firmware a question, after a new start or as it runs, and returns the answer and its log.
    ///
    /// # Errors
    /// [`Ended`], if it is not there.
    pub fn ask<T>(
        &self,
        restart: bool,
        question: impl FnOnce(
            &mut tinyspike::device::Session<tinyspike::device::Connection<'_, '_>>,
        ) -> T,
    ) -> Result<(T, Vec<LogMessage>), Ended> {
        let table = LogTable::read(&self.firmware.path).unwrap().unwrap();
        let options = self.talk(restart);
        talk(&self.chip, Some(&self.firmware), &options, |session| {
            let answer = question(session);
            let mut bytes = [0; 1024];
            let count = session.link().log(&mut bytes).map_err(SessionError::from)?;
            Ok((answer, table.reader().read(&bytes[..count])))
        })
    }

    /// Runs samples on the board, and what it logs meanwhile.
    ///
    /// # Errors
    /// [`Ended`], if it does not run them.
    pub fn run(
        &self,
        image: &[u8],
        set: &DataSet,
        bisect: bool,
    ) -> Result<(RunReport, Vec<LogMessage>), Ended> {
        let bytes = ImageBuf::new(image).unwrap();
        let parsed = bytes.image();
        let options = RunOptions { bisect };
        let table = LogTable::read(&self.firmware.path).unwrap().unwrap();
        let talking = TalkOptions {
            timeout: TalkOptions::default().timeout,
            ..self.talk(true)
        };
        talk(&self.chip, Some(&self.firmware), &talking, |session| {
            run::check(session, &parsed)?;
            let mut log = Vec::new();
            let mut reader = table.reader();
            let mut bytes = [0; 1024];
            let count = session.link().log(&mut bytes).map_err(SessionError::from)?;
            log.extend(reader.read(&bytes[..count]));
            let report = run::run(session, &parsed, set, &options, &mut |_| ())?;
            let count = session.link().log(&mut bytes).map_err(SessionError::from)?;
            log.extend(reader.read(&bytes[..count]));
            Ok((report, log))
        })
    }
}

impl Bench {
    /// Runs recordings on the device, held to the emulator step by step.
    ///
    /// # Errors
    /// [`Ended`], if it does not run them.
    pub fn stream(
        &self,
        image: &[u8],
        set: &DataSet,
        options: StreamOptions,
    ) -> Result<RunReport, Ended> {
        let bytes = ImageBuf::new(image).unwrap();
        let parsed = bytes.image();
        talk(
            &self.chip,
            Some(&self.firmware),
            &self.talk(true),
            |session| {
                run::check(session, &parsed)?;
                Ok(run::stream(session, &parsed, set, options, &mut |_| ())?)
            },
        )
    }
}

/// The message that begins so and comes from a file and line of the application, if it has been logged.
#[must_use]
pub fn logged<'a>(log: &'a [LogMessage], beginning: &str) -> Option<&'a str> {
    log.iter()
        .find(|message| {
            let place = message.place.as_ref();
            let from = |file: &Path| {
                file.ends_with("app.rs") || file.parent().is_some_and(|p| p.ends_with("app"))
            };
            message.text.starts_with(beginning)
                && place.is_some_and(|(file, line)| from(file) && *line > 0)
        })
        .map(|message| message.text.as_str())
}
