//! What is left when Weir is uninstalled: nothing. Run after every other test of the cluster.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use aya::programs::loaded_programs;
use weir_e2e::{
    cluster::{Namespace, WEIR, get, kubectl},
    process::run,
    wait,
};

/// Processes of Weir that run in pods of this machine, with their folders in `/proc`.
fn weir_processes() -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("list processes")? {
        let path = entry?.path();
        let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let program = line.split('\0').next().unwrap_or_default().to_owned();
        let program = program.rsplit('/').next().unwrap_or_default().to_owned();
        let cgroup = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        let ours = ["weir-capture-agent", "weir-forwarder", "weir-operator"];
        if ours.contains(&&*program) && cgroup.contains("kubepods") {
            found.push((program, path));
        }
    }
    Ok(found)
}

/// Numbers of the kernel's programs that these processes hold.
fn programs_of(processes: &[(String, PathBuf)]) -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    for (_, path) in processes {
        for entry in fs::read_dir(path.join("fdinfo")).context("list descriptors")? {
            let info = fs::read_to_string(entry?.path()).unwrap_or_default();
            let id = info.lines().find_map(|line| line.strip_prefix("prog_id:"));
            ids.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
        }
    }
    Ok(ids)
}

/// Numbers of all programs that the kernel has.
fn programs_of_the_kernel() -> Result<BTreeSet<u32>> {
    loaded_programs().map(|program| Ok(program.context("list programs")?.id())).collect()
}

#[test]
#[ignore = "needs a cluster with Weir, and uninstalls it"]
fn uninstalling_leaves_nothing() -> Result<()> {
    // Objects of a tenant, which must not keep anything from going.
    let tenant = Namespace::new("e2e-left", &[])?;
    tenant.apply(
        "apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {name: e}
spec: {otlp: {endpoint: 'http://127.0.0.1:4318'}}
---
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {name: c}
spec: {selector: {}, exporters: [{name: e}]}
",
    )?;
    wait::until("the operator to look at it", || {
        let capture = get(&["trafficcapture", "c", "-n", &tenant.0]).ok()?;
        capture["status"]["observedGeneration"].as_u64()
    })?;
    let processes = weir_processes()?;
    ensure!(processes.len() == 3, "not everything is installed: {processes:?}");
    let programs = programs_of(&processes)?;
    ensure!(programs.is_subset(&programs_of_the_kernel()?), "programs that are not there");
    ensure!(!programs.is_empty(), "no process of Weir holds a program");
    let helm = env::var("HELM").context("HELM names no program")?;
    let mut uninstall = Command::new(&helm);
    uninstall.args(["uninstall", "weir", "-n", WEIR, "--wait"]);
    run(uninstall)?;
    wait::until("every process of Weir to end", || {
        weir_processes().ok()?.is_empty().then_some(())
    })?;
    wait::until("the kernel to be without Weir's programs", || {
        programs_of_the_kernel().ok()?.is_disjoint(&programs).then_some(())
    })?;
    for kind in
        ["daemonset", "deployment", "serviceaccount", "role", "rolebinding", "networkpolicy"]
    {
        let left = kubectl(&["get", kind, "-n", WEIR, "-o", "name"])?;
        let left: Vec<_> = left.lines().filter(|name| !name.ends_with("/default")).collect();
        ensure!(left.is_empty(), "{left:?} are left");
    }
    for kind in ["clusterrole", "clusterrolebinding"] {
        let left = kubectl(&["get", kind, "-o", "name"])?;
        ensure!(!left.contains("weir"), "{left}");
    }
    let plan = kubectl(&["get", "secret", "-n", WEIR, "-o", "name", "--ignore-not-found"])?;
    ensure!(!plan.contains("weir-plan"), "the plan is left");
    // What tenants have stays until they delete it, and then it goes: the definitions too.
    for kind in ["trafficcapture/c", "exporter/e"] {
        let left =
            kubectl(&["get", kind, "-n", &tenant.0, "-o", "jsonpath={.metadata.finalizers}"])?;
        ensure!(left.is_empty(), "{kind} has finalizers: {left}");
        kubectl(&["delete", kind, "-n", &tenant.0, "--timeout=20s"])?;
    }
    let mut uninstall = Command::new(&helm);
    uninstall.args(["uninstall", "weir-crds", "-n", WEIR, "--wait"]);
    run(uninstall)?;
    wait::until("the definitions to be gone", || {
        let left = kubectl(&["get", "crd", "-o", "name"]).ok()?;
        (!left.contains("weir.dev")).then_some(())
    })?;
    Ok(())
}
