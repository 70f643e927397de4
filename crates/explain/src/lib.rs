//! The smallest difference between the failing and the passing requests of a route, such as
//! "30 of 30 failures end `id` with 0x7f, 0 of 88 passes do".
//!
//! Pure and deterministic: the same records in any order give the same answer. Facts are what a
//! request itself says (`facts`); [`explain`] looks for the fact that holds for failures and
//! for no pass, then for the rest of the failures again.

mod facts;
mod route;
mod search;
mod text;

pub use facts::{Fact, Place, Shape};
pub use route::{Route, route};
pub use search::{Explanation, Outcome, Reason, explain};
