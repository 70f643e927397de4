//! Status of an `Exporter`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use weir_api::{
    condition::{self, reason},
    v1alpha1::{ExporterStatus, ExporterTransport, QueueStatus},
};
use weir_plan::{ExporterPlan, ObjectKey, Outcome, Transport, status::NodeExporter};

use super::{
    Fleet,
    conditions::{Conditions, Summary, Truth, faults, refused, warnings},
    fleet,
};

/// An exporter, and what compiling gave.
#[derive(Clone, Copy, Debug)]
pub struct ExporterView<'a> {
    pub key: &'a ObjectKey,
    /// `metadata.generation`.
    pub generation: i64,
    pub previous: Option<&'a ExporterStatus>,
    pub outcome: &'a Outcome,
    /// As it is in the plan.
    pub plan: Option<&'a ExporterPlan>,
}

/// Truth, reason and message of a condition.
type Verdict = (Truth, &'static str, String);

/// Equal to the previous status when nothing changed.
pub fn exporter(view: ExporterView<'_>, fleet: &Fleet, now: Timestamp) -> ExporterStatus {
    let previous = view.previous.map_or(&[][..], |previous| &previous.conditions);
    let mut conditions = Conditions::new(previous, view.generation, now);
    let accepted = faults(view.outcome, condition::ACCEPTED);
    let resolved = faults(view.outcome, condition::RESOLVED_REFS);
    conditions.set_by(condition::ACCEPTED, accepted.as_ref(), reason::ACCEPTED);
    conditions.set_by(condition::RESOLVED_REFS, resolved.as_ref(), reason::RESOLVED);

    let nodes: Vec<(&str, &NodeExporter)> = fleet.exporter(view.key).collect();
    let [reachable, delivering] = [reachable(&nodes), delivering(&nodes)];
    let summary = refused(accepted.as_ref(), resolved.as_ref()).unwrap_or_else(|| {
        let broken =
            [&reachable, &delivering].into_iter().find(|(truth, ..)| *truth == Truth::False);
        match broken {
            Some((_, reason, message)) => Summary::Progressing(reason, message.clone()),
            None => Summary::Ready(reason::READY, warnings(view.outcome)),
        }
    });
    for (type_, (truth, reason, message)) in
        [(condition::REACHABLE, &reachable), (condition::DELIVERING, &delivering)]
    {
        conditions.set(type_, *truth, reason, message);
    }

    let mut queue = QueueStatus::default();
    for (_, node) in &nodes {
        fleet::add_queue(&mut queue, node);
    }
    let last = nodes.iter().filter_map(|(_, node)| node.last_delivery).max();
    let before = view.previous.and_then(|previous| previous.last_delivery.as_ref());
    ExporterStatus {
        observed_generation: Some(view.generation),
        conditions: conditions.finish(&summary),
        transport: view.plan.map(|plan| match plan.transport {
            Transport::Http => ExporterTransport::Http,
            Transport::Grpc => ExporterTransport::Grpc,
        }),
        transport_reason: view.plan.map(|plan| plan.transport_reason.clone()),
        queue: (!nodes.is_empty()).then_some(queue),
        // A node that is gone takes its time with it; the status keeps the latest. The API
        // has whole seconds.
        last_delivery: last.max(before.map(|time| time.0)).map(whole_seconds),
        last_error: nodes.iter().find_map(|(node, exporter)| {
            exporter.last_error.as_ref().map(|error| format!("node {node}: {error}"))
        }),
    }
}

/// Times are written in seconds: a finer one would differ from what is read back.
pub(super) fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

fn reachable(nodes: &[(&str, &NodeExporter)]) -> Verdict {
    let away: Vec<_> = nodes.iter().filter(|(_, node)| node.reachable == Some(false)).collect();
    match away.first() {
        Some((node, exporter)) => {
            let error = exporter.last_error.as_deref().unwrap_or("no answer");
            let more = and_others(away.len());
            (Truth::False, reason::UNREACHABLE, format!("node {node}{more}: {error}"))
        }
        None if nodes.iter().any(|(_, node)| node.reachable == Some(true)) => {
            (Truth::True, reason::REACHABLE, String::new())
        }
        None => (Truth::Unknown, reason::NOT_TRIED, "no node had anything to send yet".to_owned()),
    }
}

fn delivering(nodes: &[(&str, &NodeExporter)]) -> Verdict {
    let failing = nodes
        .iter()
        .filter_map(|(node, exporter)| exporter.last_error.as_ref().map(|error| (node, error)));
    let failing: Vec<_> = failing.collect();
    match failing.first() {
        Some((node, error)) => {
            let more = and_others(failing.len());
            (Truth::False, reason::DELIVERY_FAILED, format!("node {node}{more}: {error}"))
        }
        None if nodes.iter().any(|(_, node)| node.delivered > 0) => {
            (Truth::True, reason::DELIVERING, String::new())
        }
        None => (Truth::Unknown, reason::NOT_TRIED, "nothing was delivered yet".to_owned()),
    }
}

fn and_others(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        many => format!(" and {} more", many - 1),
    }
}
