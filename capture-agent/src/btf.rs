//! Offsets of structure members out of the kernel's BTF.
//!
//! Rust programs carry no CO-RE relocations, so the few offsets that we need are looked up
//! here and passed to the programs as read-only globals. The format is
//! `Documentation/bpf/btf.rst` of the kernel.

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
/// Anonymous members nest; deeper than this is no kernel that we know.
const MAX_DEPTH: u32 = 16;

/// Why the kernel's type information could not be used.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum BtfError {
    #[error("not BTF, or of another byte order")]
    Magic,
    #[error("BTF ends inside a type")]
    Truncated,
    #[error("this kernel has no member {structure}.{member}")]
    NoMember { structure: &'static str, member: &'static str },
}

/// Parsed type section; offsets into `raw` only.
pub(crate) struct Btf<'a> {
    raw: &'a [u8],
    strings: usize,
    /// Start of each type's record, by type id.
    types: Vec<u32>,
}

impl<'a> Btf<'a> {
    /// Reads the type table of `raw`, the content of `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// [`BtfError::Magic`], [`BtfError::Truncated`].
    pub(crate) fn parse(raw: &'a [u8]) -> Result<Self, BtfError> {
        let mut btf = Self { raw, strings: 0, types: vec![0] };
        if btf.half(0)? != MAGIC {
            return Err(BtfError::Magic);
        }
        let header = btf.word(4)? as usize;
        let start = header + btf.word(8)? as usize;
        let end = start + btf.word(12)? as usize;
        btf.strings = header + btf.word(16)? as usize;
        let mut at = start;
        while at < end {
            let info = btf.word(at + 4)?;
            btf.types.push(u32::try_from(at).ok().ok_or(BtfError::Truncated)?);
            let trailer = match kind(info) {
                1 | 14 | 17 => 4,
                3 => 12,
                STRUCT | UNION | 15 | 19 => 12 * count(info),
                6 | 13 => 8 * count(info),
                _ => 0,
            };
            at += 12 + trailer;
        }
        Ok(btf)
    }

    /// Offset in bytes of a member, also of one inside anonymous structures and unions.
    ///
    /// # Errors
    /// [`BtfError::NoMember`], [`BtfError::Truncated`].
    pub(crate) fn offset(
        &self,
        structure: &'static str,
        member: &'static str,
    ) -> Result<u32, BtfError> {
        for &at in &self.types[1..] {
            let at = at as usize;
            if kind(self.word(at + 4)?) == STRUCT
                && self.name(self.word(at)?)? == structure.as_bytes()
                && let Some(offset) = self.member(at, member.as_bytes(), 0)?
            {
                return Ok(offset);
            }
        }
        Err(BtfError::NoMember { structure, member })
    }

    /// True when there is a `typedef` of that name; the kernel names a tracepoint `x` that
    /// typed programs may attach to by the typedef `btf_trace_x`.
    ///
    /// # Errors
    /// [`BtfError::Truncated`].
    pub(crate) fn has_typedef(&self, name: &str) -> Result<bool, BtfError> {
        for &at in &self.types[1..] {
            let at = at as usize;
            if kind(self.word(at + 4)?) == TYPEDEF && self.name(self.word(at)?)? == name.as_bytes()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn member(&self, at: usize, name: &[u8], depth: u32) -> Result<Option<u32>, BtfError> {
        let info = self.word(at + 4)?;
        for index in 0..count(info) {
            let entry = at + 12 + index * 12;
            let own_name = self.word(entry)?;
            let bits = self.word(entry + 8)?;
            // With the kind flag set, the upper 8 bits are a bit field's size.
            let bytes = if info >> 31 == 1 { bits & 0x00ff_ffff } else { bits } / 8;
            if own_name == 0 {
                if depth < MAX_DEPTH
                    && let Some(inner) = self.aggregate(self.word(entry + 4)?)?
                    && let Some(offset) = self.member(inner, name, depth + 1)?
                {
                    return Ok(Some(bytes + offset));
                }
            } else if self.name(own_name)? == name {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Record of the structure or union behind qualifiers, `None` for another kind of type.
    fn aggregate(&self, mut id: u32) -> Result<Option<usize>, BtfError> {
        for _ in 0..MAX_DEPTH {
            let at = *self.types.get(id as usize).ok_or(BtfError::Truncated)? as usize;
            match kind(self.word(at + 4)?) {
                STRUCT | UNION => return Ok(Some(at)),
                TYPEDEF | VOLATILE | CONST => id = self.word(at + 8)?,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn name(&self, offset: u32) -> Result<&'a [u8], BtfError> {
        let rest = self.raw.get(self.strings + offset as usize..).ok_or(BtfError::Truncated)?;
        let end = rest.iter().position(|&byte| byte == 0).ok_or(BtfError::Truncated)?;
        Ok(&rest[..end])
    }

    fn half(&self, at: usize) -> Result<u16, BtfError> {
        let bytes = self.raw.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u16::from_ne_bytes).ok_or(BtfError::Truncated)
    }

    fn word(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.raw.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or(BtfError::Truncated)
    }
}

fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

fn count(info: u32) -> usize {
    (info & 0xffff) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two structures: `outer { int a; struct { int b; int c; } }`.
    fn sample() -> Vec<u8> {
        let strings = b"\0outer\0a\0b\0c\0int\0";
        let mut types: Vec<u32> = Vec::new();
        types.extend([14, 1 << 24, 4, 0]); // 1: int
        types.extend([0, (4 << 24) | 2, 8, 9, 1, 0, 11, 1, 32]); // 2: anonymous
        types.extend([1, (4 << 24) | 2, 12, 7, 1, 0, 0, 2, 32]); // 3: outer
        let mut raw = Vec::new();
        raw.extend(MAGIC.to_ne_bytes());
        raw.extend([1, 0]);
        let type_bytes = u32::try_from(types.len() * 4).unwrap();
        for word in [24, 0, type_bytes, type_bytes, u32::try_from(strings.len()).unwrap()] {
            raw.extend(word.to_ne_bytes());
        }
        raw.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
        raw.extend(strings);
        raw
    }

    #[test]
    fn members_of_anonymous_structures_are_found() {
        let raw = sample();
        let btf = Btf::parse(&raw).unwrap();
        assert_eq!(btf.offset("outer", "a"), Ok(0));
        assert_eq!(btf.offset("outer", "b"), Ok(4));
        assert_eq!(btf.offset("outer", "c"), Ok(8));
    }

    #[test]
    fn a_missing_member_is_named() {
        let raw = sample();
        let error = Btf::parse(&raw).unwrap().offset("outer", "z").unwrap_err();
        assert_eq!(error.to_string(), "this kernel has no member outer.z");
    }

    proptest! {
        #[test]
        fn damaged_type_information_never_panics(at in 0usize..128, value: u8, cut in 0usize..160) {
            let mut raw = sample();
            let index = at % raw.len();
            raw[index] = value;
            raw.truncate(cut);
            if let Ok(btf) = Btf::parse(&raw) {
                let _unspecified = btf.offset("outer", "c");
            }
        }
    }
}
