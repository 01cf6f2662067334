//! Memory of a program's own.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// Zeros, which whoever asks first may have.
pub(crate) struct Own<T, const N: usize> {
    taken: AtomicBool,
    values: UnsafeCell<[T; N]>,
}

// SAFETY: only `take` refers to the values, and a board has one core that no interrupt stops.
unsafe impl<T: Send, const N: usize> Sync for Own<T, N> {}

impl<T, const N: usize> Own<T, N> {
    pub(crate) const fn new(values: [T; N]) -> Self {
        Self {
            taken: AtomicBool::new(false),
            values: UnsafeCell::new(values),
        }
    }

    /// The memory; nothing from the second time on.
    #[expect(clippy::mut_from_ref, reason = "it is handed out once")]
    pub(crate) fn take(&'static self) -> &'static mut [T] {
        if self.taken.load(Ordering::Relaxed) {
            return &mut [];
        }
        self.taken.store(true, Ordering::Relaxed);
        // SAFETY: nobody has taken them before, and nobody will again.
        unsafe { &mut *self.values.get() }
    }
}
