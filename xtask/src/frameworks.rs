//! `cargo xtask test-frameworks`: networks of other frameworks, exported and recorded by them, against the semantics that
//! docs/nir.md names; and their live models in the Python package.
//!
//! Each framework has a virtual environment in `target/frameworks`. PyTorch, which all need, is in one that they share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tinyspike::nir::matching::{self, Trace};
use tinyspike::nir::{self, Choices, Traits};
use tinyspike_board::shell::{self, Failure};

use crate::{python, venv};

/// Frameworks, by their names as packages and as presets.
const FRAMEWORKS: [&str; 5] = ["norse", "rockpool", "sinabs", "snntorch", "spikingjelly"];
/// Keras 2 and 3, of which the latter runs on several backends.
const KERAS: &str = "keras";
/// Backends of Keras 3, and Keras 2 in their place.
const BACKENDS: [&str; 5] = ["jax", "numpy", "tensorflow", "torch", "keras2"];
/// Packages of the shared environment.
const SHARED: [&str; 5] = ["torch", "torchvision", "nir", "nirtorch", "h5py"];

/// The options of `cargo xtask test-frameworks`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test only these
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(FRAMEWORKS.into_iter().chain([KERAS])))]
    frameworks: Vec<String>,
}

/// Exports and records a network in each framework, and looks for the semantics that reproduce every spike. It fails if
/// those of the framework's preset do not, or if the Python package makes another network of the live one.
pub(crate) fn test(args: &Args) -> Result<(), Failure> {
    let shared = environment("shared", &SHARED, None)?;
    let wheel = python::wheel(true, None)?;
    let wanted =
        |name: &str| args.frameworks.is_empty() || args.frameworks.iter().any(|own| own == name);
    let mut failed = Vec::new();
    for name in FRAMEWORKS.into_iter().filter(|name| wanted(name)) {
        let python = environment(name, &[name], Some(&shared))?;
        let out = folder(name).join("out");
        fs::create_dir_all(&out).map_err(Failure::file(&out))?;
        let script = examples().join(format!("export_{name}.py"));
        shell::run(Command::new(&python).arg(&script).arg(&out))?;
        let (cells, found) = search(&out)
            .map_err(|reason| Failure::Argument(format!("{name}: {}: {reason}", out.display())))?;
        let passed = found.iter().any(|semantics| semantics == name);
        println!(
            "{name}: {cells} cells of spikes, reproduced by {}",
            if found.is_empty() {
                "no semantics".to_owned()
            } else {
                found.join("; ")
            }
        );
        if !passed {
            failed.push(name);
        }
        python::install(&python, &wheel)?;
        shell::run(live(&python, "module").arg(&script).arg(&out))?;
        if name == "snntorch" {
            shell::run(&mut live(&python, "snntorch_resets"))?;
        }
    }
    if wanted(KERAS) {
        let python = keras(&shared)?;
        python::install(&python, &wheel)?;
        for backend in BACKENDS {
            shell::run(live(&python, KERAS).arg(backend))?;
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Argument(format!(
        "the presets of {} do not reproduce their frameworks' spikes",
        failed.join(", ")
    )))
}

/// The number of recorded cells, and the semantics that reproduce all.
fn search(out: &Path) -> Result<(usize, Vec<String>), Box<dyn std::error::Error>> {
    let graph = nir::load(&out.join("net.nir"))?;
    let trace = Trace::load(&out.join("sample.npz"), &graph)?;
    let found = matching::search(&graph, &trace, &Choices::parse(&graph, &[])?.all)?;
    let (traits, writer) = (Traits::of(&graph)?, nir::guess(&graph).preset.name);
    let words = |candidate: &matching::Candidate| {
        matching::described(&candidate.semantics, &traits, writer)
    };
    Ok((trace.cells(), found.found.iter().map(words).collect()))
}

/// A test of live models, which runs in a framework's environment.
fn live(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    let scripts = python::source().join("tests/frameworks");
    command.arg(scripts.join(format!("live_{name}.py")));
    command
}

/// The Python of the environment with Keras and its backends.
fn keras(shared: &Path) -> Result<PathBuf, Failure> {
    python::environment_in(&folder(KERAS), "frameworks", |python| share(python, shared))
}

fn examples() -> PathBuf {
    shell::root().join("examples/nir")
}

fn folder(name: &str) -> PathBuf {
    shell::root().join("target/frameworks").join(name)
}

/// The Python of a virtual environment with some packages, of the versions in constraints.txt. It also sees the packages
/// of another.
fn environment(name: &str, packages: &[&str], other: Option<&Path>) -> Result<PathBuf, Failure> {
    let constraints = examples().join("constraints.txt");
    let wanted = fs::read_to_string(&constraints).map_err(Failure::file(&constraints))?;
    venv::environment(&folder(name), &wanted, |python| {
        if let Some(other) = other {
            share(python, other)?;
        }
        let mut install = Command::new(python);
        install.args(["-m", "pip", "install", "--quiet", "--constraint"]);
        shell::run(install.arg(&constraints).args(packages))
    })
}

/// Shows the packages of another environment to a Python.
fn share(python: &Path, other: &Path) -> Result<(), Failure> {
    let path = site(python)?.join("shared.pth");
    let text = site(other)?.display().to_string();
    fs::write(&path, text).map_err(Failure::file(&path))
}

/// The folder of a Python's packages.
fn site(python: &Path) -> Result<PathBuf, Failure> {
    let script = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let found = shell::read(Command::new(python).args(["-c", script]));
    found.map(PathBuf::from).ok_or_else(|| Failure::Missing {
        what: format!("the folder of packages of {}", python.display()),
        advice: "delete the folder target/frameworks, and run again".into(),
    })
}
