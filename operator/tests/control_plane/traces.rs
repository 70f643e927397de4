//! The operator's traces of itself, at a real OpenTelemetry Collector.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::world::{Operator, World, until};

/// The Collector, with a file of JSON lines as its store.
struct Collector {
    child: Child,
    /// Of OTLP/gRPC and OTLP/HTTP.
    ports: [u16; 2],
    output: PathBuf,
    _directory: tempfile::TempDir,
}

impl Collector {
    fn start() -> Self {
        let program = std::env::var("WEIR_TEST_OTELCOL")
            .expect("WEIR_TEST_OTELCOL names a collector: run `make test-operator`");
        let directory = tempfile::tempdir().unwrap();
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        let output = directory.path().join("traces.json");
        let config = json!({
            "receivers": {"otlp": {"protocols": {
                "grpc": {"endpoint": format!("127.0.0.1:{}", ports[0])},
                "http": {"endpoint": format!("127.0.0.1:{}", ports[1])}}}},
            "exporters": {"file": {"path": output, "flush_interval": "50ms"}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
            },
        });
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut collector = Command::new(program);
        collector.arg("--config").arg(file).stdin(Stdio::null()).stderr(Stdio::null());
        Self { child: collector.spawn().unwrap(), ports, output, _directory: directory }
    }

    /// Spans that it has, each with its resource.
    fn spans(&self) -> Vec<(Value, Value)> {
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut spans = Vec::new();
        for line in whole {
            let request: Value = serde_json::from_str(line).unwrap();
            for of_resource in request["resourceSpans"].as_array().unwrap() {
                for scope in of_resource["scopeSpans"].as_array().unwrap() {
                    let each = scope["spans"].as_array().unwrap().iter().cloned();
                    spans.extend(each.map(|span| (span, of_resource["resource"].clone())));
                }
            }
        }
        spans
    }

    /// Waits for a span with this name and these attributes; gives it with its resource.
    async fn span(&self, name: &str, attributes: &[(&str, &str)]) -> (Value, Value) {
        let fits = |span: &Value| {
            let has = |(key, value): &(&str, &str)| attribute(span, key).as_deref() == Some(*value);
            span["name"] == name && attributes.iter().all(has)
        };
        self.wait_for(&format!("there is a span {name} with {attributes:?}"), fits).await
    }

    /// Waits for a span that `fits`: the Collector writes a moment after it has answered.
    async fn wait_for(&self, what: &str, fits: impl Fn(&Value) -> bool) -> (Value, Value) {
        let found = || async { self.spans().into_iter().find(|(span, _)| fits(span)) };
        until(what, found).await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Text of an attribute of a span or a resource.
fn attribute(of: &Value, key: &str) -> Option<String> {
    let all = of["attributes"].as_array()?;
    let value = &all.iter().find(|attribute| attribute["key"] == key)?["value"];
    Some(value["stringValue"].as_str().or_else(|| value["intValue"].as_str())?.to_owned())
}

async fn exporters(world: &World) {
    let spec = json!({"otlp": {"endpoint": "http://collector:4318"}});
    world.apply("shop", "Exporter", "good", spec).await;
    let spec = json!({"otlp": {"endpoint": "http://collector:4318"}, "filter": {"drop": ["("]}});
    world.apply("shop", "Exporter", "bad", spec).await;
}

async fn sends(world: &World, operator: Operator, collector: &Collector) {
    exporters(world).await;
    let written =
        [("object.kind", "Exporter"), ("object.namespace", "shop"), ("result", "written")];
    let of = |name| [&written[..], &[("object.name", name)]].concat();
    let (good, resource) = collector.span("write status", &of("good")).await;
    assert_eq!(attribute(&resource, "service.name").as_deref(), Some("weir-operator"));
    assert_eq!(attribute(&resource, "service.instance.id").as_deref(), Some("traced"));
    assert_eq!(good["kind"], 3, "a client's");
    let (bad, _) = collector.span("write status", &of("bad")).await;
    assert_eq!(attribute(&bad, "object.ready").as_deref(), Some("InvalidFilter"));
    // What is left is sent at the end: the last pass of all, too.
    assert!(operator.end().await.success());
    let is_its_pass = |span: &Value| span["spanId"] == bad["parentSpanId"];
    let (pass, _) = collector.wait_for("the pass that wrote it has a span", is_its_pass).await;
    assert_eq!(pass["name"], "reconcile");
    assert_eq!(pass["traceId"], bad["traceId"]);
    assert_eq!(attribute(&pass, "result").as_deref(), Some("done"));
    assert!(attribute(&pass, "exporters").is_some(), "{pass:#}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-operator"]
async fn traces_of_each_pass_and_each_write_arrive_over_http_and_grpc() {
    for (place, protocol) in [(1, "http/protobuf"), (0, "grpc")] {
        let world = World::new().await;
        let collector = Collector::start();
        let endpoint = format!("http://127.0.0.1:{}", collector.ports[place]);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ];
        let operator = world.operator_in("traced", &variables);
        sends(&world, operator, &collector).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-operator"]
async fn a_collector_that_is_away_stops_nothing() {
    let world = World::new().await;
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*away), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let operator = world.operator_in("untraced", &variables);
    exporters(&world).await;
    world.has("shop", "Exporter", "good", &["Ready=True/Ready"]).await;
    world.has("shop", "Exporter", "bad", &["Accepted=False/InvalidFilter"]).await;
    assert!(operator.end().await.success());
}
