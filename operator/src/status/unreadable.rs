//! Conditions of an object that this version of the operator cannot read.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use weir_api::condition::{self, reason};

use super::conditions::{Conditions, Summary, Truth};

/// `fault` says what could not be read.
pub fn unreadable(generation: i64, fault: &str, now: Timestamp) -> Vec<Condition> {
    let mut conditions = Conditions::new(&[], generation, now);
    let text = format!("this version of the operator cannot read the object: {fault}");
    conditions.set(condition::ACCEPTED, Truth::False, reason::INVALID_OBJECT, &text);
    conditions.finish(&Summary::Failed(reason::INVALID_OBJECT, text))
}
