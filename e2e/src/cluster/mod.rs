//! A real Kubernetes cluster with Weir installed, and what the tests do with it.
//!
//! `$KUBECONFIG` names the cluster and `$KUBECTL` the program, `kubectl` unless set. Where
//! containers are killed, the node has to be this machine.

mod api_server;
mod node;

use std::{
    env, fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

pub use self::{
    api_server::ApiServer,
    node::{kill_container, node_metrics, node_status, restart_count},
};

use crate::{
    artifacts,
    otlp_json::{self, Log},
    wait,
};

/// Namespace that Weir is installed in.
pub const WEIR: &str = "weir-system";
/// Selects the pods that run on every node.
pub const NODE_PODS: &str = "app.kubernetes.io/name=weir,app.kubernetes.io/component=node";
/// Selects the operator's pods.
pub const OPERATOR_PODS: &str = "app.kubernetes.io/name=weir,app.kubernetes.io/component=operator";

/// Runs `kubectl` and gives its output.
///
/// # Errors
///
/// When it fails; the message has what it said.
pub fn kubectl(arguments: &[&str]) -> Result<String> {
    kubectl_with(arguments, "")
}

/// The same with this standard input.
///
/// # Errors
///
/// As [`kubectl`].
pub fn kubectl_with(arguments: &[&str], input: &str) -> Result<String> {
    let program = env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let mut words = program.split_whitespace();
    let mut child = Command::new(words.next().context("KUBECTL is empty")?)
        .args(words)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start kubectl")?;
    child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl {}: {said}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// What `kubectl get -o json` gives.
///
/// # Errors
///
/// As [`kubectl`].
pub fn get(arguments: &[&str]) -> Result<Value> {
    let output = kubectl(&[&["get", "-o", "json"], arguments].concat())?;
    serde_json::from_str(&output).context("parse what kubectl gave")
}

/// What a pod answers on `GET path`, through the API server.
///
/// # Errors
///
/// When it gives no answer of success.
pub fn ask(namespace: &str, pod: &str, port: u16, path: &str) -> Result<String> {
    kubectl(&[
        "get",
        "--raw",
        &format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"),
    ])
}

/// A namespace of a test; it is deleted with it.
#[derive(Debug)]
pub struct Namespace(pub String);

/// What became of requests that a service made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    pub requests: u64,
    pub failed: u64,
    pub error: String,
}

impl Namespace {
    /// Makes it, with these manifests in it.
    ///
    /// # Errors
    ///
    /// As [`kubectl`].
    pub fn new(name: &str, manifests: &[&str]) -> Result<Self> {
        kubectl_with(
            &["apply", "-f", "-"],
            &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"),
        )?;
        let namespace = Self(name.to_owned());
        for manifest in manifests {
            let path = artifacts::folder().join("manifests").join(manifest);
            namespace.apply(&fs::read_to_string(path).context("read a manifest")?)?;
        }
        Ok(namespace)
    }

    /// Applies manifests in it.
    ///
    /// # Errors
    ///
    /// As [`kubectl`].
    pub fn apply(&self, manifests: &str) -> Result<()> {
        kubectl_with(&["apply", "-n", &self.0, "-f", "-"], manifests)?;
        Ok(())
    }

    /// Waits until every Deployment has all its pods.
    ///
    /// # Errors
    ///
    /// When that does not come about.
    pub fn wait_for_deployments(&self) -> Result<()> {
        kubectl(&[
            "wait",
            "-n",
            &self.0,
            "--for=condition=Available",
            "deployment",
            "--all",
            "--timeout=60s",
        ])?;
        Ok(())
    }

    /// Waits until every Deployment has all its pods, and `web` reaches `api`: the cluster's rules
    /// for a Service follow its pods a moment later.
    ///
    /// # Errors
    ///
    /// When that does not come about.
    pub fn wait_for_shop(&self) -> Result<()> {
        self.wait_for_deployments()?;
        let (web, api) = (self.pod("orders-web")?, self.service("api")?);
        let path = format!("/reach?to={api}:8080");
        wait::until("web to reach api", || ask(&self.0, &web, 8080, &path).ok())?;
        Ok(())
    }

    /// Name of the pod with this application label.
    ///
    /// # Errors
    ///
    /// When there is not exactly one.
    pub fn pod(&self, app: &str) -> Result<String> {
        only_pod(&self.0, &format!("app={app}"))
    }

    /// Address of a Service.
    ///
    /// # Errors
    ///
    /// As [`kubectl`].
    pub fn service(&self, name: &str) -> Result<String> {
        let service = get(&["service", name, "-n", &self.0])?;
        let address = service["spec"]["clusterIP"].as_str().context("no cluster IP")?;
        Ok(address.to_owned())
    }

    /// Lets `web` make `count` requests to `api`.
    ///
    /// # Errors
    ///
    /// When `web` cannot be asked.
    pub fn send(&self, count: u64, prefix: &str) -> Result<Sent> {
        let to = self.service("api")?;
        let path = format!("/send?n={count}&prefix={prefix}&to=http://{to}:8080");
        sent(&ask(&self.0, &self.pod("orders-web")?, 8080, &path)?)
    }

    /// Lets `web` begin to make requests, until [`Self::stop_load`].
    ///
    /// # Errors
    ///
    /// When `web` cannot be asked.
    pub fn start_load(&self, per_second: u64, prefix: &str) -> Result<()> {
        let to = self.service("api")?;
        let path = format!("/start?rate={per_second}&prefix={prefix}&to=http://{to}:8080");
        ask(&self.0, &self.pod("orders-web")?, 8080, &path)?;
        Ok(())
    }

    /// Ends it and says how it went.
    ///
    /// # Errors
    ///
    /// When `web` cannot be asked.
    pub fn stop_load(&self) -> Result<Sent> {
        sent(&ask(&self.0, &self.pod("orders-web")?, 8080, "/stop")?)
    }

    /// File that the collector of this namespace writes, on this machine; to be read when the API
    /// server is not there.
    ///
    /// # Errors
    ///
    /// As [`kubectl`].
    pub fn collector_file(&self) -> Result<PathBuf> {
        let pod = get(&["pod", &self.pod("collector")?, "-n", &self.0])?;
        let uid = pod["metadata"]["uid"].as_str().context("no uid")?;
        let volume = format!("kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/out/records.json");
        Ok(api_server::folder().join("data").join(volume))
    }

    /// What the collector of this namespace has so far.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn collected(&self) -> Result<Vec<Log>> {
        let pod = self.pod("collector")?;
        let text = kubectl(&["exec", "-n", &self.0, &pod, "--", "/bin/cat", "/out/records.json"])?;
        otlp_json::parse(&text)
    }

    /// Waits until the collector has what `enough` asks for.
    ///
    /// # Errors
    ///
    /// When that does not come about.
    pub fn wait_for(&self, what: &str, mut enough: impl FnMut(&[Log]) -> bool) -> Result<Vec<Log>> {
        wait::until(what, || self.collected().ok().filter(|logs| enough(logs)))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure shows when the next run finds the namespace.
        kubectl(&["delete", "namespace", &self.0, "--wait=false"]).ok();
    }
}

fn sent(answer: &str) -> Result<Sent> {
    let answer: Value = serde_json::from_str(answer).context("parse the answer of web")?;
    Ok(Sent {
        requests: answer["requests"].as_u64().context("no number of requests")?,
        failed: answer["failed"].as_u64().context("no number of failures")?,
        error: answer["error"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Name of the only running pod that a selector selects.
///
/// # Errors
///
/// When there is none, or several.
pub fn only_pod(namespace: &str, selector: &str) -> Result<String> {
    let pods =
        get(&["pods", "-n", namespace, "-l", selector, "--field-selector=status.phase=Running"])?;
    let pods: Vec<_> = pods["items"]
        .as_array()
        .context("no list of pods")?
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .map(str::to_owned)
        .collect();
    match <[String; 1]>::try_from(pods) {
        Ok([pod]) => Ok(pod),
        Err(pods) => bail!("{} pods in {namespace} with {selector}: {pods:?}", pods.len()),
    }
}

/// Lets time pass in which something must not happen, or a load has to run.
pub fn let_pass(time: Duration) {
    thread::sleep(time);
}
