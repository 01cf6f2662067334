//! `cargo xtask profile`: where the instructions of an inference are executed.
//!
//! The plugin in `xtask/insn-count` counts them by address while the bench firmware measures; the
//! firmware's symbols say whose they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tinyspike::ImageBuf;
use tinyspike::bench::block;
use tinyspike::data;

use tinyspike_board::elf::{Function, functions};
use tinyspike_board::firmware::{Board, Program, elf};
use tinyspike_board::{Failure, qemu, shell};

use crate::firmware;

/// Arguments of `cargo xtask profile`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The packed image
    #[arg(long)]
    image: PathBuf,
    /// The samples: .npz with x and y, or IDX
    #[arg(long)]
    data: PathBuf,
    /// Run only the first N samples
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// The board that QEMU emulates
    #[arg(long, default_value = "mps2-an386", value_parser = Board::measured)]
    board: Board,
    /// Show the functions that execute the most instructions
    #[arg(long, default_value_t = 15)]
    top: usize,
    /// List the instructions of the functions whose names contain this
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
}

/// One instruction of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Its address.
    pub(crate) address: u64,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Times that it was executed.
    pub(crate) executed: u64,
    /// Executions after which the next instruction was not the one behind it.
    pub(crate) jumped: u64,
}

/// Builds what is needed, runs the samples, and prints the profile.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let elf = firmware::build_program(args.board, Program::Bench)?;
    let plugin = build_plugin()?;
    let argument = |e: &dyn std::error::Error| Failure::Argument(e.to_string());
    let image = ImageBuf::load(&args.image).map_err(|e| argument(&e))?;
    let data = data::load(&args.data).map_err(|e| argument(&e))?;
    let data = data.take(args.limit);
    let functions = functions(&elf)?;
    let inputs = block(&image, &data).map_err(|e| argument(&e))?;
    let counts = count(args.board, &plugin, &functions, image.bytes(), &inputs)?;
    match &args.function {
        Some(name) => list(&elf, &functions, &counts, name),
        None => print(&functions, &counts, data.len(), args.top),
    }
    Ok(())
}

/// Builds the plugin, and returns its path.
pub(crate) fn build_plugin() -> Result<PathBuf, Failure> {
    shell::run(shell::cargo().args(["build", "--release", "--package", "insn-count"]))?;
    let name = format!(
        "{}insn_count{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell::root().join("target"), PathBuf::from);
    Ok(target.join("release").join(name))
}

/// Counts the instructions of the inferences on a board whose firmware is built. What reads the timer
/// is left out.
pub(crate) fn count(
    board: Board,
    plugin: &Path,
    functions: &[Function],
    image: &[u8],
    inputs: &[u8],
) -> Result<Vec<Count>, Failure> {
    // The firmware reads its timer before and after each part of an inference.
    let clock = functions
        .iter()
        .find(|f| f.name.ends_with("Meter>::ticks"))
        .ok_or_else(|| Failure::Missing {
            what: "the function that reads the timer".into(),
            advice: "the bench firmware must not inline it".into(),
        })?;
    let directory = tempfile::tempdir().map_err(Failure::file(Path::new("a temporary folder")))?;
    let out = directory.path().join("counts");
    let plugin = format!(
        "{},out={},toggle={:#x}",
        plugin.display().to_string().replace(',', ",,"),
        out.display().to_string().replace(',', ",,"),
        clock.address
    );
    let outcome = qemu::run(&qemu::Run {
        board,
        firmware: &elf(board, Program::Bench),
        count: false,
        plugin: Some(&plugin),
        image,
        inputs,
        timeout: Duration::from_secs(600),
    })
    .map_err(|e| Failure::Argument(e.to_string()))?;
    if !outcome.status.success() {
        return Err(Failure::Argument(outcome.stderr));
    }
    let text = fs::read_to_string(&out).map_err(Failure::file(&out))?;
    let counts: Option<Vec<Count>> = text.lines().map(parse).collect();
    let mut counts = counts.ok_or_else(|| Failure::Argument("unreadable counts".into()))?;
    counts.retain(|c| !(clock.address..clock.address + clock.length).contains(&c.address));
    Ok(counts)
}

fn parse(line: &str) -> Option<Count> {
    let mut words = line.split(' ');
    Some(Count {
        address: u64::from_str_radix(words.next()?, 16).ok()?,
        length: words.next()?.parse().ok()?,
        executed: words.next()?.parse().ok()?,
        jumped: words.next()?.parse().ok()?,
    })
}

/// The function that an address belongs to.
pub(crate) fn function_at(functions: &[Function], address: u64) -> Option<&Function> {
    let after = functions.partition_point(|f| f.address <= address);
    let function = functions.get(after.checked_sub(1)?)?;
    (address < function.address + function.length).then_some(function)
}

pub(crate) fn print(functions: &[Function], counts: &[Count], images: usize, top: usize) {
    let total: u64 = counts.iter().map(|c| c.executed).sum();
    let mut shares: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for count in counts {
        let function = function_at(functions, count.address);
        let share = shares
            .entry(function.map_or("(no symbol)", |f| &f.name))
            .or_default();
        share.0 += count.executed;
        // A function begins with its first instruction.
        if function.is_some_and(|f| f.address == count.address) {
            share.1 += count.executed;
        }
    }
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_by_key(|(_, (executed, _))| std::cmp::Reverse(*executed));
    let images = images.max(1) as f64;
    println!(
        "{:>14} {:>7} {:>12}  function",
        "instructions", "share", "calls"
    );
    for (name, (executed, calls)) in shares.iter().take(top) {
        println!(
            "{:>14.1} {:>5.1} % {:>12.1}  {name}",
            *executed as f64 / images,
            *executed as f64 / total.max(1) as f64 * 100.0,
            *calls as f64 / images
        );
    }
    println!(
        "{:>14.1} an inference, in {images} inferences",
        total as f64 / images
    );
}

/// Lists a function's instructions with their counts, as text if a disassembler is installed.
fn list(elf: &Path, functions: &[Function], counts: &[Count], name: &str) {
    for function in functions.iter().filter(|f| f.name.contains(name)) {
        let range = function.address..function.address + function.length;
        let counts: Vec<&Count> = counts
            .iter()
            .filter(|c| range.contains(&c.address))
            .collect();
        let total: u64 = counts.iter().map(|c| c.executed).sum();
        if total == 0 {
            continue;
        }
        println!("{}: {total} instructions", function.name);
        let executed = |address: u64| {
            counts
                .iter()
                .find(|c| c.address == address)
                .map_or(0, |c| c.executed)
        };
        match disassemble(elf, function) {
            Some(text) => {
                for line in text.lines() {
                    let address = line
                        .split_once(':')
                        .and_then(|(a, _)| u64::from_str_radix(a.trim(), 16).ok());
                    match address {
                        Some(address) => println!("{:>12}  {}", executed(address), short(line)),
                        None if line.starts_with(';') => println!("{line}"),
                        None => {}
                    }
                }
            }
            None => {
                for c in counts {
                    println!("{:>12}  {:x}  jumped {}", c.executed, c.address, c.jumped);
                }
            }
        }
    }
}

/// A line of a listing without the mangled name of the function in it: `<name+0x26>` as `<+0x26>`.
fn short(line: &str) -> String {
    match line.split_once('<') {
        Some((head, tail)) => {
            let place = tail.find(['+', '>']).unwrap_or(0);
            let place = tail.get(place..).unwrap_or(tail);
            format!("{}<{place}", head.trim_end())
        }
        None => line.trim_end().to_owned(),
    }
}

/// A function as text; `None` without a disassembler.
fn disassemble(elf: &Path, function: &Function) -> Option<String> {
    let end = function.address + function.length;
    ["llvm-objdump", "arm-none-eabi-objdump"]
        .into_iter()
        .find_map(|program| {
            let mut command = Command::new(program);
            command
                .args(["--disassemble", "--line-numbers", "--no-show-raw-insn"])
                .arg(format!("--start-address={:#x}", function.address))
                .arg(format!("--stop-address={end:#x}"))
                .arg(elf);
            if program == "llvm-objdump" {
                command.arg("--triple=thumbv7em-none-eabi");
            }
            shell::read(&mut command)
        })
}
