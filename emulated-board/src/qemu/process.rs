//! The process, which never outlives its owner.

use std::io::{ErrorKind, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Error;

/// Becomes QEMU, after it has set a guard up that kills QEMU as soon as standard input closes: the owner
/// holds its other end, and the system closes that however the owner ends, by SIGKILL too.
///
/// The guard holds standard output, QEMU standard error, so that the owner sees the end of each. A core
/// that locks up makes QEMU abort, which needs no core dump.
const GUARDED: &str = r#"
ulimit -c 0
exec 3<&0 </dev/null
{ read -r _ <&3; kill -9 $$; } 2>/dev/null &
exec "$0" "$@" 3<&- >/dev/null
"#;

/// A running QEMU. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Reads what QEMU complains of, until it ends.
    reader: Option<JoinHandle<()>>,
    messages: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a program, and calls `at_end` when it has ended.
    pub(crate) fn start(
        program: &str,
        arguments: &[String],
        at_end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        // The guard could not tell us.
        let probe = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        probe.map_err(|source| failure(program, source))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", GUARDED, program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A Ctrl-C in the terminal is the owner's business.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|source| Error::Start {
            program: "sh".into(),
            source,
        })?;
        let messages = Arc::default();
        let reader = child.stderr.take().map(|stderr| {
            let messages = Arc::clone(&messages);
            thread::spawn(move || {
                collect(stderr, &messages);
                at_end();
            })
        });
        Ok(Self {
            child,
            reader,
            messages,
        })
    }

    /// Tells whether the program has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The error that the program has ended.
    pub(crate) fn ended(&self) -> Error {
        let messages = self.messages.lock();
        let messages = messages.unwrap_or_else(PoisonError::into_inner);
        let message = match messages.trim() {
            "" => "it gave no reason",
            some => some,
        };
        Error::Ended {
            message: message.into(),
        }
    }

    /// The reason for an error: that the program has ended, if it has or is about to.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let Error::Connection(_) = error else {
            return error;
        };
        for _ in 0..100 {
            if self.has_ended() {
                return self.ended();
            }
            thread::sleep(Duration::from_millis(5));
        }
        error
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Once the guard is gone, it has killed QEMU, or what is left of it: only now may the system
        // give the process's number to another.
        if let Some(mut guard) = self.child.stdout.take() {
            let _ = guard.read_to_end(&mut Vec::new());
        }
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn collect(mut from: ChildStderr, messages: &Mutex<String>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default());
        let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push_str(&text);
    }
}

fn failure(program: &str, source: std::io::Error) -> Error {
    let program = program.to_owned();
    match source.kind() {
        ErrorKind::NotFound => Error::NotInstalled { program },
        _ => Error::Start { program, source },
    }
}
