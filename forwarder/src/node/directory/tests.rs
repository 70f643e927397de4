use weir_plan::{Plan, TlsMode};

use super::*;
use crate::{
    Completion,
    testing::{capture, key},
};

fn pod(uid: &str, namespace: &str) -> Pod {
    Pod {
        uid: uid.to_owned(),
        namespace: namespace.to_owned(),
        name: format!("{uid}-0"),
        ..Pod::default()
    }
}

/// Captures of everything in the namespace `default`.
fn live(names: &[&str]) -> LiveCaptures {
    let captures = names.iter().map(|name| capture(name, &[])).collect();
    Completion::default().live(&Plan { captures, ..Plan::default() })
}

fn directory() -> Directory {
    let directory = Directory::new(Some(("default".to_owned(), "weir-0".to_owned())));
    directory.follow(live(&["all"]));
    directory
}

fn uids(uids: &[&str]) -> BTreeSet<String> {
    uids.iter().map(|&uid| uid.to_owned()).collect()
}

#[test]
fn pods_of_the_captures_namespace_are_targets_except_our_own() {
    let directory = directory();
    let pods = vec![pod("shop", "default"), pod("else", "other"), pod("weir", "default")];
    assert!(!directory.take(PodNews::All(pods)), "nobody was known before");
    assert_eq!(directory.targets(), uids(&["shop"]));
    assert_eq!(directory.matched(), BTreeMap::from([(key("all"), 1)]));
    let workload = directory.workload("shop").unwrap();
    assert_eq!((&*workload.pod_name, &*workload.namespace), ("shop-0", "default"));
    assert_eq!(workload.captures, [key("all")]);
    assert!(directory.workload("else").is_none() && directory.workload("weir").is_none());
}

#[test]
fn pods_that_no_capture_decrypts_are_named() {
    let directory = directory();
    directory.take(PodNews::All(vec![pod("shop", "default")]));
    assert_eq!(directory.undisclosed(&directory.targets()), uids(&[]));
    let mut ignoring = capture("all", &[]);
    ignoring.tls = TlsMode::Ignore;
    let plan = |captures| Plan { captures, ..Plan::default() };
    directory.follow(Completion::default().live(&plan(vec![ignoring.clone()])));
    assert_eq!(directory.undisclosed(&directory.targets()), uids(&["shop"]));
    // One that wants it is enough.
    directory.follow(Completion::default().live(&plan(vec![ignoring, capture("two", &[])])));
    assert_eq!(directory.undisclosed(&directory.targets()), uids(&[]));
}

#[test]
fn a_deleted_pod_is_no_target_but_known_for_a_while() {
    let directory = directory();
    directory.take(PodNews::Applied(pod("shop", "default")));
    directory.take(PodNews::Gone("shop".to_owned()));
    directory.take(PodNews::Gone("shop".to_owned()));
    assert_eq!(directory.targets(), uids(&[]));
    assert!(directory.workload("shop").is_some() && directory.matched().is_empty());
    for number in 0..REMEMBERED {
        directory.take(PodNews::Applied(pod(&number.to_string(), "default")));
        directory.take(PodNews::Gone(number.to_string()));
    }
    assert!(directory.workload("shop").is_none());
    assert!(directory.workload("0").is_some());
}

#[test]
fn a_list_ends_the_pods_that_are_not_in_it() {
    let directory = directory();
    directory.take(PodNews::All(vec![pod("a", "default"), pod("b", "default")]));
    directory.take(PodNews::All(vec![pod("b", "default"), pod("c", "default")]));
    assert_eq!(directory.targets(), uids(&["b", "c"]));
    assert_eq!(directory.pods().len(), 2);
}

#[test]
fn another_answer_about_a_known_pod_is_told() {
    let directory = directory();
    directory.take(PodNews::Applied(pod("a", "default")));
    assert!(!directory.take(PodNews::Applied(pod("a", "default"))));
    let mut labelled = pod("a", "default");
    labelled.labels.insert("app".to_owned(), "shop".to_owned());
    assert!(directory.take(PodNews::Applied(labelled)));
    assert_eq!(directory.workload("a").unwrap().app_label, "shop");
    assert!(directory.follow(live(&["all", "two"])));
    assert!(!directory.follow(live(&["all", "two"])));
    assert_eq!(directory.targets_of(&live(&[])), uids(&[]));
    assert_eq!(directory.targets(), uids(&["a"]));
    assert!(directory.follow(live(&[])));
    assert_eq!(directory.targets(), uids(&[]));
}
