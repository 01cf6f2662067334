//! A watchdog over calls of probe-rs, which wait for a silent probe without end.
//!
//! A call that takes too long cannot be broken off: the thread stays in it. So a second thread tells a handler, which
//! ends the program as it sees fit. Nothing is watched without a handler.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A call that has not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The call.
    pub during: &'static str,
    /// The time since its last sign of life.
    pub waited: Duration,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { during, waited } = self;
        let seconds = waited.as_secs();
        write!(f, "the probe has not answered for {seconds} s {during}")
    }
}

/// The limit for opening a probe, and for connecting to the chip behind it.
pub(super) const OPENING: Duration = Duration::from_secs(15);
/// The limit for a transfer.
pub(super) const TRANSFER: Duration = Duration::from_secs(10);
/// The limit for a piece of work on flash: some chips erase all of it at once.
pub(super) const FLASHING: Duration = Duration::from_secs(120);

type Handler = Arc<dyn Fn(Stall) + Send + Sync>;

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

/// Has `handler` called when a probe does not answer, instead of the one before. It is meant to end the program, or the
/// wait for the thread that works with the probe.
pub fn on_stall(handler: impl Fn(Stall) + Send + Sync + 'static) {
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(handler));
}

/// A call that is watched, until this is dropped.
#[derive(Debug)]
pub(super) struct Watch(Option<Arc<Watched>>);

#[derive(Debug)]
struct Watched {
    during: &'static str,
    limit: Duration,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    /// The last sign of life of a call; `None` between two.
    since: Option<Instant>,
    ended: bool,
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end, and tells the handler of a call that takes too long.
    fn wait(&self, handler: &dyn Fn(Stall)) {
        const LOOK: Duration = Duration::from_millis(250);
        let mut state = self.state();
        while !state.ended {
            let waited = state.since.map_or(Duration::ZERO, |since| since.elapsed());
            if waited >= self.limit {
                drop(state);
                handler(Stall {
                    during: self.during,
                    waited,
                });
                return;
            }
            // Calls are many and short: none wakes this thread.
            let look = self.ended.wait_timeout(state, LOOK.min(self.limit));
            state = look.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Watch {
    /// Watches what is done from now on, for at most `limit` without a [sign of life](Self::alive).
    pub(super) fn new(during: &'static str, limit: Duration) -> Self {
        let watch = Self::idle(during, limit);
        watch.alive();
        watch
    }

    /// Watches [calls](Self::call), each for at most `limit`.
    pub(super) fn idle(during: &'static str, limit: Duration) -> Self {
        let handler = HANDLER
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(handler) = handler else {
            return Self(None);
        };
        let watched = Arc::new(Watched {
            during,
            limit,
            state: Mutex::new(State {
                since: None,
                ended: false,
            }),
            ended: Condvar::new(),
        });
        let watch = {
            let watched = Arc::clone(&watched);
            move || watched.wait(&*handler)
        };
        // Without a thread nobody watches.
        let started = thread::Builder::new().spawn(watch);
        Self(started.is_ok().then_some(watched))
    }

    /// A sign of life: the time starts again.
    pub(super) fn alive(&self) {
        self.since(Some(Instant::now()));
    }

    /// Watches a call.
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        self.alive();
        let result = call();
        self.since(None);
        result
    }

    fn since(&self, since: Option<Instant>) {
        if let Some(watched) = &self.0 {
            watched.state().since = since;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watched) = &self.0 {
            watched.state().ended = true;
            watched.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_what_does_not_come_back_is_told() {
        let (tell, told) = mpsc::channel();
        on_stall(move |stall| tell.send(stall).unwrap());
        let limit = Duration::from_millis(200);
        drop(Watch::new("in time", limit));
        let slow = Watch::new("with signs of life", limit);
        for _ in 0..8 {
            thread::sleep(limit / 4);
            slow.alive();
        }
        drop(slow);
        let calls = Watch::idle("between calls", limit);
        calls.call(|| ());
        let stuck = Watch::new("when it hung", limit);
        let stall = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(stall.during, "when it hung");
        assert!(stall.waited >= limit);
        drop((calls, stuck));
        assert!(told.try_recv().is_err());
    }
}
