//! What every test begins with: an empty server, a node, and operators to start.

use std::{
    fs::File,
    future::Future,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::{
    api::apps::v1::DaemonSet,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, NamespaceResourceScope, Resource},
};
use serde_json::{Value, json};
use weir_api::v1alpha1::{DlpPolicy, Exporter, TrafficCapture};

use crate::{node::Node, proxy::Proxy};

/// The operator's namespace.
pub(crate) const SYSTEM: &str = "weir-system";
/// Patience, for a machine that does other things too. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) proxy: Proxy,
    pub(crate) node: Node,
    directory: tempfile::TempDir,
}

pub(crate) struct Operator {
    child: Child,
    pub(crate) admin: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let path = std::env::var("WEIR_TEST_KUBECONFIG")
            .expect("WEIR_TEST_KUBECONFIG names a kubeconfig: run `make test-operator`");
        let kubeconfig = Kubeconfig::read_from(path).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let client = Client::try_from(config).unwrap();
        install_crds(&client).await;
        for namespace in [SYSTEM, "shop", "bank", "platform"] {
            apply_namespace(&client, namespace, json!({})).await;
        }
        wipe::<TrafficCapture>(&client).await;
        wipe::<Exporter>(&client).await;
        wipe::<DlpPolicy>(&client).await;
        wipe::<DaemonSet>(&client).await;
        wipe::<Secret>(&client).await;
        wipe::<Pod>(&client).await;
        let leases = ApiResource::erase::<k8s_openapi::api::coordination::v1::Lease>(&());
        let leases = Api::<DynamicObject>::namespaced_with(client.clone(), SYSTEM, &leases);
        drop(leases.delete("weir-operator", &DeleteParams::default()).await);
        let proxy = Proxy::start(client.clone()).await;
        let node = Node::start(client.clone(), SYSTEM).await;
        Self { client, proxy, node, directory: tempfile::tempdir().unwrap() }
    }

    /// Starts an operator that reaches the API server through the proxy.
    pub(crate) fn operator(&self, identity: &str) -> Operator {
        self.operator_with(identity, &[])
    }

    /// The same with more arguments.
    pub(crate) fn operator_with(&self, identity: &str, more: &[&str]) -> Operator {
        self.start(identity, more, &[])
    }

    /// The same in another environment.
    pub(crate) fn operator_in(&self, identity: &str, variables: &[(&str, &str)]) -> Operator {
        self.start(identity, &[], variables)
    }

    fn start(&self, identity: &str, more: &[&str], variables: &[(&str, &str)]) -> Operator {
        let kubeconfig = self.directory.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": self.proxy.url}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "none"}}],
            "users": [{"name": "none", "user": {}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let settings = self.directory.path().join("node.yaml");
        std::fs::write(&settings, "image: weir-node:test\n").unwrap();
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let admin = format!("127.0.0.1:{port}");
        let log = std::env::temp_dir().join(format!("weir-test-{identity}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_weir-operator"))
            .args(["run", "--namespace", SYSTEM, "--identity", identity, "--listen", &admin])
            // A machine that stands still for a while loses no lease.
            .args(["--lease-duration", "120"])
            .args(more)
            .arg("--node-config")
            .arg(settings)
            .env("KUBECONFIG", kubeconfig)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Operator { child, admin }
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Applies an object as a person would, with strict validation.
    pub(crate) async fn apply(&self, namespace: &str, kind: &str, name: &str, spec: Value) {
        self.try_apply(namespace, kind, name, spec).await.unwrap();
    }

    pub(crate) async fn try_apply(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        spec: Value,
    ) -> kube::Result<DynamicObject> {
        let object = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        let params = PatchParams {
            field_validation: Some(kube::api::ValidationDirective::Strict),
            ..PatchParams::apply("person")
        };
        self.untyped(namespace, kind).patch(name, &params, &Patch::Apply(object)).await
    }

    pub(crate) fn untyped(&self, namespace: &str, kind: &str) -> Api<DynamicObject> {
        let resource = match kind {
            "TrafficCapture" => ApiResource::erase::<TrafficCapture>(&()),
            "Exporter" => ApiResource::erase::<Exporter>(&()),
            _ => ApiResource::erase::<DlpPolicy>(&()),
        };
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    pub(crate) async fn object(&self, namespace: &str, kind: &str, name: &str) -> Value {
        json!(self.untyped(namespace, kind).get(name).await.unwrap())
    }

    /// Waits until the object's conditions, written as `Type=Status/Reason`, have all of these.
    pub(crate) async fn has(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        expect: &[&str],
    ) -> Value {
        let api = self.untyped(namespace, kind);
        let mut found = Value::Null;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            found = json!(api.get(name).await.unwrap());
            let lines = lines(&found);
            let current = found["metadata"]["generation"] == found["status"]["observedGeneration"];
            if current && expect.iter().all(|line| lines.iter().any(|found| found == line)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{kind} {namespace}/{name} never had {expect:?}: {found:#}");
    }
}

impl Operator {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As the kernel does when memory is out.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and gives its exit status. The proxy goes on meanwhile.
    pub(crate) async fn end(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the operator does not end");
    }

    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let client =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http::<http_body_util::Empty<bytes::Bytes>>();
        let uri = format!("http://{}/metrics", self.admin).parse().unwrap();
        let body = client.get(uri).await.ok()?.into_body();
        let bytes = http_body_util::BodyExt::collect(body).await.ok()?.to_bytes();
        let text = String::from_utf8(bytes.to_vec()).ok()?;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
        line.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until the answer is there.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain until {what}");
}

pub(crate) fn lines(object: &Value) -> Vec<String> {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    conditions
        .iter()
        .map(|c| format!("{}={}/{}", text(&c["type"]), text(&c["status"]), text(&c["reason"])))
        .collect()
}

pub(crate) async fn apply_namespace(client: &Client, name: &str, labels: Value) {
    let object = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": labels}});
    let api = Api::<Namespace>::all(client.clone());
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.unwrap();
}

/// The CRDs as they are shipped.
pub(crate) async fn install_crds(client: &Client) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for crd in weir_api::crd::all() {
        let name = crd.metadata.name.clone().unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(json!(crd))).await.unwrap();
        until("a CRD is established", || async {
            let crd = api.get(&name).await.unwrap();
            let conditions = crd.status?.conditions?;
            conditions.iter().find(|c| c.type_ == "Established" && c.status == "True").map(|_| ())
        })
        .await;
    }
}

async fn wipe<K>(client: &Client)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    let all = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    for object in all.list(&ListParams::default()).await.unwrap() {
        let namespace = object.metadata.namespace.unwrap();
        if namespace.starts_with("kube-") || namespace == "default" {
            continue;
        }
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &resource);
        drop(api.delete(&object.metadata.name.unwrap(), &now).await);
    }
    until("everything of a kind is gone", || async {
        let left = all.list(&ListParams::default()).await.unwrap().items;
        let left = left.iter().filter_map(|object| object.metadata.namespace.as_deref());
        let mut ours = left.filter(|ns| !ns.starts_with("kube-") && *ns != "default");
        ours.next().is_none().then_some(())
    })
    .await;
}
