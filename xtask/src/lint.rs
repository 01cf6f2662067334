//! `cargo xtask lint`: formatting, clippy, prose, unsafe code, imports, packages, and what is depended on.

use std::collections::BTreeSet;

use tinyspike_board::firmware::{self, Board, Program, cargo_of};
use tinyspike_board::shell::{self, Failure};
use tinyspike_board::toolchain::{ALL_TARGETS, TARGETS, Toolchain};
use tinyspike_firmware::parts::{Part, Parts};

use crate::{imports, package, prose, unsafe_code};

/// Clippy's warnings are errors.
const STRICT: [&str; 3] = ["--", "--deny", "warnings"];

/// Checks formatting, unsafe code, imports, prose, the packages and their dependencies, and runs clippy with
/// warnings as errors.
pub(crate) fn lint() -> Result<(), Failure> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    unsafe_code::check()?;
    imports::check()?;
    prose::check()?;
    dependencies()?;
    package::check()?;
    let workspace = ["clippy", "--workspace", "--all-targets"];
    shell::run(shell::cargo().args(workspace).args(STRICT))?;
    built_once()?;
    library()?;
    for target in TARGETS
        .into_iter()
        .filter(|target| ALL_TARGETS.contains(target))
    {
        if Toolchain::find(target) == Some(Toolchain::Installed) {
            application(target)?;
        }
    }
    for board in Board::ALL {
        // Clippy is the default toolchain's, so it can only see targets that this one knows.
        if Toolchain::find(board.target()) == Some(Toolchain::Installed) {
            for &program in board.programs().map_or(&[][..], |programs| programs.which) {
                let mut clippy = firmware::cargo(&Toolchain::Installed, "clippy", board, program);
                shell::run(clippy.args(STRICT))?;
            }
            parts(board)?;
        } else {
            println!(
                "clippy does not see the binary of {}: the target {} has no ready-made library",
                board.name(),
                board.target()
            );
        }
    }
    Ok(())
}

/// Holds dependencies to deny.toml with cargo-deny, and looks for advisories if their database can be fetched.
fn dependencies() -> Result<(), Failure> {
    let mut check = shell::cargo();
    check.args([
        "deny",
        "--all-features",
        "check",
        "licenses",
        "bans",
        "sources",
    ]);
    if shell::read(shell::cargo().args(["deny", "fetch", "db"])).is_some() {
        check.arg("advisories");
    } else {
        println!("advisories: not checked, because their database cannot be fetched");
    }
    shell::run(&mut check)
}

/// Packages that only the tool and real or emulated boards need. Who links the library is spared them.
const OPTIONAL: [&str; 9] = [
    "clap",
    "defmt-decoder",
    "emulated-board",
    "indicatif",
    "probe-rs",
    "serialport",
    "signal-hook",
    "tinyspike-board",
    "tinyspike-c",
];

/// Runs clippy on the library alone and with boards, and checks that it alone links no package of [`OPTIONAL`].
fn library() -> Result<(), Failure> {
    let alone = ["--package", "tinyspike", "--no-default-features"];
    for features in [&[][..], &["--features", "boards"]] {
        let mut clippy = shell::cargo();
        clippy.arg("clippy").args(alone).args(features);
        shell::run(clippy.arg("--lib").args(STRICT))?;
    }
    match linked(&tree(&[&alone[..], &["--edges", "normal"]].concat())?) {
        Some(package) => Err(Failure::Argument(format!(
            "the library without its features depends on {package}: make that dependency optional in host/Cargo.toml"
        ))),
        None => Ok(()),
    }
}

/// A list of packages and their features, one on each line.
fn tree(args: &[&str]) -> Result<String, Failure> {
    let mut tree = shell::cargo();
    tree.arg("tree").args(args);
    tree.args(["--prefix", "none", "--no-dedupe", "--format", "{p} {f}"]);
    shell::read(&mut tree).ok_or_else(|| Failure::Missing {
        what: "a list of dependencies".into(),
        advice: format!("`cargo tree {}` should print it", args.join(" ")),
    })
}

/// Checks that the chores and the tested Python package need every package as the tests have it: else most of the workspace is
/// built twice or three times.
fn built_once() -> Result<(), Failure> {
    let all = tree(&["--workspace"])?;
    let all: BTreeSet<&str> = all.lines().collect();
    let wheel = ["--package", "tinyspike-python", "--features", "tested"];
    for package in [&["--package", "xtask"][..], &wheel] {
        let own = tree(&[package, &["--edges", "normal,build"]].concat())?;
        // The first line is the package itself.
        let other: BTreeSet<&str> = own.lines().skip(1).filter(|l| !all.contains(l)).collect();
        if !other.is_empty() {
            return Err(Failure::Argument(format!(
                "what {} needs is built twice, because the tests have these packages with other features (see xtask/Cargo.toml):\n{}",
                package[1],
                other.into_iter().collect::<Vec<_>>().join("\n")
            )));
        }
    }
    Ok(())
}

/// The first package of [`OPTIONAL`] in a list with a package on each line.
fn linked(tree: &str) -> Option<&'static str> {
    let names = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let mut found = names.filter_map(|name| OPTIONAL.iter().find(|o| **o == name));
    found.next().copied()
}

/// Runs clippy on the application as devices get it, with and without the check of signatures.
fn application(target: &str) -> Result<(), Failure> {
    let any = [0; 32];
    for key in [None, Some(&any)] {
        let features: &[&str] = &["defmt"];
        let mut clippy =
            firmware::app_cargo(&Toolchain::Installed, "clippy", target, features, key);
        // Nothing is linked, so there need not be a memory layout.
        clippy.env(
            "TINYSPIKE_MEMORY",
            shell::root().join("firmware/boards/app"),
        );
        shell::run(clippy.args(STRICT))?;
    }
    Ok(())
}

/// Runs clippy on the engine with none of its parts, and with each alone.
fn parts(board: Board) -> Result<(), Failure> {
    if !board.has(Program::Minimal) {
        return Ok(());
    }
    let alone = Part::ALL.map(|part| {
        let others = Part::ALL.into_iter().filter(|&other| other != part);
        others.fold(Parts::ALL, Parts::without)
    });
    for parts in [Parts::default()].into_iter().chain(alone) {
        let toolchain = &Toolchain::Installed;
        let mut clippy = cargo_of(toolchain, "clippy", board, Program::Minimal, parts);
        shell::run(clippy.args(STRICT))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_should_be_optional_is_found() {
        let tree = "tinyspike v0.1.0 (/p/host)\nrayon v1.12.0\nprobe-rs-target v1.0.0\n";
        assert_eq!(linked(tree), None);
        let tree = format!("{tree}probe-rs v0.32.0\n");
        assert_eq!(linked(&tree), Some("probe-rs"));
    }
}
