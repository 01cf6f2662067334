//! `cargo xtask wheel`: the Python package. `cargo xtask test-python`: its tests, in a clean virtual environment.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tinyspike_board::held::PREBUILT;
use tinyspike_board::shell::{self, Failure};

use crate::{handed_out, venv};

/// The options of `cargo xtask wheel`.
#[derive(clap::Args)]
pub(crate) struct WheelArgs {
    /// Build as tests are built: faster to build, slower to run
    #[arg(long)]
    dev: bool,
    /// Folder of prebuilt firmware that goes into the wheel; without it TINYSPIKE_PREBUILT may name one
    #[arg(long, value_name = "DIR")]
    prebuilt: Option<PathBuf>,
}

/// The options of `cargo xtask test-python`.
#[derive(clap::Args)]
pub(crate) struct TestArgs {
    /// Test only what pytest's -k selects
    filter: Option<String>,
    /// Leave out what takes long: notebooks that train, clusters, and times
    #[arg(long)]
    quick: bool,
}

/// Builds a wheel, with the command-line tool in it, and says where it lies.
pub(crate) fn build(args: &WheelArgs) -> Result<(), Failure> {
    let wheel = wheel(args.dev, args.prebuilt.as_deref())?;
    println!("pip install {}", wheel.display());
    if prebuilt(args.prebuilt.as_deref())?.is_none() {
        println!(
            "it holds no firmware: --prebuilt target/prebuilt takes what `cargo xtask dist --firmware` makes"
        );
    }
    Ok(())
}

/// Installs the package into a clean virtual environment and tests it there: documented examples, tests, types.
pub(crate) fn test(args: &TestArgs) -> Result<(), Failure> {
    let wheel = wheel(args.quick, None)?;
    let python = environment(if args.quick { "test" } else { "full" })?;
    install(&python, &wheel)?;
    let tests = source().join("tests");
    let mut pytest = tool(&python, "pytest")?;
    pytest
        .args(["--quiet", "--durations=8", "-p", "no:cacheprovider"])
        .arg("--config-file")
        .arg(source().join("pyproject.toml"))
        .arg("--rootdir")
        .arg(source())
        .arg(&tests)
        .args(["--pyargs", "tinyspike"])
        .env("KERAS_BACKEND", "jax")
        .env("MPLBACKEND", "agg")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if args.quick {
        pytest.args(["-m", "not slow"]);
    }
    if let Some(filter) = &args.filter {
        pytest.args(["-k", filter]);
    }
    shell::run(&mut pytest)?;
    let mut mypy = tool(&python, "mypy")?;
    mypy.args(["--strict", "--config-file"])
        .arg(source().join("pyproject.toml"))
        .args(["--cache-dir"])
        .arg(folder("mypy"))
        .args(["-p", "tinyspike"]);
    shell::run(&mut mypy)?;
    let mut mypy = tool(&python, "mypy")?;
    mypy.args(["--strict", "--config-file"])
        .arg(source().join("pyproject.toml"))
        .args(["--cache-dir"])
        .arg(folder("mypy"))
        .arg(shell::root().join("examples/python"));
    shell::run(&mut mypy)
}

/// Runs the notebooks with an optimized wheel, and stores what they show.
pub(crate) fn notebooks() -> Result<(), Failure> {
    let wheel = wheel(false, None)?;
    let python = environment("full")?;
    install(&python, &wheel)?;
    let folder = shell::root().join("examples/notebooks");
    let files = fs::read_dir(&folder).map_err(Failure::file(&folder))?;
    let files = files.flatten().map(|file| file.path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "ipynb"))
        .collect();
    files.sort();
    let mut write = Command::new(&python);
    write
        .arg(folder.join("store.py"))
        .args(files)
        .env("KERAS_BACKEND", "jax");
    shell::run(&mut write)
}

/// Tests what takes little time, as a part of `cargo xtask test`.
pub(crate) fn test_quickly() -> Result<(), Failure> {
    test(&TestArgs {
        filter: None,
        quick: true,
    })
}

/// Installs a wheel into a Python's environment, without the packages that it needs.
pub(crate) fn install(python: &Path, wheel: &Path) -> Result<(), Failure> {
    let mut install = pip(python);
    // A wheel of the same version may have other content.
    install.args(["install", "--quiet", "--no-deps", "--force-reinstall"]);
    shell::run(install.arg(wheel))
}

/// The folder of prebuilt firmware, if there shall be some, for programs that run elsewhere.
fn prebuilt(given: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let named = env::var_os(PREBUILT).filter(|folder| !folder.is_empty());
    let Some(folder) = given.map(Path::to_owned).or(named.map(PathBuf::from)) else {
        return Ok(None);
    };
    let found = fs::canonicalize(&folder).map_err(Failure::file(&folder))?;
    if found.is_dir() {
        return Ok(Some(found));
    }
    let folder = folder.display();
    Err(Failure::Argument(format!(
        "{folder} is no folder; give --prebuilt or {PREBUILT} the folder of prebuilt firmware"
    )))
}

/// Builds the wheel by maturin.
pub(crate) fn wheel(dev: bool, firmware: Option<&Path>) -> Result<PathBuf, Failure> {
    let firmware = prebuilt(firmware)?;
    let python = environment("build")?;
    let profile = if dev { "dev" } else { "release" };
    let out = folder("wheels").join(profile);
    // What an earlier version left would be found, too.
    if out.is_dir() {
        fs::remove_dir_all(&out).map_err(Failure::file(&out))?;
    }
    let mut maturin = tool(&python, "maturin")?;
    maturin
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .arg("--manifest-path")
        .arg(source().join("Cargo.toml"))
        .arg("--interpreter")
        .arg(&python)
        .arg("--out")
        .arg(&out);
    if dev {
        // Else cargo would build most of the workspace once more.
        maturin.args(["--features", "tested"]);
    }
    if let Some(firmware) = firmware {
        maturin.env(PREBUILT, firmware);
        handed_out::settings(&mut maturin);
    }
    shell::run(&mut maturin)?;
    let files = fs::read_dir(&out).map_err(Failure::file(&out))?;
    let mut wheels = files.flatten().map(|file| file.path());
    let wheel = wheels.find(|path| path.extension().is_some_and(|end| end == "whl"));
    wheel.ok_or_else(|| Failure::Missing {
        what: format!("a wheel in {}", out.display()),
        advice: "maturin should have written one".into(),
    })
}

/// The source of the package.
pub(crate) fn source() -> PathBuf {
    shell::root().join("python")
}

fn folder(name: &str) -> PathBuf {
    shell::root().join("target/python").join(name)
}

/// The Python of a virtual environment with the packages that `requirements-NAME.txt` pins.
fn environment(name: &str) -> Result<PathBuf, Failure> {
    environment_in(&folder(name), name, |_| Ok(()))
}

/// The Python of such an environment in a folder; `prepare` is called before the packages are installed.
pub(crate) fn environment_in(
    root: &Path,
    name: &str,
    prepare: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let requirements = source().join(format!("requirements-{name}.txt"));
    let wanted = fs::read_to_string(&requirements).map_err(Failure::file(&requirements))?;
    venv::environment(root, &wanted, |python| {
        prepare(python)?;
        let mut install = pip(python);
        install.args(["install", "--quiet", "--requirement"]);
        shell::run(install.arg(&requirements))
    })
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--disable-pip-version-check"]);
    pip
}

/// A command of the virtual environment that a Python is of.
fn tool(python: &Path, name: &str) -> Result<Command, Failure> {
    let bin = python.parent().unwrap_or(Path::new(""));
    let name = if cfg!(windows) {
        format!("{name}.exe")
    } else {
        name.to_owned()
    };
    let path = bin.join(&name);
    if !path.is_file() {
        return Err(Failure::Missing {
            what: format!("{name} in {}", bin.display()),
            advice: "delete the folder target/python, and run again".into(),
        });
    }
    Ok(Command::new(path))
}
