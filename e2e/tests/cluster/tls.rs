//! What pods say to each other over TLS is read by an agent with the chart's capabilities and no
//! more, and what cannot be read is told on the capture.

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use weir_e2e::{
    cluster::{Namespace, kubectl},
    otlp_json::Log,
};

use crate::shop::{all, orders, wait_for_conditions};

const REQUESTS: u64 = 50;

/// A capture of the pods with this application label.
fn capture(name: &str, app: &str) -> String {
    format!(
        "{{apiVersion: weir.dev/v1alpha1, kind: TrafficCapture, metadata: {{name: {name}}}, spec: {{
            selector: {{matchLabels: {{app: {app}}}}}, direction: Both,
            exporters: [{{name: collector}}]}}}}"
    )
}

/// Runs a command in the pod of this application.
fn run_in(tenant: &Namespace, app: &str, command: &[&str]) -> Result<String> {
    let pod = tenant.pod(app)?;
    kubectl(&[&["exec", "-n", &tenant.0, &pod, "--"], command].concat())
}

/// Whether the record has the body that nginx sent.
fn is_whole(log: &Log) -> bool {
    let path = log.body["location"].as_str().unwrap_or_default();
    let expect = STANDARD.encode(format!("order {path}\n"));
    log.body["http"]["res"]["bodyBase64"] == expect && log.body["status"] == "200"
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn https_between_pods_is_read_and_what_is_opaque_is_told() -> Result<()> {
    let tenant = Namespace::new("e2e-tls", &["tls.yaml", "collector.yaml"])?;
    tenant.wait_for_deployments()?;
    let (api, collector) = (tenant.service("api")?, tenant.service("collector")?);
    tenant.apply(&format!(
        "{{apiVersion: weir.dev/v1alpha1, kind: Exporter, metadata: {{name: collector}}, spec: {{
            otlp: {{endpoint: 'http://{collector}:4318'}}}}}}"
    ))?;
    for (name, app) in [("server", "tls-api"), ("client", "tls-curl"), ("opaque", "tls-own")] {
        tenant.apply(&capture(name, app))?;
        let expect = ["Ready=True/Ready", "TLSCoverage=Unknown/NoTLS"];
        wait_for_conditions(&tenant.0, ("trafficcapture", name), &expect)?;
    }
    // One process and one connection.
    let url = format!("https://{api}:8443/orders/a-[0-{}]", REQUESTS - 1);
    let answers = run_in(&tenant, "tls-curl", &["curl", "--silent", "--insecure", &url])?;
    ensure!(answers.lines().count() == 50, "{answers}");
    let logs = tenant.wait_for("what both sides read", |logs| {
        ["IN", "OUT"].into_iter().all(|direction| orders(logs, "a", direction).len() >= 50)
    })?;
    for direction in ["IN", "OUT"] {
        let found = orders(&logs, "a", direction);
        ensure!(found == all(REQUESTS), "{direction}: {found:?}");
    }
    let broken = logs.iter().find(|log| !is_whole(log));
    ensure!(broken.is_none(), "{:?}", broken.map(|log| &log.body));
    for name in ["server", "client"] {
        wait_for_conditions(&tenant.0, ("trafficcapture", name), &["TLSCoverage=True/Full"])?;
    }

    let url = format!("https://{api}:8443/orders/own-0");
    let wget = ["wget", "-q", "-O", "-", "--no-check-certificate", &*url];
    ensure!(run_in(&tenant, "tls-own", &wget)? == "order /orders/own-0\n");
    let opaque = ["TLSCoverage=False/Opaque", "Ready=True/Ready"];
    wait_for_conditions(&tenant.0, ("trafficcapture", "opaque"), &opaque)?;
    // The server reads what this client cannot be read saying.
    let logs = tenant.wait_for("the server's side", |logs| orders(logs, "own", "IN").len() == 1)?;
    ensure!(orders(&logs, "own", "OUT").is_empty());

    // Another capture of the same name tells of what it sees itself.
    kubectl(&["delete", "trafficcapture", "opaque", "-n", &tenant.0])?;
    tenant.apply(&capture("opaque", "tls-own"))?;
    wait_for_conditions(&tenant.0, ("trafficcapture", "opaque"), &["TLSCoverage=Unknown/NoTLS"])?;
    Ok(())
}
