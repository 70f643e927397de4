//! Pods as far as records name them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A pod of this node.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pod {
    /// As control groups name it: of a static pod the hash of its manifest, else its uid.
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// The object that controls it.
    pub owner: Option<Owner>,
}

/// A controlling owner.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Owner {
    pub kind: String,
    pub name: String,
}

/// Label that a Deployment gives to the pods of each of its ReplicaSets.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Labels that say which application a pod belongs to, the best first.
const APP_LABELS: [&str; 3] = ["app", "app.kubernetes.io/name", "k8s-app"];
/// A CronJob names its Jobs by minutes since the epoch; that has had eight digits since 1989.
const MINUTES_DIGITS: usize = 8;

impl Pod {
    /// Name of the workload that the pod is a replica of: Deployment, StatefulSet, DaemonSet,
    /// CronJob or Job; of a pod without one its own.
    pub fn workload(&self) -> &str {
        let Some(Owner { kind, name }) = &self.owner else { return &self.name };
        let suffix = name.rsplit_once('-');
        match (kind.as_str(), suffix) {
            ("ReplicaSet", Some((deployment, hash)))
                if self.labels.get(TEMPLATE_HASH).is_some_and(|label| label == hash) =>
            {
                deployment
            }
            ("Job", Some((cron_job, minutes)))
                if minutes.len() == MINUTES_DIGITS
                    && minutes.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                cron_job
            }
            // A static pod is owned by its node.
            ("Node", _) => &self.name,
            _ => name,
        }
    }

    /// The application's label; without one the workload's name.
    pub fn app_label(&self) -> &str {
        let label = APP_LABELS.iter().find_map(|label| self.labels.get(*label));
        label.filter(|label| !label.is_empty()).map_or_else(|| self.workload(), String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(owner: Option<(&str, &str)>, labels: &[(&str, &str)]) -> Pod {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let owner =
            owner.map(|(kind, name)| Owner { kind: kind.to_owned(), name: name.to_owned() });
        Pod { name: "pod-0".to_owned(), labels: labels.collect(), owner, ..Pod::default() }
    }

    #[test]
    fn a_workload_is_named_as_people_made_it() {
        let hash = [("pod-template-hash", "6c9f7d5b8")];
        for (owner, labels, name) in [
            (Some(("ReplicaSet", "orders-api-6c9f7d5b8")), &hash[..], "orders-api"),
            // Made by hand: its name only looks like a Deployment's.
            (Some(("ReplicaSet", "orders-api-6c9f7d5b8")), &[], "orders-api-6c9f7d5b8"),
            (Some(("ReplicaSet", "orders")), &hash, "orders"),
            (Some(("StatefulSet", "db-main")), &[], "db-main"),
            (Some(("DaemonSet", "logs")), &[], "logs"),
            (Some(("Job", "report-29384756")), &[], "report"),
            (Some(("Job", "report-2026")), &[], "report-2026"),
            (Some(("Node", "node-0")), &[], "pod-0"),
            (None, &[], "pod-0"),
        ] {
            assert_eq!(pod(owner, labels).workload(), name, "{owner:?} {labels:?}");
        }
    }

    #[test]
    fn the_application_is_its_label_or_the_workload() {
        let owner = Some(("StatefulSet", "db"));
        let name = ("app.kubernetes.io/name", "postgres");
        assert_eq!(pod(owner, &[name, ("app", "orders-db")]).app_label(), "orders-db");
        assert_eq!(pod(owner, &[name]).app_label(), "postgres");
        assert_eq!(pod(owner, &[("app", "")]).app_label(), "db");
    }
}
