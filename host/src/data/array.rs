//! Arrays of a file: their elements, and reading them without belief in what a header claims.

use std::io::{self, ErrorKind, Read};

use super::error::DataError;

/// Bytes that are read at a time, so that a false claim costs no more than this.
const CHUNK: usize = 1 << 16;

/// The purpose of an array, which decides what its elements become.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
    Samples,
    Labels,
}

/// One array of a file, with the names that messages use.
pub(super) struct Array {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// The elements of an array, row-major.
pub(super) enum Values {
    U8(Vec<u8>),
    /// Labels only: exact.
    Int(Vec<i64>),
    /// Finite.
    Float(Vec<f32>),
}

impl Array {
    /// The error for an array of a shape that does not fit.
    pub(super) fn refused(&self, reason: String) -> DataError {
        DataError::Shape {
            file: self.file.clone(),
            array: self.name.clone(),
            shape: self.shape.clone(),
            reason,
        }
    }
}

impl Values {
    /// Number of values.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Float(values) => values.len(),
        }
    }
}

pub(super) fn array_called(name: &str) -> String {
    format!("array {name}")
}

pub(super) fn damaged(file: &str, what: &str, reason: impl ToString) -> DataError {
    DataError::Damaged {
        file: file.into(),
        what: what.into(),
        reason: reason.to_string(),
    }
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    /// Bytes: 1, 2, 4 or 8; of a float 4 or 8.
    pub(super) size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Unsigned,
    Signed,
    Float,
}

impl Element {
    /// The element of a NumPy type string, such as `<f4`.
    pub(super) fn of_npy(descr: &str) -> Option<Self> {
        let mut chars = descr.chars();
        let big_endian = match chars.next()? {
            '<' | '|' | '=' => false,
            '>' => true,
            _ => return None,
        };
        let kind = chars.next()?;
        let (kind, size) = match (kind, chars.as_str()) {
            ('b' | 'u', "1") => (Kind::Unsigned, 1),
            ('u', "2") => (Kind::Unsigned, 2),
            ('u', "4") => (Kind::Unsigned, 4),
            ('u', "8") => (Kind::Unsigned, 8),
            ('i', "1") => (Kind::Signed, 1),
            ('i', "2") => (Kind::Signed, 2),
            ('i', "4") => (Kind::Signed, 4),
            ('i', "8") => (Kind::Signed, 8),
            ('f', "4") => (Kind::Float, 4),
            ('f', "8") => (Kind::Float, 8),
            _ => return None,
        };
        Some(Self {
            kind,
            size,
            big_endian,
        })
    }

    /// The element of an IDX type code.
    pub(super) fn of_idx(code: u8) -> Option<Self> {
        let (kind, size) = match code {
            0x08 => (Kind::Unsigned, 1),
            0x09 => (Kind::Signed, 1),
            0x0b => (Kind::Signed, 2),
            0x0c => (Kind::Signed, 4),
            0x0d => (Kind::Float, 4),
            0x0e => (Kind::Float, 8),
            _ => return None,
        };
        Some(Self {
            kind,
            size,
            big_endian: true,
        })
    }

    fn is_u8(self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }

    /// The element's bits, from `size` bytes.
    fn bits(self, bytes: &[u8]) -> u64 {
        let shift = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        if self.big_endian {
            bytes.iter().fold(0, shift)
        } else {
            bytes.iter().rev().fold(0, shift)
        }
    }

    /// The bits of a signed element, with its sign extended.
    fn signed(self, bits: u64) -> i64 {
        let unused = 64 - 8 * self.size as u32;
        (bits << unused) as i64 >> unused
    }

    /// The element as a float, rounded to nearest.
    fn float(self, bytes: &[u8]) -> f32 {
        let bits = self.bits(bytes);
        match (self.kind, self.size) {
            (Kind::Float, 4) => f32::from_bits(bits as u32),
            (Kind::Float, _) => f64::from_bits(bits) as f32,
            (Kind::Signed, _) => self.signed(bits) as f32,
            (Kind::Unsigned, _) => bits as f32,
        }
    }

    /// The integer element; too large ones become the largest `i64`, which is no label either.
    fn integer(self, bytes: &[u8]) -> i64 {
        let bits = self.bits(bytes);
        match self.kind {
            Kind::Signed => self.signed(bits),
            _ => i64::try_from(bits).unwrap_or(i64::MAX),
        }
    }
}

/// An array before its values are read.
pub(super) struct Head {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) dtype: String,
    /// The most bytes that may be held.
    pub(super) limit: u64,
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
}

impl Head {
    pub(super) fn array(self, values: Values) -> Array {
        Array {
            file: self.file,
            name: self.name,
            dtype: self.dtype,
            shape: self.shape,
            values,
        }
    }

    /// Values of a sample.
    fn sample_size(&self) -> usize {
        let axes = self.shape.iter().skip(1);
        axes.fold(1usize, |n, &d| n.saturating_mul(d)).max(1)
    }

    /// The number of values of `samples`, unless they are too many to hold.
    pub(super) fn values_of(&self, samples: usize) -> Result<usize, DataError> {
        self.values_within(samples, self.limit)
    }

    /// The number of values of `samples`, unless they take more than `limit` bytes.
    pub(super) fn values_within(&self, samples: usize, limit: u64) -> Result<usize, DataError> {
        let kept = match self.role {
            Role::Samples if self.element.is_u8() => 1,
            Role::Samples => 4,
            Role::Labels => 8,
        };
        let mut axes = self.shape.iter().skip(1);
        let count = axes.try_fold(samples, |n, &d| n.checked_mul(d));
        let bytes = count.and_then(|n| n.checked_mul(self.element.size.max(kept)));
        match (count, bytes) {
            (Some(count), Some(bytes)) if bytes as u64 <= limit => Ok(count),
            _ => Err(DataError::TooLarge {
                file: self.file.clone(),
                what: array_called(&self.name),
                bytes: bytes.map_or(u64::MAX, |b| b as u64),
                limit,
            }),
        }
    }

    /// Reads all values, to the end of `content`.
    pub(super) fn all(&self, content: &mut impl Read) -> Result<Values, DataError> {
        let values = match self.shape.first() {
            Some(&samples) => self.read(self.values_of(samples)?, 0, content)?,
            None => self.read(1, 0, content)?,
        };
        self.end(content)?;
        Ok(values)
    }

    /// Reads the next `count` values, behind those of `before` samples.
    pub(super) fn read(
        &self,
        count: usize,
        before: usize,
        content: &mut impl Read,
    ) -> Result<Values, DataError> {
        let Self { element, shape, .. } = self;
        let (file, name) = (self.file.as_str(), self.name.as_str());
        let mut values = if element.is_u8() {
            Values::U8(Vec::new())
        } else if self.role == Role::Labels && element.kind != Kind::Float {
            Values::Int(Vec::new())
        } else {
            Values::Float(Vec::new())
        };
        let mut chunk = vec![0; CHUNK];
        let mut left = count * element.size;
        while left > 0 {
            let part = &mut chunk[..left.min(CHUNK)];
            content.read_exact(part).map_err(|e| {
                let reason = match e.kind() {
                    ErrorKind::UnexpectedEof => {
                        format!("it ends before the values that its shape {shape:?} takes")
                    }
                    _ => e.to_string(),
                };
                damaged(file, &array_called(name), reason)
            })?;
            let elements = part.chunks_exact(element.size);
            match &mut values {
                Values::U8(v) => v.extend_from_slice(part),
                Values::Int(v) => v.extend(elements.map(|e| element.integer(e))),
                Values::Float(v) => {
                    for value in elements.map(|e| element.float(e)) {
                        if !value.is_finite() {
                            let sample = before + v.len() / self.sample_size();
                            return Err(DataError::not_finite(file, name, sample, value));
                        }
                        v.push(value);
                    }
                }
            }
            left -= part.len();
        }
        Ok(values)
    }

    /// Makes sure that nothing follows; reading on to the end also checks the archive's or gzip's
    /// checksum.
    pub(super) fn end(&self, content: &mut impl Read) -> Result<(), DataError> {
        let what = array_called(&self.name);
        match content.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged(
                &self.file,
                &what,
                format!("more data follows than its shape {:?} takes", self.shape),
            )),
            Err(e) => Err(damaged(&self.file, &what, e)),
        }
    }
}

/// The reason of a read that failed, in words.
pub(super) fn eof(e: io::Error) -> String {
    match e.kind() {
        ErrorKind::UnexpectedEof => "the data ends here".into(),
        _ => e.to_string(),
    }
}
