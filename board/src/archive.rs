//! Static libraries without what nobody calls.
//!
//! A compiler puts all that it knows into a static library: hundreds of functions for arithmetic, of which a program takes a
//! few. A library that is copied into projects holds no more than its own code reaches.

use std::collections::BTreeMap;
use std::io::Cursor;

use ar_archive_writer::{
    ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream,
};
use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSymbol as _};

/// Functions that compilers of C call by themselves, and a project without a C library lacks.
const OF_C: [&str; 4] = ["memcmp", "memcpy", "memmove", "memset"];

/// A member of a library, and its symbols.
struct Member<'a> {
    name: String,
    bytes: &'a [u8],
    defined: Vec<String>,
    wanted: Vec<String>,
}

/// The library without members that functions whose names begin with `prefix` do not reach; `None` if it is no library of ELF files.
#[must_use]
pub fn reached(library: &[u8], prefix: &str) -> Option<Vec<u8>> {
    let archive = ArchiveFile::parse(library).ok()?;
    let mut members = Vec::new();
    for member in archive.members() {
        let member = member.ok()?;
        let bytes = member.data(library).ok()?;
        members.push(read(
            String::from_utf8(member.name().to_vec()).ok()?,
            bytes,
        )?);
    }
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        for name in &member.defined {
            places.entry(name).or_insert(at);
        }
    }
    let own = |name: &&str| name.starts_with(prefix) || OF_C.contains(name);
    let mut open: Vec<usize> = (places.iter())
        .filter(|(name, _)| own(name))
        .map(|(_, at)| *at)
        .collect();
    let mut reached = vec![false; members.len()];
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            let wanted = members[at].wanted.iter();
            open.extend(wanted.filter_map(|name| places.get(name.as_str())));
        }
    }
    let kept: Vec<NewArchiveMember<'_>> = members
        .iter()
        .zip(&reached)
        .filter(|(_, reached)| **reached)
        .map(|(member, _)| {
            let name = member.name.clone();
            NewArchiveMember::new(member.bytes, &DEFAULT_OBJECT_READER, name)
        })
        .collect();
    let mut written = Cursor::new(Vec::new());
    write_archive_to_stream(&mut written, &kept, ArchiveKind::Gnu, false, None).ok()?;
    Some(written.into_inner())
}

fn read(name: String, bytes: &[u8]) -> Option<Member<'_>> {
    let file = object::File::parse(bytes).ok()?;
    let mut member = Member {
        name,
        bytes,
        defined: Vec::new(),
        wanted: Vec::new(),
    };
    for symbol in file.symbols() {
        let name = symbol.name().ok()?.to_owned();
        if symbol.is_undefined() {
            member.wanted.push(name);
        } else if symbol.is_global() {
            member.defined.push(name);
        }
    }
    Some(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_stays_as_it_is() {
        assert_eq!(reached(b"", "ts_"), None);
        assert_eq!(
            reached(b"!<arch>\n", "ts_").map(|bytes| bytes.len()),
            Some(8)
        );
        let mut member =
            b"!<arch>\na.o/            0           0     0     644     4         `\nabcd".to_vec();
        assert_eq!(reached(&member, "ts_"), None);
        member.truncate(40);
        assert_eq!(reached(&member, "ts_"), None);
    }
}
