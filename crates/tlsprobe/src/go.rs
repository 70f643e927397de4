//! Go's own TLS. Its functions are found by name in the symbol table, or in the table of all
//! functions that Go programs keep for themselves and that stripping leaves in place.

use std::ops::Range;

use memchr::memchr;

use crate::code::{Flow, GO_ARGUMENTS, Steps};
use crate::elf::Image;
use crate::graph::Graph;
use crate::limits::{MAX_GO_BYTES, MAX_PROBES, MAX_RETURNS, MAX_SYMBOLS};
use crate::plan::{Arguments, Cost, Found, Function, Probe, ResultSite};

/// Since Go 1.18 and 1.20; the parts read here are alike.
const MAGIC: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
const SECTIONS: [&[u8]; 2] = [b".gopclntab\0", b".data.rel.ro.gopclntab\0"];

/// The functions of `crypto/tls` that the program's own table names.
pub(crate) fn functions(image: &Image<'_>) -> Vec<(Function, Range<u64>)> {
    let table = SECTIONS.iter().find_map(|name| image.section(name));
    let Some(table) = table.and_then(|(_, bytes)| Table::parse(bytes)) else { return Vec::new() };
    let found = table.functions();
    // Newer programs do not say where their code begins. Without a C linker's help it is the
    // section; whoever it is not true of fails here.
    let text = image.section(b".text\0").map(|(address, _)| address);
    let bases = [table.text, text];
    let at = |base: u64| -> Option<Vec<_>> {
        let moved = |(function, offsets): &(Function, Range<u64>)| {
            let range = base.checked_add(offsets.start)?..base.checked_add(offsets.end)?;
            checks_its_stack(image, range.start).then_some((*function, range))
        };
        found.iter().map(moved).collect()
    };
    bases.into_iter().flatten().find_map(at).unwrap_or_default()
}

/// The probes for one function; `None` where it is not as expected.
pub(crate) fn probe(
    image: &Image<'_>,
    function: Function,
    found: Found,
    range: Range<u64>,
) -> Option<Probe> {
    if !checks_its_stack(image, range.start) {
        return None;
    }
    let entry = image.offset(range.start)?;
    let returns = returns(image, &range)?;
    let site = Graph::walk(image, range).site_behind_check(GO_ARGUMENTS)?;
    let arguments = Arguments { offset: image.offset(site)?, cost: Cost::Emulated };
    Some(Probe { function, found, entry, arguments, result: ResultSite::Returns(returns) })
}

/// Whether these are enough to read all connections: what a handshake reads ahead is known only
/// by it.
pub(crate) fn suffice(probes: &[Probe]) -> bool {
    [Function::GoRead, Function::GoWrite, Function::GoHandshake]
        .iter()
        .all(|function| probes.iter().any(|probe| probe.function == *function))
}

/// Whether code begins with the check of Go's stack by the register of its goroutine, as it does
/// since arguments come in registers.
fn checks_its_stack(image: &Image<'_>, address: u64) -> bool {
    matches!(
        image.code(address),
        // cmp rsp, [r14 + 16], or that of lea r12, [rsp - frame]
        Some(
            [0x49, 0x3b, 0x66, 0x10, ..]
                | [0x4c, 0x8d, 0x64, 0x24, _, 0x4d, 0x3b, 0x66, 0x10, ..]
                | [0x4c, 0x8d, 0xa4, 0x24, _, _, _, _, 0x4d, 0x3b, 0x66, 0x10, ..]
        )
    )
}

/// File offsets of all places where the function returns. Go has no data between its
/// instructions, so that they are found one after the other.
fn returns(image: &Image<'_>, range: &Range<u64>) -> Option<Vec<u64>> {
    let length = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
    let code = image.code(range.start)?.get(..length)?;
    if length > MAX_GO_BYTES {
        return None;
    }
    let (mut steps, mut at, mut returns) = (Steps::new(), 0, Vec::new());
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let address = range.start + at as u64;
        let step = steps.decode(rest, address)?;
        if step.flow == Flow::Return {
            returns.push(image.offset(address)?);
        }
        at = usize::try_from(step.next - range.start).ok()?;
    }
    (!returns.is_empty() && returns.len() <= MAX_RETURNS).then_some(returns)
}

/// `runtime.pcHeader` with what follows it.
struct Table<'a> {
    bytes: &'a [u8],
    functions: usize,
    /// Where the code begins, if it says so.
    text: Option<u64>,
    names: usize,
    entries: usize,
}

impl<'a> Table<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let magic = u32::from_le_bytes(*bytes.first_chunk()?);
        if !MAGIC.contains(&magic) || bytes.get(4..8)? != [0, 0, 1, 8] {
            return None;
        }
        let word = |index: usize| {
            let bytes = bytes.get(8 + 8 * index..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        let place = |index| usize::try_from(word(index)?).ok();
        Some(Self {
            bytes,
            functions: place(0)?.min(MAX_SYMBOLS),
            text: Some(word(2)?).filter(|text| *text != 0),
            names: place(3)?,
            entries: place(7)?,
        })
    }

    /// Those of ours, with their offsets in the code.
    fn functions(&self) -> Vec<(Function, Range<u64>)> {
        let mut found = Vec::new();
        for index in 0..self.functions {
            let Some((start, end, name)) = self.function(index) else { break };
            if let Some(function) = Function::from_go(name)
                && found.len() < MAX_PROBES
            {
                found.push((function, start.into()..end.into()));
            }
        }
        found
    }

    fn function(&self, index: usize) -> Option<(u32, u32, &'a [u8])> {
        let entry = self.entries.checked_add(index.checked_mul(8)?)?;
        let (start, end) = (self.u32(entry)?, self.u32(entry.checked_add(8)?)?);
        let data = usize::try_from(self.u32(entry + 4)?).ok()?;
        let name = self.u32(self.entries.checked_add(data)?.checked_add(4)?)?;
        let name = self.names.checked_add(usize::try_from(name).ok()?)?;
        // Longer ones are none of ours.
        let name = self.bytes.get(name..)?;
        let name = name.get(..Function::MAX_GO_NAME + 1).unwrap_or(name);
        let name = &name[..memchr(0, name).unwrap_or(name.len())];
        Some((start, end, name))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of functions with these names, 256 bytes of code each.
    fn table(text: u64, names: &[&str]) -> Vec<u8> {
        const HEADER: usize = 8 + 8 * 8;
        let strings: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
        let entries = HEADER + strings.len();
        let mut bytes = MAGIC[1].to_le_bytes().to_vec();
        bytes.extend([0, 0, 1, 8]);
        let words = [names.len() as u64, 0, text, HEADER as u64, 0, 0, 0, entries as u64];
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(&strings);
        let u32 = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        let data = 8 * names.len() + 4;
        for index in 0..names.len() {
            bytes.extend(u32(index * 256));
            bytes.extend(u32(data + index * 8));
        }
        bytes.extend(u32(names.len() * 256));
        let mut at = 0;
        for (index, name) in names.iter().enumerate() {
            bytes.extend(u32(index * 256));
            bytes.extend(u32(at));
            at += name.len() + 1;
        }
        bytes
    }

    const NAMES: [&str; 5] = [
        "main.main",
        "crypto/tls.(*Conn).Read",
        "crypto/tls.(*Conn).serverHandshake-fm",
        "crypto/tls.(*Conn).serverHandshake",
        "crypto/tls.(*Conn).Write",
    ];

    #[test]
    fn functions_are_found_by_their_whole_names() {
        let bytes = table(0x40_1000, &NAMES);
        let table = Table::parse(&bytes).unwrap();
        assert_eq!(table.text, Some(0x40_1000));
        let expected = [
            (Function::GoRead, 256..512),
            (Function::GoHandshake, 768..1024),
            (Function::GoWrite, 1024..1280),
        ];
        assert_eq!(table.functions(), expected);
    }

    #[test]
    fn a_table_without_its_beginning_of_code_does_not_say_one() {
        assert_eq!(Table::parse(&table(0, &NAMES)).unwrap().text, None);
        assert!(Table::parse(&table(0, &NAMES)[..70]).is_none());
    }

    proptest! {
        #[test]
        fn any_damage_is_survived(
            at in any::<prop::sample::Index>(), bytes in any::<[u8; 4]>(), cut in any::<prop::sample::Index>(),
        ) {
            let mut table = table(0, &NAMES);
            let at = at.index(table.len() - 4);
            table[at..at + 4].copy_from_slice(&bytes);
            table.truncate(cut.index(table.len() + 1));
            if let Some(table) = Table::parse(&table) {
                prop_assert!(table.functions().len() <= MAX_PROBES);
            }
        }
    }
}
