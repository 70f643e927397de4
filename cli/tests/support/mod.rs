//! `weir collect` as a process, and senders for it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_client::LogsServiceClient,
};
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tonic::{Status, codec::CompressionEncoding, transport::Channel};
use weir_rrpair::{Redacted, json, otlp};

pub(crate) const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/contract/golden");

/// A running `weir collect` on ports of the system's choice.
pub(crate) struct Collect {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) grpc: String,
    pub(crate) http: String,
    folder: tempfile::TempDir,
}

/// What a run said and how it ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Collect {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut child = weir()
            .args(["collect", "--listen-grpc", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"])
            .arg("--out-dir")
            .arg(&out)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = |start: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.strip_prefix(start).expect(&line).trim_end().to_owned()
        };
        let grpc = address("listening for OTLP/gRPC on ");
        let http = address("listening for OTLP/HTTP on ");
        Self { child, stdout, grpc, http, folder }
    }

    pub(crate) fn out_dir(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// One line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Interrupts it and waits.
    pub(crate) fn stop(&mut self) -> Ended {
        self.signal(Signal::INT);
        self.wait()
    }

    /// Waits for an end that is under way.
    pub(crate) fn wait(&mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ended { status: self.child.wait().unwrap(), stdout, stderr }
    }

    /// Waits without reading what it prints.
    pub(crate) fn wait_unread(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) async fn client(&self) -> LogsServiceClient<Channel> {
        let client = LogsServiceClient::connect(format!("http://{}", self.grpc)).await.unwrap();
        client.send_compressed(CompressionEncoding::Gzip)
    }

    /// Sends over gRPC with gzip.
    pub(crate) async fn send(
        &self,
        request: ExportLogsServiceRequest,
    ) -> Result<ExportLogsServiceResponse, Status> {
        self.client().await.export(request).await.map(tonic::Response::into_inner)
    }

    /// The records on disk, in the order of their paths.
    pub(crate) fn records(&self) -> Vec<Value> {
        files(&self.out_dir())
            .iter()
            .filter(|path| !path.ends_with(".metadata/snapshot.json"))
            .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
            .collect()
    }

    pub(crate) fn metadata(&self) -> Value {
        let path = self.out_dir().join(".metadata/snapshot.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

impl Drop for Collect {
    fn drop(&mut self) {
        self.child.kill().ok(); // it has ended in most tests
        self.child.wait().ok();
    }
}

pub(crate) fn weir() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.env_remove("WEIR_LOG");
    command
}

/// All files below `directory`, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One answer over HTTP/1.1.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Sends one request and reads until the server closes.
pub(crate) fn http(address: &str, method_and_path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut head = format!("{method_and_path} HTTP/1.1\r\nHost: c\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    head.push_str(&length);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).ok(); // a refused body may meet a closed connection
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

pub(crate) const PROTOBUF: &str = "Content-Type: application/x-protobuf";
pub(crate) const JSON: &str = "Content-Type: application/json";
pub(crate) const GZIP: &str = "Content-Encoding: gzip";

pub(crate) fn post(collect: &Collect, headers: &[&str], body: &[u8]) -> Answer {
    http(&collect.http, "POST /v1/logs", headers, body)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The request that our own exporter would send for these documents.
pub(crate) fn request(cluster: &str, documents: &[Value]) -> ExportLogsServiceRequest {
    let records: Vec<Vec<u8>> = documents
        .iter()
        .map(|document| {
            let record = json::from_slice(document.to_string().as_bytes()).unwrap();
            let mut encoded = Vec::new();
            otlp::encode_log_record(&Redacted::attest(record), 1, &mut encoded);
            encoded
        })
        .collect();
    let mut bytes = Vec::new();
    let resource = otlp::Resource::new(cluster);
    otlp::encode_request(&resource, records.iter().map(Vec::as_slice), &mut bytes);
    ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap()
}

/// A small pair; `number` makes its uuid.
pub(crate) fn document(number: u32, host: &str, uri: &str) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    json!({
        "msgType": "rrpair", "resource": "space", "service": "space", "namespace": "shop",
        "cluster": "dev", "ts": format!("2026-09-01T10:00:{:02}.000000000Z", number % 60),
        "l7protocol": "http", "duration": 3, "direction": "IN",
        "uuid": STANDARD.encode(u128::from(number).to_be_bytes()), "command": "GET", "location": "/", "status": "200",
        "tags": {},
        "http": {
            "req": { "url": "/", "uri": uri, "version": "1.1", "method": "GET", "host": host,
                     "headers": {} },
            "res": { "statusCode": 200, "statusMessage": "200 OK", "headers": {} },
        },
        "signature": { "http:host": STANDARD.encode(host), "http:url": "Lw==" },
    })
}
