//! Functions as code in a good ELF file, then bytes of the file changed: every offset that comes
//! out is in the file, and what is called emulated is.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weir_tlsprobe::{Cost, MAX_PROBES, ResultSite, examine};

#[derive(Arbitrary, Debug)]
struct File<'a> {
    /// The input itself is the file.
    raw: bool,
    exported: bool,
    functions: [&'a [u8]; 3],
    changes: Vec<(u16, u8)>,
    rest: &'a [u8],
}

const NAMES: [&str; 3] = ["SSL_read", "SSL_write_ex", "gnutls_record_recv"];
const HEADERS: usize = 64 + 56;

fuzz_target!(|file: File<'_>| {
    let mut elf = if file.raw { file.rest.to_vec() } else { build(&file) };
    for (at, value) in &file.changes {
        let at = usize::from(*at) % elf.len().max(1);
        if let Some(byte) = elf.get_mut(at) {
            *byte ^= *value;
        }
    }
    check(&elf);
});

fn check(elf: &[u8]) {
    let Ok(plan) = examine(elf) else { return };
    assert!((1..=MAX_PROBES).contains(&plan.probes.len()));
    for probe in &plan.probes {
        assert!(probe.entry < elf.len() as u64);
        let site = &elf[usize::try_from(probe.arguments.offset).unwrap()..];
        match probe.arguments.cost {
            Cost::SingleStep => assert_eq!(probe.arguments.offset, probe.entry),
            Cost::Emulated => assert!(matches!(
                site,
                [0x90 | 0x50..=0x57 | 0x70..=0x7f | 0xeb | 0xe8 | 0xe9, ..]
                    | [0x41, 0x50..=0x57, ..]
                    | [0x0f, 0x80..=0x8f, ..]
            )),
        }
        if let ResultSite::Branch(offset) = probe.result {
            assert!(matches!(
                &elf[usize::try_from(offset).unwrap()..],
                [0x70..=0x7f | 0xeb | 0xe9, ..] | [0x0f, 0x80..=0x8f, ..]
            ));
        }
    }
}

/// One segment with all functions, one symbol table, one of strings.
fn build(file: &File<'_>) -> Vec<u8> {
    let (mut code, mut symbols, mut strings) = (Vec::new(), vec![0; 24], vec![0]);
    for (name, bytes) in NAMES.iter().zip(file.functions) {
        symbols.extend((strings.len() as u32).to_le_bytes());
        symbols.extend([0x12, 0, 1, 0]);
        symbols.extend(((HEADERS + code.len()) as u64).to_le_bytes());
        symbols.extend((bytes.len() as u64).to_le_bytes());
        strings.extend(name.bytes().chain([0]));
        code.extend(bytes);
    }
    let symbols_at = HEADERS + code.len();
    let strings_at = symbols_at + symbols.len();
    let sections_at = strings_at + strings.len();
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    words(&mut elf, &[0, 64, sections_at]);
    for half in [0_u16, 0, 64, 56, 1, 64, 3, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    words(&mut elf, &[0, 0, 0, symbols_at, symbols_at, 0x1000]);
    for part in [&code, &symbols, &strings] {
        elf.extend(part);
    }
    elf.extend([0; 64]);
    let kind = if file.exported { 11 } else { 2 };
    words(&mut elf, &[kind << 32, 0, 0, symbols_at, symbols.len(), 2, 1, 24]);
    words(&mut elf, &[3 << 32, 0, 0, strings_at, strings.len(), 0, 1, 0]);
    elf.extend(file.rest);
    elf
}

fn words(elf: &mut Vec<u8>, words: &[usize]) {
    for word in words {
        elf.extend((*word as u64).to_le_bytes());
    }
}
