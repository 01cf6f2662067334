//! Errors as a person reads them: one paragraph, and what to do.

use std::error::Error;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::advice::{Advice, Advised};
use crate::text::{self, paragraph};

use crate::cli::advice;

/// Reason for the failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    /// The reader of our output has gone, as `head` does: nobody is left to tell.
    unheard: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            unheard: false,
        }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The reason, in words.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Remedy, if one is known.
    pub(crate) fn hinted(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// A failure with the remedies that an error knows.
    pub(crate) fn advised(message: impl Into<String>, advice: &[Advice]) -> Self {
        Self::new(message).with(advice)
    }

    /// An error, with its remedies.
    pub(crate) fn of<E: Error + Advised + 'static>(error: E) -> Self {
        let advice = error.advice();
        Self::from(error).with(&advice)
    }

    /// Adds remedies as a hint.
    #[must_use]
    pub(crate) fn with(self, advice: &[Advice]) -> Self {
        match advice::hints(advice) {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    /// The error and its causes, each only if it says something new.
    fn from(error: E) -> Self {
        let message = text::with_causes(&error);
        let unheard = (&error as &dyn Error)
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe);
        Self {
            unheard,
            ..Self::new(message)
        }
    }
}

/// Prints a failure, and returns its exit code; that of every failure of a command is 1.
pub(crate) fn report(failure: &Failure) -> u8 {
    if failure.unheard {
        return 0;
    }
    say("error", &failure.message);
    if let Some(hint) = &failure.hint {
        say("hint", hint);
    }
    1
}

/// Prints on the error stream. Nobody may be there to read it, which is no reason to stop.
fn say(what: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{what}: {}", paragraph(text));
}

/// Says that there is no memory of so many bytes, without taking any.
pub(crate) fn no_memory(bytes: usize) {
    // Several threads may find that out.
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    let _ = writeln!(
        io::stderr(),
        "error: the system has no {bytes} bytes of memory left for this command\n\
         hint: end other programs, raise the limit (ulimit -v), or give it less: fewer samples with --limit or \
         --calibration-samples"
    );
}

/// Set if warnings and notes are not printed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Says whether warnings and notes are left out.
pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Tells whether warnings, notes and progress are left out.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a warning for the user on the error stream.
pub(crate) fn warn(message: impl std::fmt::Display) {
    if is_quiet() {
        return;
    }
    say("warning", &message.to_string());
}

/// Prints a note for the user on the error stream.
pub(crate) fn note(message: impl std::fmt::Display) {
    if is_quiet() {
        return;
    }
    say("note", &message.to_string());
}
