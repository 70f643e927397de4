//! What a file may cost, whoever wrote it.

/// Larger files are not looked at.
pub const MAX_ELF_BYTES: usize = 512 << 20;
/// Files with more program headers are not looked at.
pub const MAX_SEGMENTS: usize = 128;
/// Files with more section headers are not looked at.
pub(crate) const MAX_SECTIONS: usize = 4096;
/// Symbols looked at in each of the two tables.
pub const MAX_SYMBOLS: usize = 4 << 20;
/// Longer names are none of ours.
pub(crate) const MAX_NAME_BYTES: usize = 64;
/// Version definitions looked at.
pub(crate) const MAX_VERSIONS: usize = 256;
/// Bytes searched for the text with a version, and for Go's mark.
pub(crate) const MAX_SEARCH_BYTES: usize = 64 << 20;
/// Functions probed in one file.
pub const MAX_PROBES: usize = 64;
/// Instructions decoded for one function.
pub const MAX_STEPS: usize = 8192;
/// Instructions from the entry on among which the site for the arguments is looked for.
pub const MAX_ARGUMENT_STEPS: usize = 64;
/// Sites for the result of one function that are put to the proof.
pub const MAX_CANDIDATES: usize = 64;
/// Longest function of a Go program that is decoded.
pub(crate) const MAX_GO_BYTES: usize = 64 << 10;
/// Places where one function returns.
pub(crate) const MAX_RETURNS: usize = 64;
/// No session is larger.
pub(crate) const MAX_OFFSET: u32 = 64 << 10;
/// The longest instruction of x86.
pub(crate) const MAX_INSTRUCTION_BYTES: usize = 15;
