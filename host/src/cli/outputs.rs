//! Files that a command writes: claimed before its work begins, written when it is done.
//!
//! A regular file is replaced as a whole or not at all: a temporary file beside it is renamed. Devices, pipes and
//! what `/dev/stdout` names are written in place. Symbolic links are followed. An output that is an input is
//! refused. A signal that ends the program removes the temporary files first.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::cli::diagnostics::Failure;
use crate::text::Plain;

/// A place that a command will write to.
#[derive(Debug)]
pub(crate) struct Output {
    /// The user's name for it.
    path: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// A device, a pipe, or an open file of this process.
    InPlace(File),
    Whole {
        /// The file that `path` leads to, in its real folder.
        target: PathBuf,
        temporary: Temporary,
        /// The file that is replaced, if there may be one.
        old: Old,
    },
}

#[derive(Debug)]
enum Old {
    Refused,
    Replaced(Option<Box<Metadata>>),
}

impl Output {
    /// Makes sure that `path` can be written, and that it is none of the files that are read.
    pub(crate) fn new<'i>(
        path: &Path,
        inputs: impl IntoIterator<Item = &'i Path>,
    ) -> Result<Self, Failure> {
        let failed = |e| unwritten(path, &e);
        let old = match fs::metadata(path) {
            Ok(old) => Some(old),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(e)),
        };
        let target = resolve(path).map_err(failed)?;
        if old.as_ref().is_some_and(Metadata::is_dir) || names_a_folder(path) {
            let folder = io::Error::new(io::ErrorKind::IsADirectory, "it is a folder");
            return Err(failed(folder));
        }
        apart(path, inputs)?;
        let sink = match &old {
            Some(old) if !old.is_file() || is_descriptor(&target) => {
                let mut options = OpenOptions::new();
                // A block device has an end already, behind which nothing can be written.
                match is_block_device(old) {
                    true => options.write(true),
                    false => options.append(true),
                };
                Sink::InPlace(options.open(path).map_err(failed)?)
            }
            _ => {
                if old.is_some() {
                    // A file that may not be written is not replaced, either.
                    OpenOptions::new()
                        .write(true)
                        .open(&target)
                        .map_err(failed)?;
                }
                Sink::Whole {
                    temporary: Temporary::beside(&target, 0o666)
                        .map_err(|e| failed(without_name(&target, e)))?,
                    target,
                    old: Old::Replaced(old.map(Box::new)),
                }
            }
        };
        Ok(Self {
            path: path.to_owned(),
            sink,
        })
    }

    /// A file that must not be there yet, with these permissions at most.
    pub(crate) fn fresh(path: &Path, mode: u32) -> Result<Self, Failure> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(unwritten(path, &io::ErrorKind::AlreadyExists.into()));
        }
        let temporary =
            Temporary::beside(path, mode).map_err(|e| unwritten(path, &without_name(path, e)))?;
        Ok(Self {
            path: path.to_owned(),
            sink: Sink::Whole {
                target: path.to_owned(),
                temporary,
                old: Old::Refused,
            },
        })
    }

    /// Tells whether both are one file.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let target = |output: &Self| match &output.sink {
            Sink::Whole { target, .. } => Some(target.clone()),
            Sink::InPlace(_) => None,
        };
        target(self).is_some_and(|own| Some(own) == target(other))
    }

    /// The stream for messages: that of errors, if the output itself goes to `out`.
    pub(crate) fn messages<'o>(&self, out: &'o mut dyn Write) -> Box<dyn Write + 'o> {
        match &self.sink {
            Sink::InPlace(file) if is_stdout(file) => Box::new(Plain::new(io::stderr())),
            _ => Box::new(out),
        }
    }

    /// Writes it.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_with(|file| file.write_all(bytes))
    }

    /// Writes what `fill` puts into a file.
    pub(crate) fn write_with(
        self,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let Self { path, sink } = self;
        let written = match sink {
            Sink::InPlace(file) => in_place(file, fill),
            Sink::Whole {
                target,
                temporary,
                old,
            } => temporary.persist(&target, &old, fill),
        };
        written.map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => Failure::from(e),
            _ => unwritten(&path, &e),
        })
    }
}

/// Makes sure that an output is none of the files that are read.
pub(crate) fn apart<'i>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'i Path>,
) -> Result<(), Failure> {
    match inputs.into_iter().find(|input| holds(input, output)) {
        None => Ok(()),
        Some(input) => Err(Failure::new(format!(
            "{} would be overwritten: it is read as {}",
            output.display(),
            input.display()
        ))
        .hint("give the output another name")),
    }
}

/// Makes sure that files can be written into a folder, which need not be there yet. It stays as it is.
pub(crate) fn takes_files(folder: &Path) -> Result<(), Failure> {
    let failed = |e| unwritten(folder, &e);
    let there = folder
        .ancestors()
        .find(|at| fs::symlink_metadata(at).is_ok())
        .unwrap_or(Path::new("."));
    if !fs::metadata(there).map_err(failed)?.is_dir() {
        let file = format!("{} is no folder", there.display());
        return Err(failed(io::Error::new(io::ErrorKind::NotADirectory, file)));
    }
    tempfile::tempfile_in(there).map(drop).map_err(failed)
}

/// Writes to a device by way of a file: archives go back in what they have written.
fn in_place(mut file: File, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut whole = tempfile::tempfile()?;
    fill(&mut whole)?;
    whole.rewind()?;
    io::copy(&mut whole, &mut file)?;
    file.flush()
}

/// The reason why there is no temporary file beside `target`, without that file's name, which says nothing to a user.
fn without_name(target: &Path, error: io::Error) -> io::Error {
    match (fs::metadata(folder(target)), error.raw_os_error()) {
        (Err(reason), _) => reason,
        (Ok(_), None) => error.kind().into(),
        (Ok(_), Some(_)) => error,
    }
}

/// Tells whether a path ends as only that of a folder does.
fn names_a_folder(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    text.last()
        .is_some_and(|&end| std::path::is_separator(end.into()))
}

#[cfg(unix)]
fn is_block_device(about: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    about.file_type().is_block_device()
}

#[cfg(not(unix))]
fn is_block_device(_: &Metadata) -> bool {
    false
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

/// The end of a chain of symbolic links, which need not exist.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(to) if !is_descriptor(&path) => path = folder(&path).join(to),
            _ => {
                let name = path.file_name().map(ToOwned::to_owned);
                let real = fs::canonicalize(folder(&path));
                return Ok(match (real, name) {
                    (Ok(real), Some(name)) => real.join(name),
                    _ => path,
                });
            }
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Tells whether a path names a file that this process, or another one, has open.
fn is_descriptor(path: &Path) -> bool {
    ["/proc", "/dev/fd"].iter().any(|at| path.starts_with(at))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Tells whether `output` is the regular file `input`, or a file in the folder `input`.
fn holds(input: &Path, output: &Path) -> bool {
    let Ok(about) = fs::metadata(output) else {
        return false;
    };
    if !about.is_file() {
        return false;
    }
    match (fs::metadata(input), fs::canonicalize(input)) {
        (Ok(folder), Ok(real)) if folder.is_dir() => {
            fs::canonicalize(output).is_ok_and(|output| output.starts_with(real))
        }
        (Ok(file), Ok(real)) => same(&file, &about) || fs::canonicalize(output).ok() == Some(real),
        _ => false,
    }
}

/// Tells whether two descriptions are of one file, whatever it is called.
#[cfg(unix)]
fn same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same(_: &Metadata, _: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_stdout(file: &File) -> bool {
    use std::os::fd::AsFd as _;
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let about = stdout.and_then(|stdout| stdout.metadata());
    matches!((file.metadata(), about), (Ok(a), Ok(b)) if same(&a, &b))
}

#[cfg(not(unix))]
fn is_stdout(_: &File) -> bool {
    false
}

/// A file that goes if the program ends before its time.
#[derive(Debug)]
struct Temporary(Option<NamedTempFile>);

/// The temporary files that there are.
static TEMPORARIES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn temporaries() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is unfinished. Nothing is begun or finished while the result lives.
pub(crate) fn remove_temporaries() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    let all = temporaries();
    remove(&all);
    all
}

/// Removes what is unfinished, unless a thread is beginning or finishing a file at this moment.
pub(crate) fn remove_temporaries_if_free() {
    if let Ok(all) = TEMPORARIES.try_lock() {
        remove(&all);
    }
}

fn remove(files: &BTreeSet<PathBuf>) {
    for path in files {
        let _ = fs::remove_file(path);
    }
}

impl Temporary {
    /// An empty file in the folder of `target`, with the permissions `mode`, less those that the user never gives.
    fn beside(target: &Path, mode: u32) -> io::Result<Self> {
        signals::watch()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tinyspike-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(mode));
        }
        let mut all = temporaries();
        let file = builder.tempfile_in(folder(target))?;
        all.insert(file.path().to_owned());
        Ok(Self(Some(file)))
    }

    /// Fills it and gives it its name.
    fn persist(
        mut self,
        target: &Path,
        old: &Old,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(file) = &mut self.0 else {
            return Ok(());
        };
        fill(file.as_file_mut())?;
        #[cfg(unix)]
        if let Old::Replaced(Some(old)) = old {
            use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
            // Only root may give a file away.
            let _ = fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
            let mode = old.permissions().mode() & 0o777;
            file.as_file()
                .set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.as_file().sync_all()?;
        // A signal comes before the renaming or after it.
        let mut all = temporaries();
        let Some(file) = self.0.take() else {
            return Ok(());
        };
        all.remove(file.path());
        match old {
            Old::Refused => file.persist_noclobber(target),
            Old::Replaced(_) => file.persist(target),
        }
        .map(drop)
        .map_err(|e| e.error)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            temporaries().remove(file.path());
        }
    }
}

#[cfg(unix)]
mod signals {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::{fs, thread};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    /// Has a thread remove the temporary files when the program is told to end.
    pub(super) fn watch() -> io::Result<()> {
        static WATCHED: Mutex<bool> = Mutex::new(false);
        let Ok(mut watched) = WATCHED.lock() else {
            return Ok(());
        };
        if std::mem::replace(&mut *watched, true) {
            return Ok(());
        }
        let ignored = ignored();
        // A file that gets too large is an error of writing, as a full disk is.
        flag::register(SIGXFSZ, Arc::default())?;
        let heeded = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2].into_iter();
        let heeded = heeded.filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = Signals::new(heeded)?;
        let remove = move || {
            for signal in signals.forever() {
                let _all = super::remove_temporaries();
                let _ = emulate_default_handler(signal);
            }
        };
        thread::Builder::new().spawn(remove).map(drop)
    }

    /// Signals that are ignored from the start, as `nohup` has it: a bit for each. Only Linux tells.
    fn ignored() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }
}

#[cfg(not(unix))]
mod signals {
    pub(super) fn watch() -> std::io::Result<()> {
        Ok(())
    }
}
