//! Memory that C lends: pointers become slices if they can.

use core::slice;

use crate::status::Status;

/// Checks an address: it is not NULL, aligned, and the end of so many bytes is an address. It is here once, for all types.
#[inline(never)]
fn check(address: usize, alignment: usize, bytes: Option<usize>) -> Result<(), Status> {
    if address == 0 {
        return Err(Status::NullPointer);
    }
    if address & alignment.wrapping_sub(1) != 0 {
        return Err(Status::Misaligned);
    }
    let bytes = bytes.filter(|&bytes| bytes <= isize::MAX as usize);
    match bytes.and_then(|bytes| address.checked_add(bytes)) {
        Some(_) => Ok(()),
        None => Err(Status::BufferLength),
    }
}

/// So many values to read, none or more.
///
/// # Safety
/// If `pointer` is not NULL, so many values are there, and nothing changes them meanwhile.
pub(crate) unsafe fn some<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T], Status> {
    check(
        pointer.addr(),
        align_of::<T>(),
        count.checked_mul(size_of::<T>()),
    )?;
    // SAFETY: the pointer is aligned and not NULL, and the caller says that the values are there.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// So many values to write, none or more.
///
/// # Safety
/// If `pointer` is not NULL, so many values are there, and nothing else refers to them meanwhile.
pub(crate) unsafe fn some_mut<'a, T>(pointer: *mut T, count: usize) -> Result<&'a mut [T], Status> {
    check(
        pointer.addr(),
        align_of::<T>(),
        count.checked_mul(size_of::<T>()),
    )?;
    // SAFETY: the pointer is aligned and not NULL, and the caller says that the values are there and its own.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, count) })
}

/// So many values to read. None may be behind any pointer, even NULL.
///
/// # Safety
/// As [`some`], if `count` is not 0.
pub(crate) unsafe fn read<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T], Status> {
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: the caller's promise.
    unsafe { some(pointer, count) }
}

/// Checks a pointer to one value: it is not NULL, and aligned.
pub(crate) fn one<T>(pointer: *const T) -> Result<*const T, Status> {
    if pointer.is_null() {
        return Err(Status::NullPointer);
    }
    if !pointer.is_aligned() {
        return Err(Status::Misaligned);
    }
    Ok(pointer)
}

/// Checks a pointer to one value that is written.
pub(crate) fn one_mut<T>(pointer: *mut T) -> Result<*mut T, Status> {
    one(pointer.cast_const()).map(|_| pointer)
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
