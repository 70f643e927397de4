//! What is left when Weir is uninstalled: nothing. Run after every other test of the cluster.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use std::{env, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use weir_e2e::{
    cluster::{WEIR, kubectl},
    process::run,
    wait,
};

/// Tracepoints to which a program named like ours is attached; `bpftool` need not be there.
fn weir_processes() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("list processes")? {
        let path = entry?.path();
        let line = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let program = line.split('\0').next().unwrap_or_default().to_owned();
        let cgroup = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        let ours = ["weir-capture-agent", "weir-forwarder", "weir-operator"];
        if ours.contains(&program.rsplit('/').next().unwrap_or_default())
            && cgroup.contains("kubepods")
        {
            found.push(program);
        }
    }
    Ok(found)
}

#[test]
#[ignore = "needs a cluster with Weir, and uninstalls it"]
fn uninstalling_leaves_nothing() -> Result<()> {
    ensure!(!weir_processes()?.is_empty(), "nothing is installed");
    let helm = env::var("HELM").context("HELM names no program")?;
    let mut uninstall = Command::new(&helm);
    uninstall.args(["uninstall", "weir", "-n", WEIR, "--wait"]);
    run(uninstall)?;
    // The programs in the kernel live as long as the process that holds them.
    wait::until("every process of Weir to end", || {
        weir_processes().ok()?.is_empty().then_some(())
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
    Ok(())
}
