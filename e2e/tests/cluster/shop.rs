//! What the tests share: two services of a namespace, captured into its own collector.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use weir_e2e::{
    cluster::{Namespace, Sent, get, node_status},
    otlp_json::Log,
    wait,
};

/// The namespace's own collector as an exporter, and a capture of all its services.
pub(crate) fn capture_all(namespace: &Namespace) -> Result<()> {
    let collector = namespace.service("collector")?;
    namespace.apply(&format!(
        "apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {{name: collector}}
spec: {{otlp: {{endpoint: 'http://{collector}:4318'}}}}
---
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {{name: orders}}
spec:
  selector: {{matchExpressions: [{{key: app, operator: In, values: [orders-api, orders-web]}}]}}
  direction: Both
  exporters: [{{name: collector}}]
"
    ))
}

/// Waits until the node captures `pods` pods for the captures of this namespace.
pub(crate) fn wait_for_pods(namespace: &Namespace, pods: u64) -> Result<()> {
    wait::until("the node to follow the capture", || {
        let status = node_status().ok()?;
        let captures = status["captures"].as_array()?;
        let of_namespace = captures.iter().find(|c| c["key"]["namespace"] == *namespace.0)?;
        let follows = status["agent"]["hooksAttached"] == true && !status["planRevision"].is_null();
        (follows && of_namespace["matchedPods"] == pods).then_some(())
    })
}

/// Pairs of an order with this prefix, as numbers; of one direction and one service.
pub(crate) fn orders(logs: &[Log], prefix: &str, direction: &str) -> Vec<u64> {
    let path = format!("/orders/{prefix}-");
    let of = logs.iter().filter(|log| log.body["direction"] == direction);
    let locations = of.filter_map(|log| log.body["location"].as_str()?.strip_prefix(&path));
    let mut numbers: Vec<_> = locations.filter_map(|number| number.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

pub(crate) fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

pub(crate) fn went_well(sent: &Sent) -> Result<()> {
    ensure!(sent.requests > 0 && sent.failed == 0, "requests failed: {sent:?}");
    Ok(())
}

/// Conditions of an object as `Type=Status/Reason`, when they are of its present generation.
pub(crate) fn conditions(namespace: &str, kind: &str, name: &str) -> Result<Vec<String>> {
    let object = get(&[kind, name, "-n", namespace])?;
    let status = &object["status"];
    ensure!(status["observedGeneration"] == object["metadata"]["generation"], "not looked at yet");
    let list = status["conditions"].as_array().context("no conditions")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line =
        |c: &Value| format!("{}={}/{}", text(&c["type"]), text(&c["status"]), text(&c["reason"]));
    Ok(list.iter().map(line).collect())
}

/// Waits until an object has all these conditions, written as `Type=Status/Reason`.
pub(crate) fn wait_for_conditions(
    namespace: &str,
    (kind, name): (&str, &str),
    expect: &[&str],
) -> Result<()> {
    let mut last = Vec::new();
    wait::until(&format!("{kind} {name} to have {expect:?}"), || {
        last = conditions(namespace, kind, name).ok()?;
        expect.iter().all(|line| last.iter().any(|found| found == line)).then_some(())
    })
    .with_context(|| format!("it has {last:?}"))
}
