//! A stripped Go program: functions that only the table which Go keeps for itself names, then bytes
//! of the file changed. Every offset that comes out is in the file, on what it is said to be.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weir_tlsprobe::{Cost, MAX_PROBES, ResultSite, examine};

#[derive(Arbitrary, Debug)]
struct File<'a> {
    bodies: [&'a [u8]; 4],
    /// Whether the table says where the code begins.
    says_text: bool,
    changes: Vec<(u16, u8)>,
}

const NAMES: [&str; 4] = [
    "crypto/tls.(*Conn).Read",
    "crypto/tls.(*Conn).Write",
    "crypto/tls.(*Conn).clientHandshake",
    "crypto/tls.(*Conn).serverHandshake",
];
const SECTIONS: &str = "\0.text\0.gopclntab\0.go.buildinfo\0.shstrtab\0";
const HEADERS: usize = 64 + 56;
/// cmp rsp, [r14 + 16]; jbe, whose distance follows
const BEGINS: [u8; 6] = [0x49, 0x3b, 0x66, 0x10, 0x0f, 0x86];
const PUSH_RBP: u8 = 0x55;
const RETURNS: u8 = 0xc3;
const JUMP: u8 = 0xe9;

fuzz_target!(|file: File<'_>| {
    let mut elf = build(&file);
    if file.changes.is_empty() && file.bodies.iter().all(|body| body.is_empty()) {
        assert_eq!(examine(&elf).unwrap().probes.len(), NAMES.len());
    }
    for (at, value) in &file.changes {
        let at = usize::from(*at) % elf.len();
        elf[at] ^= *value;
    }
    check(&elf);
});

fn check(elf: &[u8]) {
    let Ok(plan) = examine(elf) else { return };
    assert!((1..=MAX_PROBES).contains(&plan.probes.len()));
    let returns = |offset: &u64| {
        let code = &elf[usize::try_from(*offset).unwrap()..];
        let prefix = |byte: &&u8| matches!(**byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf2 | 0xf3);
        matches!(code.iter().find(|byte| !prefix(byte)), Some(0xc2 | 0xc3))
    };
    for probe in &plan.probes {
        assert!(probe.entry < elf.len() as u64 && probe.arguments.offset >= probe.entry);
        if let ResultSite::Returns(offsets) = &probe.result {
            // Go's stacks bear no uretprobe, and none of its functions is stepped through.
            assert_eq!(probe.arguments.cost, Cost::Emulated);
            assert!(!offsets.is_empty());
            assert!(offsets.iter().all(returns));
        }
    }
}

fn build(file: &File<'_>) -> Vec<u8> {
    let (mut code, mut starts) = (Vec::new(), Vec::new());
    for body in file.bodies {
        starts.push(code.len());
        let length = body.len() as i32;
        code.extend(BEGINS);
        code.extend((length + 2).to_le_bytes());
        code.push(PUSH_RBP);
        code.extend(body);
        code.extend([RETURNS, JUMP]);
        // Where the stack is too small the function begins anew.
        code.extend((-length - 17).to_le_bytes());
    }
    starts.push(code.len());
    let table = table(&starts, if file.says_text { HEADERS } else { 0 });
    let table_at = HEADERS + code.len();
    let names_at = table_at + table.len();
    let sections_at = names_at + SECTIONS.len();
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    words(&mut elf, &[0, 64, sections_at]);
    for half in [0_u16, 0, 64, 56, 1, 64, 5, 4] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    words(&mut elf, &[0, 0, 0, names_at, names_at, 0x1000]);
    for part in [&code[..], &table, SECTIONS.as_bytes()] {
        elf.extend(part);
    }
    elf.extend([0; 64]);
    let mut section = |name: &str, at: usize, size: usize| {
        let name = SECTIONS.find(name).unwrap();
        words(&mut elf, &[name | 1 << 32, 0, at, at, size, 0, 1, 0]);
    };
    section(".text", HEADERS, code.len());
    section(".gopclntab", table_at, table.len());
    section(".go.buildinfo", 0, 0);
    section(".shstrtab", names_at, SECTIONS.len());
    elf
}

/// `runtime.pcHeader`, the names, and where each function begins.
fn table(starts: &[usize], text: usize) -> Vec<u8> {
    const HEADER: usize = 8 + 8 * 8;
    let strings: Vec<u8> = NAMES.iter().flat_map(|name| name.bytes().chain([0])).collect();
    let mut bytes = 0xffff_fff1_u32.to_le_bytes().to_vec();
    bytes.extend([0, 0, 1, 8]);
    words(&mut bytes, &[NAMES.len(), 0, text, HEADER, 0, 0, 0, HEADER + strings.len()]);
    bytes.extend(&strings);
    let word = |value: usize| (value as u32).to_le_bytes();
    let data = 8 * NAMES.len() + 4;
    for index in 0..NAMES.len() {
        bytes.extend(word(starts[index]));
        bytes.extend(word(data + index * 8));
    }
    bytes.extend(word(starts[NAMES.len()]));
    let mut name_at = 0;
    for (start, name) in starts.iter().zip(NAMES) {
        bytes.extend(word(*start));
        bytes.extend(word(name_at));
        name_at += name.len() + 1;
    }
    bytes
}

fn words(bytes: &mut Vec<u8>, words: &[usize]) {
    for word in words {
        bytes.extend((*word as u64).to_le_bytes());
    }
}
