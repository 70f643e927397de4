//! Metrics that are pushed say what `/metrics` says, and no capture records their delivery.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use weir_plan::Endpoint;

use super::*;
use crate::{
    MetricsPush,
    testing::{Reply, free_port},
};

/// Soon enough for a test.
const INTERVAL: Duration = Duration::from_millis(50);

fn push_to(url: &str, transport: Transport, interval: Duration) -> MetricsPush {
    MetricsPush {
        endpoint: Endpoint::parse_for(url, transport).unwrap(),
        transport,
        service: Some("weir-test".to_owned()),
        instance: "node-1".to_owned(),
        interval: Some(interval),
    }
}

/// The Collector, with files of JSON lines as its stores.
struct Collector {
    process: Child,
    /// OTLP/gRPC and OTLP/HTTP.
    ports: [u16; 2],
    metrics: PathBuf,
}

impl Collector {
    fn start(folder: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(root.join("e2e/otelcol/build.sh")).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let program = String::from_utf8(built.stdout).unwrap();
        let ports = [free_port(), free_port()];
        let metrics = folder.join("metrics.json");
        let config = json!({
            "receivers": {"otlp": {"protocols": {
                "grpc": {"endpoint": format!("127.0.0.1:{}", ports[0])},
                "http": {"endpoint": format!("127.0.0.1:{}", ports[1])}}}},
            "exporters": {
                "file/metrics": {"path": metrics, "flush_interval": "20ms"},
                "file/logs": {"path": folder.join("logs.json")}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {
                    "metrics": {"receivers": ["otlp"], "exporters": ["file/metrics"]},
                    "logs": {"receivers": ["otlp"], "exporters": ["file/logs"]}}},
        });
        let file = folder.join("config.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(program.trim());
        command.arg("--config").arg(file).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let up = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        assert!(wait_until(Instant::now() + PATIENCE, || ports.iter().all(up)));
        Self { process, ports, metrics }
    }

    fn port(&self, transport: Transport) -> u16 {
        self.ports[usize::from(transport != Transport::Grpc)]
    }

    /// What was pushed last: resource and numbers.
    fn last(&self) -> Option<(Value, Numbers)> {
        let text = fs::read_to_string(&self.metrics).unwrap_or_default();
        let mut whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let request: Value = serde_json::from_str(whole.next_back()?).unwrap();
        let of_resource = &request["resourceMetrics"][0];
        let metrics = of_resource["scopeMetrics"][0]["metrics"].as_array().unwrap();
        Some((of_resource["resource"].clone(), metrics.iter().flat_map(pushed).collect()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A name, as Prometheus has it, and labels.
type Series = (String, BTreeMap<String, String>);
type Numbers = BTreeMap<Series, u64>;

/// As the Collector, and Prometheus' own OTLP receiver, translate it.
fn pushed(metric: &Value) -> Vec<(Series, u64)> {
    let mut name = metric["name"].as_str().unwrap().to_owned();
    if metric["unit"] == "By" {
        name.push_str("_bytes");
    }
    let points = if let Some(sum) = metric.get("sum") {
        assert_eq!(
            (&sum["isMonotonic"], &sum["aggregationTemporality"]),
            (&true.into(), &2.into())
        );
        name.push_str("_total");
        &sum["dataPoints"]
    } else {
        &metric["gauge"]["dataPoints"]
    };
    let row = |point: &Value| {
        let labels = point["attributes"].as_array().into_iter().flatten().map(|label| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&label["key"]), text(&label["value"]["stringValue"]))
        });
        let number = point["asInt"].as_str().unwrap().parse().unwrap();
        ((name.clone(), labels.collect()), number)
    };
    points.as_array().unwrap().iter().map(row).collect()
}

/// What `/metrics` says.
fn scraped(admin: SocketAddr) -> Numbers {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let (series, number) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.strip_suffix("\"}").unwrap_or(labels);
        let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
            let (key, value) = label.split_once("=\"").unwrap();
            (key.to_owned(), value.to_owned())
        });
        ((name.to_owned(), labels.collect()), number.parse().unwrap())
    };
    lines.map(row).collect()
}

fn of(numbers: &Numbers, name: &str, labels: &[(&str, &str)]) -> u64 {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    numbers[&(name.to_owned(), labels.collect())]
}

/// Every exporter's records are in exactly one place.
fn check_balance(numbers: &Numbers) {
    for exporter in ["default/a", "default/held"] {
        let label = [("exporter", exporter)];
        let outcomes = numbers.iter().filter(|((name, labels), _)| {
            name == "forwarder_records_total" && labels["exporter"] == exporter
        });
        let known = outcomes.map(|(_, number)| number).sum::<u64>();
        assert_eq!(
            of(numbers, "forwarder_seen_records_total", &label)
                + of(numbers, "forwarder_recovered_records_total", &label),
            known + of(numbers, "forwarder_queued_records", &label),
            "{exporter}"
        );
    }
}

#[test]
#[ignore = "needs the OpenTelemetry Collector"]
fn the_collector_is_told_what_prometheus_is_told() {
    for transport in [Transport::Http, Transport::Grpc] {
        let folder = tempfile::tempdir().unwrap();
        let collector = Collector::start(folder.path());
        let mut kernel = Kernel::new();
        let url = format!("http://127.0.0.1:{}", collector.port(transport));
        let push = match transport {
            Transport::Http => format!("{url}/v1/metrics"),
            Transport::Grpc => url,
        };
        let forwarder = forwarder(&kernel, |config| {
            config.admin = Some("127.0.0.1:0".parse().unwrap());
            config.metrics_push = Some(push_to(&push, transport, INTERVAL));
        });
        let held = Receiver::start(Speaks::Http1);
        held.script([Reply::Hold]);
        let mut filtered = exporter("a", collector.port(transport), transport);
        let drop = json!({"drop": ["location == '/drop'"]});
        let drop = serde_json::from_value(drop).unwrap();
        filtered.filter = Some(FilterSource::Expressions(drop));
        forwarder.apply(plan(vec![filtered, exporter("held", held.port, Transport::Http)]));
        kernel.open(1, Call::SERVER);
        for path in ["/one", "/drop", "/two"] {
            exchange(&mut kernel, 1, Call::SERVER, path);
        }
        // From here on nothing changes by itself.
        let still = || {
            let ledger = forwarder.ledger();
            let counts = |place: usize| &ledger.exporters[place].counts;
            counts(0).exported == 2 && counts(1).queued + counts(1).in_flight == 3
        };
        assert!(wait_until(Instant::now() + PATIENCE, still), "{:?}", forwarder.ledger());
        let admin = forwarder.admin_address().unwrap();
        let agree = || collector.last().is_some_and(|(_, pushed)| pushed == scraped(admin));
        let agreed = wait_until(Instant::now() + PATIENCE, agree);
        let scraped = scraped(admin);
        let (resource, pushed) = collector.last().expect("nothing was pushed");
        assert!(agreed, "{transport:?}: pushed {pushed:#?}, scraped {scraped:#?}");
        check_balance(&pushed);
        let label = [("exporter", "default/a"), ("outcome", "filtered"), ("reason", "")];
        assert_eq!(of(&pushed, "forwarder_records_total", &label), 1);
        assert_eq!(of(&pushed, "messages_queued", &[]), 3);
        assert!(of(&pushed, "forwarder_queue_bytes", &[("exporter", "default/held")]) > 0);
        for (key, value) in [("service.name", "weir-test"), ("service.instance.id", "node-1")] {
            let expected = json!({"key": key, "value": {"stringValue": value}});
            assert!(resource["attributes"].as_array().unwrap().contains(&expected), "{resource}");
        }
        held.release();
        forwarder.stop().check().unwrap();
    }
}

#[test]
#[ignore = "needs the OpenTelemetry Collector"]
fn the_last_numbers_are_pushed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(folder.path());
    let mut kernel = Kernel::new();
    let url = format!("http://127.0.0.1:{}/v1/metrics", collector.port(Transport::Http));
    let push = push_to(&url, Transport::Http, Duration::from_hours(24));
    let forwarder = forwarder(&kernel, |config| config.metrics_push = Some(push));
    forwarder.apply(plan(vec![exporter("a", collector.port(Transport::Http), Transport::Http)]));
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/one");
    assert!(forwarder.drain(PATIENCE), "{:?}", forwarder.ledger());
    assert!(collector.last().is_none(), "it is not time yet");
    forwarder.stop().check().unwrap();
    assert!(wait_until(Instant::now() + PATIENCE, || collector.last().is_some()));
    let (_, pushed) = collector.last().unwrap();
    let label = [("exporter", "default/a"), ("outcome", "exported"), ("reason", "")];
    assert_eq!(of(&pushed, "forwarder_records_total", &label), 1);
}

#[test]
fn a_push_is_known_as_our_own_wherever_it_is_captured() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let taken = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // The SDK says how long its request is.
        let whole = |request: &[u8]| {
            let text = String::from_utf8_lossy(request).to_ascii_lowercase();
            let (head, _) = text.split_once("\r\n\r\n")?;
            let length = head.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>();
            let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
            (request.len() >= end + length.unwrap()).then_some(())
        };
        while whole(&request).is_none() {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            request.extend(&buffer[..read]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        request
    });
    let (kernel, receiver) = (Kernel::new(), Receiver::start(Speaks::Http1));
    let url = format!("http://{address}/v1/metrics");
    let push = push_to(&url, Transport::Http, INTERVAL);
    let pushing = forwarder(&kernel, |config| config.metrics_push = Some(push));
    let request = taken.join().unwrap();
    drop(pushing);
    assert!(request.starts_with(b"POST /v1/metrics "));
    // At the receiver's end, on another node.
    let mut kernel = Kernel::new();
    let forwarder = forwarder(&kernel, |_| {});
    forwarder.apply(plan(vec![exporter("a", receiver.port, Transport::Http)]));
    kernel.open(1, Call::SERVER);
    kernel.exchange(1, Call::SERVER, &request, &response(b""));
    exchange(&mut kernel, 1, Call::SERVER, "/theirs");
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/theirs"]);
    assert_eq!(forwarder.ledger().node.own_pairs, 1);
}

#[test]
fn a_receiver_of_metrics_that_is_away_stops_nothing() {
    for transport in [Transport::Http, Transport::Grpc] {
        let (mut kernel, receiver) = (Kernel::new(), Receiver::start(Speaks::Http1));
        let url = format!("http://127.0.0.1:{}", free_port());
        let push = push_to(&url, transport, INTERVAL);
        let forwarder = forwarder(&kernel, |config| config.metrics_push = Some(push));
        forwarder.apply(plan(vec![exporter("a", receiver.port, Transport::Http)]));
        kernel.open(1, Call::SERVER);
        exchange(&mut kernel, 1, Call::SERVER, "/one");
        assert!(forwarder.drain(PATIENCE));
        assert_eq!(receiver.locations(), ["/one"]);
        forwarder.stop().check().unwrap();
    }
}
