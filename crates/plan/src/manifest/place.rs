//! Places in files.

use std::fmt;

/// A place in a file; line and column count from 1. Line 0 means the file as a whole.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    pub file: String,
    pub line: u64,
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        match line {
            0 => f.write_str(file),
            _ => write!(f, "{file}:{line}:{column}"),
        }
    }
}
