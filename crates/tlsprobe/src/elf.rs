//! The parts of an ELF file that matter here. Names are compared where they lie and never
//! searched for their end: a hostile table would make that quadratic.

use std::ops::Range;

use memchr::memmem;
use object::LittleEndian as Little;
use object::elf::{self, EM_X86_64, FileHeader64, ProgramHeader64, SectionHeader64, Sym64, Verdef};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _};

use crate::limits::{
    MAX_ELF_BYTES, MAX_NAME_BYTES, MAX_SEARCH_BYTES, MAX_SECTIONS, MAX_SEGMENTS, MAX_SYMBOLS,
    MAX_VERSIONS,
};
use crate::plan::{Found, Opaque};

const GO_SECTION: &[u8] = b".go.buildinfo\0";
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";

pub(crate) struct Image<'a> {
    bytes: &'a [u8],
    segments: &'a [ProgramHeader64<Little>],
    sections: &'a [SectionHeader64<Little>],
    section_names: &'a [u8],
}

/// A name with what it stands for.
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) found: Found,
    /// The addresses of a function that the file has; `None` if it only asks for it.
    pub(crate) range: Option<Range<u64>>,
}

impl<'a> Image<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Opaque> {
        if bytes.len() > MAX_ELF_BYTES {
            return Err(Opaque::TooLarge);
        }
        let ident = bytes.get(..6).ok_or(Opaque::Malformed)?;
        if !ident.starts_with(&elf::ELFMAG) {
            return Err(Opaque::Malformed);
        }
        if ident.get(4..6) != Some(&[elf::ELFCLASS64, elf::ELFDATA2LSB]) {
            return Err(Opaque::UnsupportedMachine);
        }
        let header = FileHeader64::<Little>::parse(bytes).map_err(|_error| Opaque::Malformed)?;
        if header.e_machine(Little) != EM_X86_64 {
            return Err(Opaque::UnsupportedMachine);
        }
        let segments = header.program_headers(Little, bytes).map_err(|_error| Opaque::Malformed)?;
        // A file does not need these to run.
        let sections = header.section_headers(Little, bytes).unwrap_or_default();
        if segments.len() > MAX_SEGMENTS || sections.len() > MAX_SECTIONS {
            return Err(Opaque::TooLarge);
        }
        let names = header.shstrndx(Little, bytes).ok();
        let names = names.and_then(|index| sections.get(usize::try_from(index).ok()?));
        let section_names = names.and_then(|names| names.data(Little, bytes).ok());
        let section_names = section_names.unwrap_or_default();
        Ok(Self { bytes, segments, sections, section_names })
    }

    /// Address and content of the section with this name, which ends in a zero.
    pub(crate) fn section(&self, name: &[u8]) -> Option<(u64, &'a [u8])> {
        let named = self.sections.iter().find(|section| {
            let at = usize::try_from(section.sh_name(Little)).unwrap_or(usize::MAX);
            self.section_names.get(at..).is_some_and(|found| found.starts_with(name))
        })?;
        Some((named.sh_addr(Little), named.data(Little, self.bytes).ok()?))
    }

    /// What is executable in the file from `address` on.
    pub(crate) fn code(&self, address: u64) -> Option<&'a [u8]> {
        let (offset, rest) = self.executable(address)?;
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(rest).ok()?)?.min(self.bytes.len());
        self.bytes.get(start..end)
    }

    /// The offset in the file of executable code.
    pub(crate) fn offset(&self, address: u64) -> Option<u64> {
        let (offset, _) = self.executable(address)?;
        (usize::try_from(offset).ok()? < self.bytes.len()).then_some(offset)
    }

    /// The file offset of `address` and how many bytes its segment has in the file from there.
    fn executable(&self, address: u64) -> Option<(u64, u64)> {
        self.loaded(elf::PF_X).find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr(Little))?;
            let rest = segment.p_filesz(Little).checked_sub(within).filter(|rest| *rest > 0)?;
            Some((segment.p_offset(Little).checked_add(within)?, rest))
        })
    }

    fn loaded(&self, flag: u32) -> impl Iterator<Item = &'a ProgramHeader64<Little>> {
        self.segments.iter().filter(move |segment| {
            segment.p_type(Little) == elf::PT_LOAD && segment.p_flags(Little) & flag != 0
        })
    }

    /// The names of both symbol tables, what the file exports first.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        let tables =
            [(elf::SHT_DYNSYM, Found::DynamicSymbol), (elf::SHT_SYMTAB, Found::SymbolTable)];
        tables.into_iter().flat_map(|(kind, found)| {
            let (symbols, strings) = self.table(kind).unwrap_or_default();
            symbols.iter().take(MAX_SYMBOLS).filter_map(move |symbol| {
                let name = name_at(strings, symbol.st_name(Little))?;
                let range = if symbol.st_shndx(Little) == elf::SHN_UNDEF {
                    None
                } else if symbol.st_type() == elf::STT_FUNC {
                    let start = symbol.st_value(Little);
                    Some(start..start.checked_add(symbol.st_size(Little))?)
                } else {
                    return None;
                };
                Some(Symbol { name, found, range })
            })
        })
    }

    /// Whether there are more symbols than [`Image::symbols`] gives.
    pub(crate) fn has_more_symbols(&self) -> bool {
        [elf::SHT_DYNSYM, elf::SHT_SYMTAB]
            .into_iter()
            .any(|kind| self.table(kind).is_some_and(|(symbols, _)| symbols.len() > MAX_SYMBOLS))
    }

    /// Whether all that it is made of is in it, without names.
    pub(crate) fn is_static_and_stripped(&self) -> bool {
        let interpreted =
            self.segments.iter().any(|segment| segment.p_type(Little) == elf::PT_INTERP);
        let exports = self
            .symbols()
            .any(|symbol| symbol.range.is_some() && symbol.found == Found::DynamicSymbol);
        !interpreted && !exports && self.table(elf::SHT_SYMTAB).is_none()
    }

    fn table(&self, kind: u32) -> Option<(&'a [Sym64<Little>], &'a [u8])> {
        let table = self.sections.iter().find(|section| section.sh_type(Little) == kind)?;
        Some((table.data_as_array(Little, self.bytes).ok()?, self.strings_of(table)?))
    }

    fn strings_of(&self, section: &SectionHeader64<Little>) -> Option<&'a [u8]> {
        self.sections.get(section.link(Little).0)?.data(Little, self.bytes).ok()
    }

    /// The names of the compatibility versions that the file defines.
    pub(crate) fn definitions(&self) -> Vec<&'a [u8]> {
        let find =
            |section: &&SectionHeader64<Little>| section.sh_type(Little) == elf::SHT_GNU_VERDEF;
        let section = self.sections.iter().find(find);
        let found = section.and_then(|section| {
            let (definitions, _) = section.gnu_verdef(Little, self.bytes).ok()??;
            Some((definitions, self.strings_of(section)?))
        });
        let Some((mut definitions, strings)) = found else { return Vec::new() };
        let mut names = Vec::new();
        for _ in 0..MAX_VERSIONS {
            let next: Option<(&Verdef<Little>, _)> = definitions.next().unwrap_or_default();
            let Some((_, mut auxiliary)) = next else { break };
            let name = auxiliary.next().ok().flatten();
            names.extend(name.and_then(|name| name_at(strings, name.vda_name.get(Little))));
        }
        names
    }

    /// What is loaded to be read only, as far as it is searched.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a [u8]> {
        let constant =
            self.loaded(elf::PF_R).filter(|segment| segment.p_flags(Little) & elf::PF_W == 0);
        self.searched(constant)
    }

    /// Whether Go's linker made it.
    pub(crate) fn is_go(&self) -> bool {
        let named = self.section(GO_SECTION).is_some();
        // Section headers can be stripped, too.
        named
            || self.sections.is_empty()
                && self
                    .searched(self.loaded(elf::PF_W))
                    .any(|bytes| memmem::find(bytes, GO_MAGIC).is_some())
    }

    fn searched(
        &self,
        segments: impl Iterator<Item = &'a ProgramHeader64<Little>>,
    ) -> impl Iterator<Item = &'a [u8]> {
        let (bytes, mut left) = (self.bytes, MAX_SEARCH_BYTES);
        segments.filter_map(move |segment| {
            let data = segment.data(Little, bytes).ok()?;
            let data = data.get(..left).unwrap_or(data);
            left -= data.len();
            Some(data)
        })
    }
}

fn name_at(strings: &[u8], at: u32) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    let rest = rest.get(..MAX_NAME_BYTES).unwrap_or(rest);
    // A longer name is cut: none of ours, but its beginning may tell the library.
    Some(rest.split(|byte| *byte == 0).next().unwrap_or_default())
}
