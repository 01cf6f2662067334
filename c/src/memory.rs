//! Memory that C lends: pointers become slices if they can.

use core::slice;

use crate::status::Status;

/// Checks a pointer to so many values: it is not NULL, aligned, and its end is an address.
fn check<T>(pointer: *const T, count: usize) -> Result<(), Status> {
    if pointer.is_null() {
        return Err(Status::NullPointer);
    }
    if !pointer.is_aligned() {
        return Err(Status::Misaligned);
    }
    let bytes = count.checked_mul(size_of::<T>());
    let bytes = bytes.filter(|&bytes| bytes <= isize::MAX as usize);
    match bytes.and_then(|bytes| pointer.addr().checked_add(bytes)) {
        Some(_) => Ok(()),
        None => Err(Status::BufferLength),
    }
}

/// So many values to read. None may be behind any pointer, even NULL.
///
/// # Safety
/// If `count` is not 0 and `pointer` is not NULL, so many values are there, and nothing changes them meanwhile.
pub(crate) unsafe fn read<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T], Status> {
    if count == 0 {
        return Ok(&[]);
    }
    check(pointer, count)?;
    // SAFETY: the pointer is aligned and not NULL, and the caller says that the values are there.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// So many values to write. None may be behind any pointer, even NULL.
///
/// # Safety
/// If `count` is not 0 and `pointer` is not NULL, so many values are there, and nothing else refers to them meanwhile.
pub(crate) unsafe fn write<'a, T>(pointer: *mut T, count: usize) -> Result<&'a mut [T], Status> {
    if count == 0 {
        return Ok(&mut []);
    }
    check(pointer, count)?;
    // SAFETY: the pointer is aligned and not NULL, and the caller says that the values are there and its own.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, count) })
}

/// Checks a pointer to one value.
pub(crate) fn one<T>(pointer: *const T) -> Result<*const T, Status> {
    check(pointer, 1).map(|()| pointer)
}

/// Checks a pointer to one value that is written.
pub(crate) fn one_mut<T>(pointer: *mut T) -> Result<*mut T, Status> {
    check(pointer, 1).map(|()| pointer)
}

/// Bytes of memory: where they start, and how many there are.
#[derive(Clone, Copy)]
pub(crate) struct Piece(usize, usize);

impl Piece {
    /// No bytes.
    pub(crate) const NONE: Self = Self(0, 0);

    pub(crate) fn of<T>(pointer: *const T, count: usize) -> Self {
        Self(pointer.addr(), count.saturating_mul(size_of::<T>()))
    }

    /// Refuses pieces that share a byte.
    #[inline(never)]
    pub(crate) fn apart(self, other: Self) -> Result<(), Status> {
        let ends = [self, other].map(|Self(start, bytes)| start.saturating_add(bytes));
        if self.0 < ends[1] && other.0 < ends[0] {
            return Err(Status::Overlap);
        }
        Ok(())
    }
}
