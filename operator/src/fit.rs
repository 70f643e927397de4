//! Keeps the plan within what a Secret may hold: the newest captures give way, so that a tenant
//! who adds captures without end takes nothing away from those that were there before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use weir_plan::{CapturePlan, ObjectKey, Plan, PlanDocument};

/// A plan that has room.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    pub document: PlanDocument,
    /// The document's bytes.
    pub bytes: Vec<u8>,
    /// Captures that were left out.
    pub refused: BTreeSet<ObjectKey>,
}

/// Even a plan without captures has no room.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("the exporters alone need {bytes} bytes in the plan document, of {limit}")]
pub struct NoRoom {
    pub bytes: usize,
    pub limit: usize,
}

/// Leaves out as few of the newest captures as it takes. `created` says how old each is; one
/// without a time counts as the newest. Of the same age, the last by name gives way.
///
/// # Errors
///
/// [`NoRoom`] when the exporters alone are too large.
pub fn fit(
    plan: Plan,
    created: &BTreeMap<ObjectKey, Timestamp>,
    limit: usize,
) -> Result<Fitted, NoRoom> {
    let whole = encoded(&plan, plan.captures.clone());
    if whole.1.len() <= limit {
        let (document, bytes) = whole;
        return Ok(Fitted { document, bytes, refused: BTreeSet::new() });
    }
    let mut oldest_first = plan.captures.clone();
    oldest_first.sort_by_key(|capture| {
        let age = created.get(&capture.key).copied().unwrap_or(Timestamp::MAX);
        (age, capture.key.clone())
    });
    let first = |count: usize| encoded(&plan, oldest_first.iter().take(count).cloned().collect());
    let none = first(0);
    if none.1.len() > limit {
        return Err(NoRoom { bytes: none.1.len(), limit });
    }
    // `fits` captures have room, `fails` have not.
    let (mut fits, mut fails) = ((0, none), oldest_first.len());
    while fails - fits.0 > 1 {
        let middle = usize::midpoint(fits.0, fails);
        let tried = first(middle);
        if tried.1.len() <= limit {
            fits = (middle, tried);
        } else {
            fails = middle;
        }
    }
    let (count, (document, bytes)) = fits;
    let refused = oldest_first.into_iter().skip(count).map(|capture| capture.key).collect();
    Ok(Fitted { document, bytes, refused })
}

/// A plan of these captures, in the order of their keys.
fn encoded(plan: &Plan, mut captures: Vec<CapturePlan>) -> (PlanDocument, Vec<u8>) {
    captures.sort_by(|a, b| a.key.cmp(&b.key));
    let document = PlanDocument::new(Plan { captures, ..plan.clone() });
    let bytes = document.encode();
    (document, bytes)
}

#[cfg(test)]
mod tests;
