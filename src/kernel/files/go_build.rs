//! What Go's linker records in a program about its build. The program is read, and never run.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::files::read::{self, Symlinks};

/// The beginning of a file of 64 bits in little-endian order (ELFCLASS64 and ELFDATA2LSB, include/uapi/linux/elf.h).
const ELF: &[u8] = b"\x7fELF\x02\x01";

/// Bytes of the header of a file, and of that of a section.
const HEADER: usize = 64;

/// Most sections that are looked at.
const SECTIONS: u16 = 1024;

/// Longest section or text that is read, bytes.
const LONGEST: u64 = 1 << 20;

/// The section, and its beginning (debug/buildinfo of Go).
const SECTION: &[u8] = b".go.buildinfo";

const MAGIC: &[u8] = b"\xff Go buildinf:";

/// The texts follow the head of the section, each with its length. Before Go 1.18 it has their addresses.
const INLINE: u8 = 2;

const HEAD: usize = 32;

/// Bytes that mark each end of the text about modules.
const MARK: usize = 16;

/// The text about the modules and the settings of a build; none if the file has none or cannot be read.
pub(crate) fn information(path: &Path) -> Option<String> {
    let file = read::open(path, Symlinks::Follow).ok()?;
    let header = bytes(&file, 0, HEADER as u64)?;
    if !header.starts_with(ELF) {
        return None;
    }
    let sections = u64::from_le_bytes(part(&header, 0x28)?);
    let [size, number, of_names] = [0x3a, 0x3c, 0x3e].map(|at| part(&header, at).map(u16::from_le_bytes));
    let (number, of_names) = (number?, of_names?);
    if usize::from(size?) != HEADER || number > SECTIONS {
        return None;
    }
    let all = bytes(&file, sections, u64::from(number) * HEADER as u64)?;
    let (headers, _) = all.as_chunks::<HEADER>();
    let names = section(&file, headers.get(usize::from(of_names))?)?;
    let is_named = |header: &&[u8; HEADER]| {
        let start = part(*header, 0).map(u32::from_le_bytes);
        let start = start.and_then(|start| names.get(usize::try_from(start).ok()?..));
        start.is_some_and(|name| name.split(|byte| *byte == 0).next() == Some(SECTION))
    };
    text(&section(&file, headers.iter().find(is_named)?)?)
}

/// The content of a section.
fn section(file: &File, header: &[u8; HEADER]) -> Option<Vec<u8>> {
    let [at, length] = [24, 32].map(|at| part(header, at).map(u64::from_le_bytes));
    bytes(file, at?, length?)
}

/// The text about modules, which comes after that of Go's version.
fn text(section: &[u8]) -> Option<String> {
    let is_inline = section.get(MAGIC.len() + 1)? & INLINE != 0;
    if !section.starts_with(MAGIC) || !is_inline {
        return None;
    }
    let (_, rest) = counted(section.get(HEAD..)?)?;
    let (marked, _) = counted(rest)?;
    let bare = marked.get(MARK..marked.len().checked_sub(MARK)?)?;
    String::from_utf8(bare.to_vec()).ok()
}

/// Bytes behind their length (`binary.Uvarint` of Go), and the rest.
fn counted(from: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0usize;
    for (at, byte) in from.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return from.get(at + 1..)?.split_at_checked(length);
        }
    }
    None
}

fn bytes(file: &File, at: u64, length: u64) -> Option<Vec<u8>> {
    let mut found = vec![0; usize::try_from(length).ok().filter(|_| length <= LONGEST)?];
    file.read_exact_at(&mut found, at).ok()?;
    Some(found)
}

fn part<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MODULES: &str = "path\tcommand-line\nmod\texample.org/p\tv1.2.3\t\n";

    /// A program with the section that Go writes, whose head has these flags.
    fn program(flags: u8) -> Vec<u8> {
        let names = b"\0.shstrtab\0.go.buildinfo\0";
        let mut section = [MAGIC, &[8, flags]].concat();
        section.resize(HEAD, 0);
        let marked = [[1; MARK].as_slice(), MODULES.as_bytes(), &[2; MARK]].concat();
        for text in [b"go1.24.1".as_slice(), &marked] {
            section.push(text.len().try_into().unwrap());
            section.extend_from_slice(text);
        }
        let header = |name: u32, at: usize, length: usize| {
            let mut header = vec![0; HEADER];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(length as u64).to_le_bytes());
            header
        };
        let at = HEADER * 4;
        let mut file = ELF.to_vec();
        file.resize(HEADER, 0);
        file[0x28..0x30].copy_from_slice(&(HEADER as u64).to_le_bytes());
        file[0x3a..0x40].copy_from_slice(&[64, 0, 3, 0, 1, 0]);
        file.extend(header(0, 0, 0));
        file.extend(header(1, at, names.len()));
        file.extend(header(11, at + names.len(), section.len()));
        file.extend_from_slice(names);
        file.extend(section);
        file
    }

    fn read_back(content: &[u8]) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plugin");
        std::fs::write(&path, content).unwrap();
        information(&path)
    }

    #[test]
    fn the_modules_of_a_program_are_read_and_those_of_another_file_are_not_known() {
        assert_eq!(read_back(&program(INLINE)).as_deref(), Some(MODULES));
        // Go before 1.18, a script, and a file that ends early.
        assert_eq!(read_back(&program(0)), None);
        assert_eq!(read_back(b"#!/bin/sh\nexec true\n"), None);
        assert_eq!(read_back(&program(INLINE)[..300]), None);
        assert_eq!(information(Path::new("/nonexistent")), None);
    }

    proptest! {
        #[test]
        fn no_changed_byte_makes_it_panic(at in any::<proptest::sample::Index>(), byte: u8) {
            let mut content = program(INLINE);
            let length = content.len();
            content[at.index(length)] = byte;
            let _ = read_back(&content);
        }
    }
}
