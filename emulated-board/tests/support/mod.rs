//! Boards, sessions and programs for the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use emulated_board::{Board, Machine, Options};
use object::{Object as _, ObjectSection as _};
use probe_rs::config::Registry;
use probe_rs::flashing::{DownloadOptions, FlashError};
use probe_rs::probe::DebugProbeSelector;
use probe_rs::probe::list::Lister;
use probe_rs::{Permissions, Session};

/// Longest time that a core may take to stop.
pub(crate) const SOON: Duration = Duration::from_secs(2);

/// The boards with flash that can be written.
pub(crate) const FLASHABLE: [Machine; 4] = [
    Machine::Microbit,
    Machine::Mps2An386,
    Machine::Mps2An500,
    Machine::Mps2An505,
];

pub(crate) fn start(machine: Machine) -> Board {
    Board::start(machine, &Options::default()).unwrap_or_else(|e| panic!("{machine}: {e}"))
}

/// Connects as any program with probe-rs does.
pub(crate) fn try_attach(board: &Board) -> Result<Session, probe_rs::Error> {
    let machine = board.machine();
    let mut registry = Registry::from_builtin_families();
    if let Some(description) = machine.chip_description() {
        registry.add_target_family_from_yaml(description).unwrap();
    }
    let selector: DebugProbeSelector = board.probe_selector().parse().unwrap();
    let probe = Lister::new().open(selector)?;
    probe.attach_with_registry(machine.chip(), Permissions::default(), &registry)
}

pub(crate) fn attach(board: &Board) -> Session {
    try_attach(board).unwrap_or_else(|e| panic!("{}: {e:?}", board.machine()))
}

/// Programs the flash from its start, and verifies it.
pub(crate) fn flash(
    session: &mut Session,
    machine: Machine,
    data: &[u8],
) -> Result<(), FlashError> {
    let mut loader = session.target().flash_loader();
    loader.add_data(machine.flash().start.into(), data)?;
    let mut options = DownloadOptions::default();
    options.verify = true;
    loader.commit(session, options)
}

/// Bytes without a pattern.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A file of this crate.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The code that the compiler's assembler makes of a file. It takes no library for the target.
pub(crate) fn assemble(path: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (source, object) = (folder.path().join("code.rs"), folder.path().join("code.o"));
    let code = format!(
        "#![feature(no_core, rustc_attrs, decl_macro)]\n\
         #![allow(internal_features)]\n\
         #![no_core]\n\
         #[rustc_builtin_macro] macro global_asm() {{}}\n\
         #[rustc_builtin_macro] macro include_str() {{}}\n\
         global_asm!(include_str!({:?}), options(raw));\n",
        file(path)
    );
    std::fs::write(&source, code).unwrap();
    let status = Command::new("rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["--edition=2024", "--target=thumbv6m-none-eabi"])
        .arg("--crate-type=lib")
        .arg(format!("--emit=obj={}", object.display()))
        .arg(&source)
        .status()
        .expect("rustc starts");
    assert!(status.success(), "{path}: {status}");
    let bytes = std::fs::read(object).unwrap();
    let object = object::File::parse(bytes.as_slice()).unwrap();
    let text = object.section_by_name(".text").unwrap();
    assert_eq!(text.relocations().count(), 0, "{path} is to need no linker");
    text.data().unwrap().to_vec()
}
