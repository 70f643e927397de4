//! What bytes a text is made of, in one quick pass: most values are short words, for which no
//! search is worth its start.

/// Kinds of bytes that some search needs to find anything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signs(u16);

const DIGIT: u16 = 1;
/// `@ : . -` and the space: in or right behind every literal that a detector looks for, unless
/// digits follow.
const JOINT: u16 = 2;
/// `:` and `=`: between a name and its value.
const BINDING: u16 = 4;
/// `(`: before the columns of a statement.
const BRACKET: u16 = 8;
/// `%`, `\` and `&`: the text may stand for another one.
const ESCAPE: u16 = 16;
const BACKSLASH: u16 = 32;

/// A credential without a digit has so many bytes at least.
const LONG: usize = 40;

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = DIGIT;
        digit += 1;
    }
    table[b'@' as usize] = JOINT;
    table[b'.' as usize] = JOINT;
    table[b'-' as usize] = JOINT;
    table[b' ' as usize] = JOINT;
    table[b':' as usize] = JOINT | BINDING;
    table[b'=' as usize] = BINDING;
    table[b'(' as usize] = BRACKET;
    table[b'%' as usize] = ESCAPE;
    table[b'\\' as usize] = ESCAPE | BACKSLASH;
    table[b'&' as usize] = ESCAPE;
    table
};

impl Signs {
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(text.iter().fold(0, |signs, byte| signs | TABLE[usize::from(*byte)]))
    }

    /// Also of this byte.
    pub(crate) fn add(&mut self, byte: u8) {
        self.0 |= TABLE[usize::from(byte)];
    }

    /// A backslash.
    pub(crate) const fn backslash(self) -> bool {
        self.any(BACKSLASH)
    }

    const fn any(self, of: u16) -> bool {
        self.0 & of != 0
    }

    /// A literal of a detector with a value after it, in a text of that length.
    pub(crate) const fn literal(self, length: usize) -> bool {
        self.any(DIGIT | JOINT) || length >= LONG
    }

    /// A word with a digit.
    pub(crate) const fn digit(self) -> bool {
        self.any(DIGIT)
    }

    /// A name with its value.
    pub(crate) const fn binding(self) -> bool {
        self.any(BINDING)
    }

    /// A list of columns.
    pub(crate) const fn bracket(self) -> bool {
        self.any(BRACKET)
    }

    /// Percent signs, backslashes or character references.
    pub(crate) const fn escape(self) -> bool {
        self.any(ESCAPE)
    }
}
