//! Work on a thread of its own, while Python's thread waits for it, for Ctrl-C, and for time to show progress.
//!
//! Python's lock is free meanwhile. Ctrl-C ends the wait at once: the thread is told to stop, and ends when it next
//! reports progress. A panic ends the thread, and becomes an exception.

use std::any::Any;
use std::panic::{self, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use tinyspike::advice::Advice;
use tinyspike::device::{Stall, on_stall};

use crate::fault::Fault;

/// Time between two looks at signals and progress.
const LOOK: Duration = Duration::from_millis(40);

/// Place and message of the last panic.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Reason to end a thread that is not wanted any more.
struct Cancelled;

/// A thread's view of those who wait for it.
#[derive(Clone, Default)]
pub(crate) struct Monitor {
    done: Arc<AtomicU64>,
    cancelled: Arc<AtomicBool>,
}

impl Monitor {
    /// Reports that so many more are done. If nobody waits any more, the thread ends here.
    pub(crate) fn tick(&self, more: u64) {
        self.done.fetch_add(more, Relaxed);
        if self.cancelled.load(Relaxed) {
            self.leave();
        }
    }

    /// Ends the thread.
    pub(crate) fn leave(&self) -> ! {
        // As a panic does, without its message.
        resume_unwind(Box::new(Cancelled))
    }
}

/// Does work, and shows progress: `progress` is called with the number of samples or candidates that are done.
pub(crate) fn work<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    job: impl FnOnce(&Monitor) -> Result<T, Fault> + Send + 'static,
) -> PyResult<T> {
    stalls().take();
    let monitor = Monitor::default();
    let (sender, receiver) = mpsc::channel();
    let own = monitor.clone();
    let thread = std::thread::spawn(move || {
        // Nobody may be left to hear it.
        let _heard = sender.send(job(&own));
    });
    let mut shown = 0;
    let receiver = Mutex::new(receiver);
    loop {
        let wait = || {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            receiver.recv_timeout(LOOK)
        };
        match py.detach(wait) {
            Ok(result) => {
                show(progress, &monitor, &mut shown)?;
                return result.map_err(|fault| fault.raise(py));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(stall) = stalls().take() {
                    // The thread stays in its call: nobody can break that off.
                    monitor.cancelled.store(true, Relaxed);
                    let fault = Fault::new("BoardError", stall.to_string());
                    return Err(fault.with(vec![Advice::CheckConnection]).raise(py));
                }
                let looked = py
                    .check_signals()
                    .and_then(|()| show(progress, &monitor, &mut shown));
                if let Err(stop) = looked {
                    monitor.cancelled.store(true, Relaxed);
                    return Err(stop);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                let payload = py.detach(|| thread.join()).err();
                return Err(Fault::internal(panic_text(payload.as_deref())).raise(py));
            }
        }
    }
}

fn show(progress: Option<&Bound<'_, PyAny>>, monitor: &Monitor, shown: &mut u64) -> PyResult<()> {
    let done = monitor.done.load(Relaxed);
    match progress {
        Some(progress) if done != *shown => {
            *shown = done;
            progress.call1((done,)).map(drop)
        }
        _ => Ok(()),
    }
}

/// The last debug probe that did not answer.
static STALLED: Mutex<Option<Stall>> = Mutex::new(None);

fn stalls() -> MutexGuard<'static, Option<Stall>> {
    STALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an exception of a debug probe that does not answer.
pub(crate) fn keep_stalls() {
    on_stall(|stall| *stalls() = Some(stall));
}

/// Keeps the message of panics for the exception that they become, instead of printing it.
pub(crate) fn keep_panics() {
    panic::set_hook(Box::new(|info| {
        let mut last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        *last = info.to_string();
    }));
}

/// Prints the message of panics again, as programs do.
pub(crate) fn show_panics() {
    drop(panic::take_hook());
}

/// Words of a panic, by what a thread ended with.
fn panic_text(payload: Option<&(dyn Any + Send)>) -> String {
    let last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
    let text = payload.and_then(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied())
    });
    match text {
        _ if !last.is_empty() => last.clone(),
        Some(text) => text.to_owned(),
        None => "a thread ended without a reason".to_owned(),
    }
}
