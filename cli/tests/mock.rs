//! `weir mock` as users run it: curl through the proxy, by HTTP and HTTPS.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};

/// A running `weir mock`.
struct Mock {
    child: Child,
    stderr: BufReader<ChildStderr>,
    folder: PathBuf,
    proxy: String,
    /// Of the mapped ports.
    mapped: Vec<String>,
}

struct Ended {
    code: Option<i32>,
    report: Value,
    stderr: String,
}

impl Mock {
    fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["mock", "--proxy-out-port", "0", "-o", "json", "--ca-dir"])
            .arg(folder.join("ca"))
            .arg("--in")
            .arg(folder.join("in"))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (mut proxy, mut mapped) = (String::new(), Vec::new());
        loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended");
            if let Some((_, address)) = line.trim_end().split_once(" is http://") {
                mapped.push(address.to_owned());
            } else if let Some(rest) = line.strip_prefix("proxy on ") {
                rest.split(';').next().unwrap().clone_into(&mut proxy);
            } else if line.contains("SSL_CERT_FILE") {
                break;
            }
        }
        Self { child, stderr, folder: folder.to_owned(), proxy, mapped }
    }

    /// Curl with this proxy and trust.
    fn curl(&self, arguments: &[&str]) -> Output {
        let mut command = curl();
        command.args(["-x", &format!("http://{}", self.proxy), "--noproxy", "", "--cacert"]);
        command.arg(self.folder.join("ca/ca.pem")).args(arguments).output().unwrap()
    }

    fn stop(mut self) -> Ended {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stderr.read_to_string(&mut stderr).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        Ended { code, report: serde_json::from_str(&stdout).expect(&stderr), stderr }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.child.kill().ok(); // it has ended in most tests
        self.child.wait().ok();
    }
}

fn curl() -> Command {
    let mut command = Command::new("curl");
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.args(["-q", "-sS", "--max-time", "60"]);
    command
}

/// A recorded call.
fn call(number: u8, url: &str, body: &[u8]) -> Value {
    let (scheme, rest) = url.split_once("://").unwrap();
    let at = rest.find('/').unwrap();
    let (host, uri) = rest.split_at(at);
    let path = uri.split('?').next().unwrap();
    json!({
        "msgType": "rrpair", "direction": "OUT", "service": "shop", "l7protocol": scheme,
        "ts": format!("2026-09-01T10:00:{number:02}Z"), "uuid": BASE64_STANDARD.encode([number; 16]),
        "command": "GET", "location": path, "status": "200",
        "http": {
            "req": { "method": "GET", "url": path, "uri": uri, "host": host },
            "res": { "statusCode": 200, "statusMessage": "200 Fine",
                "headers": { "X-Number": [number.to_string()] },
                "bodyBase64": BASE64_STANDARD.encode(body) },
        },
    })
}

/// With the signature that its request has, and this ordinal.
fn numbered(mut call: Value, instance: u8) -> Value {
    let request = &call["http"]["req"];
    let parts = [
        ("http:host", request["host"].as_str().unwrap().to_owned()),
        ("http:method", "GET".to_owned()),
        ("http:queryparams", String::new()),
        ("http:url", request["url"].as_str().unwrap().to_owned()),
        ("instance", instance.to_string()),
    ];
    let parts: Map<_, _> = parts
        .into_iter()
        .map(|(key, value)| (key.to_owned(), BASE64_STANDARD.encode(value).into()))
        .collect();
    call["signature"] = parts.into();
    call
}

fn write(folder: &Path, calls: &[Value]) {
    let folder = folder.join("in/snapshot-1");
    fs::create_dir_all(&folder).unwrap();
    for (number, call) in calls.iter().enumerate() {
        fs::write(folder.join(format!("{number}.json")), call.to_string()).unwrap();
    }
}

/// Every byte value.
fn all_bytes() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(70_000).collect()
}

/// Records that a run left behind.
fn results(folder: &Path) -> Vec<Value> {
    let mut open = vec![folder.join("in/results")];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.file_name().unwrap() != "report.json" {
            found.push(serde_json::from_slice(&fs::read(path).unwrap()).unwrap());
        }
    }
    found
}

fn total(report: &Value, metric: &str) -> Option<u64> {
    let all = report["endpoints"].as_array().unwrap().iter();
    let all = all.rev().find(|endpoint| endpoint["url"] == "-ALL-").unwrap();
    all["metrics"]["requests"][metric].as_u64()
}

#[test]
fn recorded_answers_come_by_http_and_https_byte_for_byte_in_the_order_of_instance() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = all_bytes();
    write(
        folder.path(),
        &[
            numbered(call(1, "http://poll.example/state", b"done"), 1),
            numbered(call(2, "http://poll.example/state", b"waiting"), 0),
            call(3, "https://pay.example/charge?card=4&a=b%20c", &bytes),
        ],
    );
    let mock = Mock::start(folder.path(), &["--no-passthrough"]);
    let polled: Vec<_> = (0..3).map(|_| mock.curl(&["http://poll.example/state"]).stdout).collect();
    assert_eq!(polled, [&b"waiting"[..], b"done", b"waiting"]);

    // Parameters in another order and another spelling are the same request.
    let paid = mock.curl(&["-i", "https://pay.example/charge?a=b+c&card=4"]);
    assert!(paid.status.success(), "{}", String::from_utf8_lossy(&paid.stderr));
    let end = paid.stdout.windows(4).rposition(|four| four == b"\r\n\r\n");
    assert!(end.is_some());
    assert!(paid.stdout.ends_with(&bytes), "the body is another one");
    let head =
        String::from_utf8_lossy(&paid.stdout[..paid.stdout.len() - bytes.len()]).into_owned();
    assert!(
        head.ends_with(&format!(
            "HTTP/1.1 200 Fine\r\nX-Number: 3\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        )),
        "{head}"
    );

    let missed = mock.curl(&["-i", "https://pay.example/charge?card=5&a=b+c"]);
    let text = String::from_utf8(missed.stdout).unwrap();
    assert!(text.contains("HTTP/1.1 404 Not Found"), "{text}");
    assert!(text.contains("the most alike recorded request differs in queryparams"), "{text}");

    let ended = mock.stop();
    assert_eq!(ended.code, Some(1), "a miss is a negative result");
    assert_eq!((total(&ended.report, "hit"), total(&ended.report, "miss")), (Some(4), Some(1)));
    assert!(ended.stderr.contains("HIT         200"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("card"), "a query is printed: {}", ended.stderr);
    let results = results(folder.path());
    assert_eq!(results.len(), 5);
    let hit = results
        .iter()
        .find(|record| record["l7protocol"] == "https" && record["responderMatch"] == "HIT")
        .unwrap();
    assert_eq!(hit["tags"]["refUuid"], "03030303-0303-0303-0303-030303030303");
    assert_eq!(hit["http"]["res"]["bodyBase64"], BASE64_STANDARD.encode(&bytes));
    assert_eq!(results.iter().filter(|record| record["tags"]["match"] == "MISS").count(), 1);
}

/// A server that keeps the first request of each connection and answers each with `answer`.
fn real_host(answer: &'static [u8]) -> (String, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                request.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(answer).unwrap();
            sender.send(request).ok();
        }
    });
    (address, requests)
}

#[test]
fn what_is_not_known_goes_to_the_real_host_and_its_bytes_come_back() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 201 Odd\r\nx-odd:\x80 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\x00b\r\n0\r\n\r\n";
    let (real, requests) = real_host(ANSWER);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[call(1, "http://known.example/", b"known")]);
    let map = format!("0={real}");
    let mock = Mock::start(folder.path(), &["--map", &map]);

    let url = format!("http://{real}/a%7F?x=1");
    let passed = mock.curl(&["--raw", "-i", "-A", "test", "-H", "X-A: 1", &url]);
    assert_eq!(passed.stdout, ANSWER);
    let expected = format!(
        "GET /a%7F?x=1 HTTP/1.1\r\nHost: {real}\r\nUser-Agent: test\r\nAccept: */*\r\nX-A: 1\r\n\r\n"
    );
    assert_eq!(String::from_utf8(requests.recv().unwrap()).unwrap(), expected);

    // A port that stands for the host.
    let url = format!("http://{}/b", mock.mapped[0]);
    let passed = curl().args(["--raw", "-i", &url]).output().unwrap();
    assert_eq!(passed.stdout, ANSWER);
    assert!(requests.recv().unwrap().starts_with(b"GET /b HTTP/1.1\r\n"));

    // A host of which nothing is known is not looked into: the tunnel is the client's own.
    let url = format!("http://{real}/tunnel");
    let tunnelled = mock.curl(&["--raw", "-p", &url]);
    assert!(tunnelled.stdout.ends_with(b"0\r\n\r\n"));
    requests.recv().unwrap();

    let known = mock.curl(&["http://known.example/"]);
    assert_eq!(known.stdout, b"known");
    let ended = mock.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(total(&ended.report, "passthrough"), Some(3));
    assert_eq!(total(&ended.report, "hit"), Some(1));
    let record =
        results(folder.path()).into_iter().find(|r| r["http"]["req"]["url"] == "/a%7F").unwrap();
    assert_eq!(record["responderMatch"], "PASSTHROUGH");
    assert_eq!(record["status"], "201");
    assert!(record["http"]["res"]["headBase64"].is_string(), "0x80 is no text");
}

#[test]
fn what_passes_through_though_its_host_is_known_says_why() {
    let (real, requests) = real_host(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[call(1, &format!("http://{real}/known"), b"known")]);
    let mock = Mock::start(folder.path(), &[]);
    mock.curl(&[&format!("http://{real}/other")]);
    requests.recv().unwrap();
    let ended = mock.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let why = "(the most alike recorded request differs in url)";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
}

#[test]
fn a_mapped_port_answers_for_its_host_plain_and_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[call(1, "https://api.example/v1", b"mapped")]);
    let mock = Mock::start(folder.path(), &["--map", "0=https://api.example", "--no-passthrough"]);
    let plain = curl().arg(format!("http://{}/v1", mock.mapped[0])).output().unwrap();
    assert_eq!(plain.stdout, b"mapped");
    let to = format!("api.example:443:{}", mock.mapped[0]);
    let ca = folder.path().join("ca/ca.pem");
    let tls = curl()
        .args(["--connect-to", &to, "https://api.example/v1", "--cacert"])
        .arg(ca)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&tls.stdout),
        "mapped",
        "{}",
        String::from_utf8_lossy(&tls.stderr)
    );
    // Nobody trusts it who was not told to.
    let refused = curl().args(["--connect-to", &to, "https://api.example/v1"]).output().unwrap();
    assert!(!refused.status.success());
    mock.stop();
}

#[test]
fn one_connection_serves_many_requests_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let mut post = call(1, "http://up.example/upload", b"taken");
    let body = "x".repeat(3_000_000);
    post["http"]["req"]["method"] = "POST".into();
    post["command"] = "POST".into();
    post["http"]["req"]["bodyBase64"] = BASE64_STANDARD.encode(&body).into();
    write(folder.path(), &[post, call(2, "http://up.example/", b"")]);
    let mock = Mock::start(folder.path(), &["--no-passthrough"]);
    let file = folder.path().join("body");
    fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    // With `Expect: 100-continue`, chunked, and then another one on the same connection.
    let arguments = [
        "-H",
        "Expect: 100-continue",
        "--expect100-timeout",
        "60",
        "-H",
        "Transfer-Encoding: chunked",
        "--data-binary",
        &data,
        "http://up.example/upload",
        "-w",
        " %{num_connects} ",
        "--next",
        "-sS",
        "-x",
        &format!("http://{}", mock.proxy),
        "http://up.example/",
        "-w",
        "%{http_code} %{num_connects}",
    ];
    let output = mock.curl(&arguments);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "taken 1 200 0");
    assert_eq!(mock.stop().code, Some(0));
}

#[test]
fn recorded_timing_holds_an_answer_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut slow = call(1, "http://slow.example/", b"late");
    slow["duration"] = 200.into();
    write(folder.path(), &[slow]);
    for (timing, at_least) in [("recorded", 0.2), ("3x", 0.6)] {
        let mock = Mock::start(folder.path(), &["--mock-timing", timing, "--no-passthrough"]);
        let answered = mock.curl(&["-w", " %{time_total}", "http://slow.example/"]).stdout;
        let answered = String::from_utf8(answered).unwrap();
        let seconds: f64 = answered.strip_prefix("late ").unwrap().parse().unwrap();
        // Never sooner, whatever else the machine does; how much later is not ours to say.
        assert!(seconds >= at_least, "{timing}: {seconds}");
        assert_eq!(mock.stop().code, Some(0));
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    let run = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["mock", "--proxy-out-port", "0", "--ca-dir"]).arg(folder.path().join("ca"));
        let output =
            command.arg("--in").arg(folder.path().join("in")).args(flags).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("nothing to answer with") && stderr.contains("there is no RRPair"),
        "{stderr}"
    );
    write(folder.path(), &[call(1, "http://a.example/", b"")]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let map = format!("{}=a.example", taken.local_addr().unwrap().port());
    let (code, stderr) = run(&["--map", &map]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("listen on 127.0.0.1:"), "{stderr}");
    // A request that names no host but ours would go round for ever.
    let mock = Mock::start(folder.path(), &[]);
    let round = curl().args(["-i", &format!("http://{}/", mock.proxy)]).output().unwrap();
    let text = String::from_utf8(round.stdout).unwrap();
    assert!(text.contains("502") && text.contains("this is the mock itself"), "{text}");
    assert_eq!(mock.stop().code, Some(1));
}
