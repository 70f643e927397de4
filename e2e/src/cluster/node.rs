//! The node's part of Weir: what it says of itself, and how its containers are killed.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{NODE_PODS, WEIR, ask, get, only_pod};
use crate::wait;

/// `GET /status` of the node's forwarder.
///
/// # Errors
///
/// When it cannot be asked.
pub fn node_status() -> Result<Value> {
    let pod = only_pod(WEIR, NODE_PODS)?;
    serde_json::from_str(&ask(WEIR, &pod, 9464, "/status")?).context("parse the status")
}

/// The metrics of the node's forwarder, by name with labels.
///
/// # Errors
///
/// When it cannot be asked.
pub fn node_metrics() -> Result<BTreeMap<String, f64>> {
    let pod = only_pod(WEIR, NODE_PODS)?;
    let text = ask(WEIR, &pod, 9464, "/metrics")?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect())
}

/// How often a container of a pod that is ready has been started again.
///
/// # Errors
///
/// When it is not ready, or not there.
pub fn restart_count(pod: &str, container: &str) -> Result<u64> {
    let found = get(&["pod", pod, "-n", WEIR])?;
    let containers = found["status"]["containerStatuses"].as_array().cloned();
    let of_name = containers.unwrap_or_default().into_iter().find(|s| s["name"] == container);
    let status = of_name.context("no such container")?;
    ensure!(status["ready"] == true, "not ready");
    status["restartCount"].as_u64().context("no restart count")
}

/// Kills the main process of a container of a pod, and waits until it runs again.
///
/// # Errors
///
/// When there is no such process on this machine, or it does not come back.
pub fn kill_container(pod: &str, container: &str, program: &str) -> Result<Duration> {
    let before = restart_count(pod, container)?;
    let uid = get(&["pod", pod, "-n", WEIR])?["metadata"]["uid"].clone();
    let uid = uid.as_str().context("no uid")?.to_owned();
    let pid = process_of(&uid, program)?;
    let killed = Instant::now();
    kill_process(pid, Signal::KILL).context("kill the container's process")?;
    wait::until("the container's restart", || {
        restart_count(pod, container).ok().filter(|now| *now > before)
    })?;
    Ok(killed.elapsed())
}

/// The process of a pod that runs `program`.
fn process_of(pod_uid: &str, program: &str) -> Result<Pid> {
    for entry in fs::read_dir("/proc").context("list processes")? {
        let path = entry?.path();
        let read = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        let first = read("cmdline").split('\0').next().unwrap_or_default().to_owned();
        if first.rsplit('/').next() == Some(program)
            && read("cgroup").replace('_', "-").contains(pod_uid)
        {
            let pid = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            return pid.and_then(Pid::from_raw).context("a process without a number");
        }
    }
    bail!("no {program} of the pod {pod_uid} on this machine")
}
