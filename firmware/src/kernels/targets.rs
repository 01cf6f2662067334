//! The compiler's targets that a kernel family is for. The build script reads the same lists with the same code.
//!
//! A family's list is the file `targets` in its folder. A line is the beginning of a target's name; ` +dsp` behind it
//! asks for the DSP extension, which names of targets do not tell.

/// Precision with which a list names a target; `None` if it does not.
#[must_use]
pub(crate) fn precision(list: &str, target: &str, dsp: bool) -> Option<usize> {
    let lines = list.lines().filter(|line| {
        let (beginning, needs_dsp) = match line.split_once(" +dsp") {
            Some((beginning, _)) => (beginning, true),
            None => (*line, false),
        };
        !beginning.is_empty() && target.starts_with(beginning) && (dsp || !needs_dsp)
    });
    lines.map(str::len).max()
}
