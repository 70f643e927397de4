//! A snapshot directory to look through: its pairs in memory, as far as lists show them, and
//! filters over them. `weir web` and `weir inspect` show the same.

pub(crate) mod index;
pub(crate) mod load;
pub(crate) mod marks;
pub(crate) mod pretty;
pub(crate) mod question;
