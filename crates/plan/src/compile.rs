//! Objects → plan, each object alone. Retrying cannot mend what is refused here: only an edit
//! of the object, or of one that it names, can.

mod capture;
mod exporter;
mod last_good;
mod policy;
mod rejection;
mod tenancy;
mod value;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use weir_api::v1alpha1::{DlpPolicy, Exporter, TrafficCapture};

pub use rejection::{Rejection, Warning};

use crate::{CapturePlan, ExporterPlan, ObjectKey, Plan, PolicyPlan};

/// Everything that the compiler reads. Names are unique per kind and namespace.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    pub captures: Vec<TrafficCapture>,
    pub exporters: Vec<Exporter>,
    pub policies: Vec<DlpPolicy>,
    /// Labels of namespaces. The label `kubernetes.io/metadata.name` is added here.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets that exporters and policies name.
    pub secrets: BTreeMap<ObjectKey, SecretData>,
    /// Namespace whose policies may enforce floors. `None` on one machine: all of them, since
    /// there whoever writes a manifest owns the machine's plan.
    pub operator_namespace: Option<String>,
}

/// Keys and values of a Secret. `Debug` shows the keys alone.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct SecretData(pub BTreeMap<String, Vec<u8>>);

/// The plan of all accepted objects, and what became of each object.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    pub plan: Plan,
    /// One per object, ordered by kind and key.
    pub outcomes: Vec<Outcome>,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub kind: ObjectKind,
    pub key: ObjectKey,
    /// The object is in the plan (a policy: in force).
    pub planned: bool,
    /// Faults that its author must mend. A capture that can still reach one of its exporters
    /// is planned for that one in spite of them.
    pub rejections: Vec<Rejection>,
    /// What a person should know of an object that is planned.
    pub warnings: Vec<Warning>,
}

/// Kind of a custom resource.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ObjectKind {
    DlpPolicy,
    Exporter,
    TrafficCapture,
}

/// Compiles every object by itself: a bad one changes nothing for the others, but for captures
/// that name it.
pub fn compile(objects: &Objects) -> Compiled {
    compile_after(objects, &Plan::default())
}

/// The same, and an object whose last edit was refused stays in the plan as it was `before`.
pub fn compile_after(objects: &Objects, before: &Plan) -> Compiled {
    let mut outcomes = Vec::new();
    let policies = policy::compile(objects);
    outcomes.extend(policies.iter().map(|policy| policy.outcome.clone()));

    let mut exporters = BTreeMap::new();
    for exporter in &objects.exporters {
        let key = key_of(&exporter.metadata);
        let mut compiled = exporter::compile(&key, &exporter.spec, objects, &policies);
        let before = found(&before.exporters, &key, |plan| &plan.key);
        last_good::exporter(&mut compiled, before, exporter, objects, &policies);
        outcomes.push(outcome(ObjectKind::Exporter, &key, &compiled));
        exporters.insert(key, compiled.planned);
    }

    let mut captures = BTreeMap::new();
    for capture in &objects.captures {
        let key = key_of(&capture.metadata);
        let uid = capture.metadata.uid.as_deref().unwrap_or_default();
        let mut compiled =
            capture::compile((&key, uid), &capture.spec, objects, &policies, &exporters);
        // An earlier capture of the same name is nothing to fall back on.
        let before = found(&before.captures, &key, |plan| &plan.key).filter(|b| b.uid == uid);
        last_good::capture(&mut compiled, before, capture, objects, &policies, &exporters);
        outcomes.push(outcome(ObjectKind::TrafficCapture, &key, &compiled));
        captures.insert(key, compiled.planned);
    }

    outcomes.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    let mut policies: Vec<PolicyPlan> =
        policies.into_iter().filter_map(|policy| policy.plan).collect();
    policies.sort_by(|a, b| a.key.cmp(&b.key));
    let plan = Plan {
        captures: captures.into_values().flatten().collect::<Vec<CapturePlan>>(),
        exporters: exporters.into_values().flatten().collect::<Vec<ExporterPlan>>(),
        policies,
    };
    Compiled { plan, outcomes }
}

impl Outcome {
    /// The plan has an earlier generation of the object: this one was refused.
    pub fn kept(&self) -> bool {
        let refused = |fault: &Rejection| fault.condition() == weir_api::condition::ACCEPTED;
        self.planned && self.rejections.iter().any(refused)
    }
}

/// What compiling one object gave.
struct Verdict<T> {
    planned: Option<T>,
    rejections: Vec<Rejection>,
    warnings: Vec<Warning>,
}

fn outcome<T>(kind: ObjectKind, key: &ObjectKey, verdict: &Verdict<T>) -> Outcome {
    Outcome {
        kind,
        key: key.clone(),
        planned: verdict.planned.is_some(),
        rejections: verdict.rejections.clone(),
        warnings: verdict.warnings.clone(),
    }
}

/// Plans are in the order of their keys.
fn found<'a, T>(plans: &'a [T], key: &ObjectKey, of: impl Fn(&T) -> &ObjectKey) -> Option<&'a T> {
    plans.binary_search_by(|plan| of(plan).cmp(key)).ok().and_then(|place| plans.get(place))
}

/// Every namespaced object of a server has both; a manifest loader fills them in.
fn key_of(metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
