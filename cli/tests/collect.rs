//! `weir collect` as users run it: real senders over loopback, real files, real signals.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

mod support;

use std::{fs, path::Path, process::Stdio};

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    common::v1::{AnyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};
use prost::Message as _;
use rustix::process::Signal;
use serde_json::Value;
use support::{
    Collect, GOLDEN, GZIP, JSON, PROTOBUF, document, files, gzip, http, post, request, weir,
};

fn golden_records() -> Vec<Value> {
    let mut records: Vec<Value> = files(&Path::new(GOLDEN).join("snapshot-tree"))
        .iter()
        .filter(|path| !path.ends_with(".metadata/snapshot.json"))
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .collect();
    // Two share their time; the one that came last counts as the newer, instance 0.
    records.sort_by_key(|record| {
        std::cmp::Reverse(record["signature"]["instance"].as_str().unwrap().to_owned())
    });
    records
}

/// A log record that is none of ours.
fn foreign_request() -> ExportLogsServiceRequest {
    let text = any_value::Value::StringValue("GET / 200".to_owned());
    let record = LogRecord { body: Some(AnyValue { value: Some(text) }), ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() }],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn golden_records_over_grpc_give_the_golden_files() {
    let mut collect = Collect::start(&[]);
    collect.send(request("dev-east", &golden_records())).await.unwrap();
    let ended = collect.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);

    let golden = Path::new(GOLDEN).join("snapshot-tree");
    let snapshot = fs::read_dir(collect.out_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| !path.ends_with(".metadata"))
        .unwrap();
    let theirs = golden.join("snapshot-11111111-2222-4333-8444-555555555555");
    let relative = |root: &Path| -> Vec<_> {
        files(root).iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
    };
    assert_eq!(relative(&snapshot), relative(&theirs));
    for path in relative(&theirs) {
        let read = |root: &Path| -> Value {
            serde_json::from_slice(&fs::read(root.join(&path)).unwrap()).unwrap()
        };
        assert_eq!(read(&snapshot), read(&theirs), "{}", path.display());
    }

    let metadata = collect.metadata();
    let id = metadata["id"].as_str().unwrap();
    assert_eq!(snapshot.file_name().unwrap().to_str().unwrap(), format!("snapshot-{id}"));
    let (short, _) = id.split_once('-').unwrap();
    assert_eq!(metadata["name"], format!("weir-collect-{short}"));
    assert_eq!(metadata["source"], "otlp");
    assert_eq!(metadata["rrpairCount"], 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_summary_is_that_of_a_gather_script() {
    let mut collect = Collect::start(&["--quiet"]);
    collect.send(request("dev-east", &golden_records())).await.unwrap();
    let ended = collect.stop();
    let snapshot = format!("snapshot-{}", collect.metadata()["id"].as_str().unwrap());
    let expected = format!(
        "wrote 6 RRPairs to {}\n        2  orders-api\n        1  pay.example.net\n        \
         1  rocket-api\n        1  stock\n        1  unknown-host\n\n\
         replay with:  proxymock mock --in {}\n",
        collect.out_dir().join(snapshot).display(),
        collect.out_dir().display(),
    );
    assert_eq!(ended.stdout, expected);
}

#[test]
fn protobuf_over_http_is_taken_plain_and_gzipped() {
    let mut collect = Collect::start(&["--quiet"]);
    let body = |number| request("dev", &[document(number, "a", "/")]).encode_to_vec();
    let plain = post(&collect, &[PROTOBUF], &body(1));
    let zipped = post(&collect, &[PROTOBUF, GZIP], &gzip(&body(2)));
    for answer in [plain, zipped] {
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-type: application/x-protobuf"), "{}", answer.head);
        let response = ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap();
        assert_eq!(response.partial_success, None);
    }
    assert_eq!(collect.stop().status.code(), Some(0));
    assert_eq!(collect.records().len(), 2);
}

#[test]
fn the_golden_json_request_gives_the_golden_record() {
    let mut collect = Collect::start(&["--quiet"]);
    let body = fs::read(Path::new(GOLDEN).join("http-get-200.otlp.json")).unwrap();
    let answer = post(&collect, &["Content-Type: application/json; charset=utf-8"], &body);
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert_eq!(collect.stop().status.code(), Some(0));
    let golden = fs::read(Path::new(GOLDEN).join("http-get-200.json")).unwrap();
    let mut golden: Value = serde_json::from_slice(&golden).unwrap();
    golden["signature"]["instance"] = "MA==".into();
    assert_eq!(collect.records(), [golden]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pair_is_on_disk_when_its_sender_is_answered() {
    let collect = Collect::start(&["--quiet"]);
    collect.send(request("dev", &[document(1, "a", "/")])).await.unwrap();
    assert_eq!(collect.records().len(), 1); // still running
    assert_eq!(collect.metadata()["rrpairCount"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_that_are_no_rrpairs_are_refused_by_name_on_both_ports() {
    let mut collect = Collect::start(&["--quiet"]);
    let over_grpc = collect.send(foreign_request()).await.unwrap();
    let answer = post(&collect, &[PROTOBUF], &foreign_request().encode_to_vec());
    let over_http = ExportLogsServiceResponse::decode(answer.body.as_slice()).unwrap();
    for response in [over_grpc, over_http] {
        let partial = response.partial_success.unwrap();
        assert_eq!(partial.rejected_log_records, 1);
        assert!(partial.error_message.contains("body that is no kvlist"), "{partial:?}");
    }
    let ended = collect.stop();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.contains("2 log records came, none of them an RRPair"));
    assert!(!ended.stderr.contains("GET / 200"), "the log holds a captured byte");
}

#[test]
fn nothing_received_is_exit_1_with_a_hint_and_no_directory() {
    let mut collect = Collect::start(&[]);
    let ended = collect.stop();
    assert_eq!(ended.status.code(), Some(1));
    let mut lines = ended.stdout.lines();
    assert_eq!(lines.next(), Some("no traffic matched filter; nothing written."));
    assert!(lines.next().unwrap().starts_with("hint: "));
    assert!(!collect.out_dir().exists());
}

#[test]
fn sigterm_and_the_time_limit_end_it_too() {
    let mut collect = Collect::start(&[]);
    collect.signal(Signal::TERM);
    assert_eq!(collect.wait().status.code(), Some(1));
    assert_eq!(Collect::start(&["--for", "1ms"]).wait().status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_limit_ends_the_run_and_refuses_what_is_over_it() {
    let mut collect = Collect::start(&["--quiet", "--limit", "2"]);
    let documents = [1, 2, 3].map(|number| document(number, "a", "/"));
    let response = collect.send(request("dev", &documents)).await.unwrap();
    assert_eq!(response.partial_success.unwrap().rejected_log_records, 1);
    let ended = collect.wait(); // no signal
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("wrote 2 RRPairs to "), "{}", ended.stdout);
    assert_eq!(collect.records().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_line_is_printed_per_pair_and_obeys_no_captured_byte() {
    let mut collect = Collect::start(&[]);
    let mut evil = document(1, "evil\x1b[2J", "/api/rocket?id=a\x7fb%7F\u{9b}");
    evil["service"] = "\x1b]0;owned\x07".into();
    collect.send(request("dev", &[evil])).await.unwrap();
    let line = collect.line();
    assert_eq!(
        line,
        "10:00:01.000Z → IN   \\x1b]0;owned\\x07  GET    evil\\x1b[2J/api/rocket?id=a\\x7fb%7F\\x9b  \
         200  3 ms  0 B → 0 B  (%7F is \\x7f, DEL)\n"
    );
    let ended = collect.stop();
    assert!(!ended.stdout.replace('\n', "").chars().any(char::is_control), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_terminal_that_nobody_reads_holds_no_sender_back() {
    const PAIRS: u32 = 1_600; // more lines than a pipe and the queue hold
    let mut collect = Collect::start(&["--limit", &PAIRS.to_string()]);
    let mut client = collect.client().await;
    let long = "/a".repeat(90);
    for batch in 0..PAIRS / 100 {
        let numbers = batch * 100..batch * 100 + 100;
        let documents: Vec<_> = numbers.map(|number| document(number, "a", &long)).collect();
        client.export(request("dev", &documents)).await.unwrap();
    }
    assert_eq!(collect.wait_unread().code(), Some(0));
    assert_eq!(collect.metadata()["rrpairCount"], PAIRS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_disk_asks_the_sender_to_try_again_and_recovers() {
    let mut collect = Collect::start(&["--quiet"]);
    let blocker = collect.out_dir().join(".metadata"); // a file where a directory must go
    fs::write(&blocker, "").unwrap();
    let pair = || request("dev", &[document(1, "a", "/")]);
    let status = collect.send(pair()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(post(&collect, &[PROTOBUF], &pair().encode_to_vec()).status, 503);
    fs::remove_file(&blocker).unwrap();
    collect.send(pair()).await.unwrap();
    assert_eq!(collect.stop().status.code(), Some(0));
    assert_eq!(collect.records().len(), 1);
}

#[test]
fn a_taken_port_is_exit_2_with_the_way_out() {
    let first = Collect::start(&[]);
    let out = tempfile::tempdir().unwrap();
    let second = weir()
        .args(["collect", "--listen-http", "127.0.0.1:0", "--listen-grpc", &first.grpc])
        .arg("--out-dir")
        .arg(out.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    let stderr = String::from_utf8(second.stderr).unwrap();
    let expected = format!("weir: listen on {} for OTLP/gRPC", first.grpc);
    assert!(stderr.starts_with(&expected) && stderr.contains("--listen-grpc"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn otlp_http_on_the_grpc_port_is_told_where_to_go() {
    let mut collect = Collect::start(&[]);
    let body = request("dev", &[document(1, "a", "/")]).encode_to_vec();
    let answer = http(&collect.grpc, "POST /v1/logs", &[PROTOBUF], &body);
    assert_eq!(answer.status, 421);
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(said.contains(&format!("OTLP/HTTP is at {}", collect.http)), "{said}");
    let http = collect.http.clone();
    let ended = collect.stop();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("this port speaks OTLP/gRPC, the request is OTLP/HTTP"));
    assert!(ended.stdout.contains("came to the wrong port") && ended.stdout.contains(&http));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn grpc_on_the_http_port_is_told_where_to_go() {
    use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
    let mut collect = Collect::start(&[]);
    let mut client = LogsServiceClient::connect(format!("http://{}", collect.http)).await.unwrap();
    let status = client.export(request("dev", &[document(1, "a", "/")])).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(
        status.message().contains(&format!("OTLP/gRPC is at {}", collect.grpc)),
        "{}",
        status.message()
    );
    let ended = collect.stop();
    assert!(ended.stderr.contains("this port speaks OTLP/HTTP, the request is OTLP/gRPC"));
}

#[test]
fn a_tls_hello_is_named_in_the_log() {
    use std::io::{Read as _, Write as _};
    let mut collect = Collect::start(&[]);
    let mut stream = std::net::TcpStream::connect(&collect.http).unwrap();
    stream.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok(); // closed or reset: both say no
    assert_eq!(answer, b"");
    let ended = collect.stop();
    assert!(ended.stderr.contains("a TLS handshake arrived"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_over_the_limit_is_refused_before_and_after_decompression() {
    let mut collect = Collect::start(&["--max-request-bytes", "10000"]);
    let bomb = vec![0; 1 << 20];
    assert_eq!(post(&collect, &[PROTOBUF], &bomb).status, 413);
    assert_eq!(post(&collect, &[PROTOBUF, GZIP], &gzip(&bomb)).status, 413);
    let large = request("dev", &[document(1, "a", &"/".repeat(100_000))]);
    let status = collect.send(large).await.unwrap_err();
    assert!(
        matches!(status.code(), tonic::Code::OutOfRange | tonic::Code::ResourceExhausted),
        "{status:?}"
    );
    assert_eq!(collect.stop().status.code(), Some(1));
}

#[test]
fn what_is_no_otlp_is_refused_by_name() {
    let mut collect = Collect::start(&[]);
    let status = |headers: &[&str], body: &[u8]| post(&collect, headers, body).status;
    assert_eq!(status(&["Content-Type: text/plain"], b"x"), 415);
    assert_eq!(status(&[PROTOBUF, "Content-Encoding: br"], b"x"), 415);
    assert_eq!(status(&[PROTOBUF, GZIP], b"no gzip"), 400);
    assert_eq!(status(&[PROTOBUF], b"\xff\xff\xff"), 400);
    assert_eq!(status(&[JSON], b"{\"resourceLogs\": 7}"), 400);
    assert_eq!(http(&collect.http, "POST /v1/traces", &[PROTOBUF], b"").status, 404);
    assert_eq!(http(&collect.http, "GET /v1/logs", &[], b"").status, 405);
    assert_eq!(collect.stop().status.code(), Some(1));
}
