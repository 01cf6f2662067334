//! Progress bars on the error stream, if it is a terminal.

use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::diagnostics::is_quiet;

/// A bar over `total` samples.
pub(crate) fn bar(what: &'static str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg:<12} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("=> ");
    shown(ProgressBar::new(total))
        .with_style(style)
        .with_message(what)
}

/// A counter of things whose number is not known before.
pub(crate) fn count(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<12} {human_pos} candidates, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    shown(ProgressBar::new_spinner())
        .with_style(style)
        .with_message(what)
}

/// A bar over `total` samples, with what changes from one to the next as its message.
pub(crate) fn live(what: &'static str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix:<12} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta} {msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("=> ");
    shown(ProgressBar::new(total))
        .with_style(style)
        .with_prefix(what)
}

/// Set if no bars are drawn.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Draws no bars from now on.
pub(crate) fn hide() {
    HIDDEN.store(true, Ordering::Relaxed);
}

/// A bar that is drawn, unless nothing but results is wanted.
fn shown(bar: ProgressBar) -> ProgressBar {
    if is_quiet() || HIDDEN.load(Ordering::Relaxed) {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
