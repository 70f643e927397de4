//! Conditions as the API conventions want them: in a fixed order, with the generation that they
//! are about, and with a transition time that moves only when the status does.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use weir_api::condition::{self, reason};
use weir_plan::Outcome;

/// Characters of a message; the API server allows 32768.
const MAX_MESSAGE: usize = 2048;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Truth {
    True,
    False,
    Unknown,
}

/// The summary of an object, from which follow `Ready`, `Reconciling` and `Stalled`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Summary {
    /// It does what it says.
    Ready(&'static str, String),
    /// It will, when something else happens.
    Progressing(&'static str, String),
    /// It never will as it is.
    Failed(&'static str, String),
}

/// Collects the conditions of one object.
pub(super) struct Conditions<'a> {
    previous: &'a [Condition],
    generation: i64,
    now: Timestamp,
    next: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    pub(super) fn new(previous: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self { previous, generation, now, next: Vec::new() }
    }

    pub(super) fn set(&mut self, type_: &str, truth: Truth, reason: &str, message: &str) {
        let status = match truth {
            Truth::True => "True",
            Truth::False => "False",
            Truth::Unknown => "Unknown",
        };
        let before = self.previous.iter().find(|c| c.type_ == type_ && c.status == status);
        let since = before.map_or(Time(self.now), |before| before.last_transition_time.clone());
        self.next.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: shortened(message),
            observed_generation: Some(self.generation),
            last_transition_time: since,
        });
    }

    /// Sets a condition that is false because of what compiling found, or true.
    pub(super) fn set_by(
        &mut self,
        type_: &str,
        found: Option<&(&'static str, String)>,
        fine: &str,
    ) {
        match found {
            Some((reason, message)) => self.set(type_, Truth::False, reason, message),
            None => self.set(type_, Truth::True, fine, ""),
        }
    }

    /// Adds the summary. `Reconciling` and `Stalled` are there only while they are true, as
    /// kstatus wants.
    pub(super) fn finish(mut self, summary: &Summary) -> Vec<Condition> {
        match summary {
            Summary::Ready(reason, message) => {
                self.set(condition::READY, Truth::True, reason, message);
            }
            Summary::Progressing(reason, message) => {
                self.set(condition::READY, Truth::False, reason, message);
                self.set(condition::RECONCILING, Truth::True, reason, message);
            }
            Summary::Failed(reason, message) => {
                self.set(condition::READY, Truth::False, reason, message);
                self.set(condition::STALLED, Truth::True, reason, message);
            }
        }
        self.next
    }
}

/// The faults of an object that make condition `type_` false: the reason of the first, the texts
/// of all.
pub(super) fn faults(outcome: &Outcome, type_: &str) -> Option<(&'static str, String)> {
    let mut of_type = outcome.rejections.iter().filter(|fault| fault.condition() == type_);
    let first = of_type.next()?;
    let texts = std::iter::once(first).chain(of_type).map(ToString::to_string);
    let kept = (type_ == condition::ACCEPTED && outcome.kept())
        .then(|| "until it is mended the last accepted generation stays in force".to_owned());
    let texts: Vec<String> = texts.chain(kept).collect();
    Some((first.reason(), texts.join("; ")))
}

/// The summary of an object with a fault.
pub(super) fn refused(
    accepted: Option<&(&'static str, String)>,
    resolved: Option<&(&'static str, String)>,
) -> Option<Summary> {
    if let Some((reason, message)) = accepted {
        return Some(Summary::Failed(reason, message.clone()));
    }
    resolved.map(|(reason, message)| Summary::Progressing(reason, message.clone()))
}

/// What a person should know of an object that works.
pub(super) fn warnings(outcome: &Outcome) -> String {
    outcome.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The fault of an object that has no room in the plan.
pub(super) fn too_large() -> (&'static str, String) {
    let text = "all captures together have no room in one plan of 1 MiB, and this is one of the \
                newest; delete captures or exporters, or make their selectors and headers shorter";
    (reason::PLAN_TOO_LARGE, text.to_owned())
}

fn shortened(message: &str) -> String {
    if message.chars().count() <= MAX_MESSAGE {
        return message.to_owned();
    }
    message.chars().take(MAX_MESSAGE - 1).chain(std::iter::once('…')).collect()
}
