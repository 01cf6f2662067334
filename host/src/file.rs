//! Bounded reading of regular files, pipes and devices; writing that leaves these what they are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::Path;

/// The bytes that every HDF5 file starts with, unless a user block stands before them.
pub(crate) const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// The system's; [`io::ErrorKind::FileTooLarge`], if there is more, as in a device that never ends.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_if(path, limit, |_| true)
}

/// Reads a file of at most `limit` bytes if its first 8 are as `begins` wants them; else no more than these.
///
/// # Errors
/// Those of [`read`].
pub fn read_if(path: &Path, limit: u64, begins: impl FnOnce(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    const START: u64 = 8;
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(START).read_to_end(&mut bytes)?;
    if begins(&bytes) {
        file.take(limit.saturating_add(1).saturating_sub(START))
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Reads a text of at most `limit` bytes.
///
/// # Errors
/// Those of [`read`]; [`io::ErrorKind::InvalidData`], if it is no UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.utf8_error()))
}

/// Writes a file, as a whole or not at all. It keeps its permissions, and symbolic links are followed. What is no regular file
/// is written in place.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let about = fs::metadata(path);
    let in_place = match &about {
        Ok(about) => !about.is_file(),
        Err(_) => path.is_symlink(),
    };
    if in_place {
        let file = OpenOptions::new().append(true).create(true).open(path);
        return file?.write_all(bytes);
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".tinyspike-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Ok(about) = about {
        file.as_file().set_permissions(about.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(target).map(drop).map_err(|e| e.error)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_was_there_stays_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let read = |name: &str| fs::read(at(name)).unwrap();
        let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
        write(&at("new"), b"1").unwrap();
        assert_ne!(mode("new") & 0o044, 0, "the umask decides");
        fs::set_permissions(at("new"), fs::Permissions::from_mode(0o604)).unwrap();
        symlink("new", at("link")).unwrap();
        symlink("later", at("dangling")).unwrap();
        write(&at("link"), b"2").unwrap();
        write(&at("dangling"), b"3").unwrap();
        assert_eq!([read("new"), read("later")], [b"2", b"3"]);
        assert_eq!(mode("new"), 0o604);
        assert!(at("link").is_symlink() && at("dangling").is_symlink());
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        let pipe = at("pipe");
        let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
        write(&at("pipe"), b"4").unwrap();
        assert_eq!(reader.join().unwrap(), b"4");
        assert!(fs::metadata(at("pipe")).unwrap().file_type().is_fifo());
        let mut names = fs::read_dir(folder.path()).unwrap();
        assert!(names.all(|n| !n.unwrap().file_name().to_string_lossy().starts_with('.')));
    }
}
