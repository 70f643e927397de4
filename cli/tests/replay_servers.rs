//! `weir replay` of 1,000 requests to servers in Go, Node and Rust: the bytes on the wire are the
//! recorded ones. Run by `make test-component`: it needs Go and Node.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use axum::{Router, body::Bytes};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

const REQUESTS: usize = 1_000;
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/programs");

/// Ends its process.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok(); // it may have ended
        self.0.wait().ok();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts a server and waits until it takes connections.
fn start(mut command: Command, address: SocketAddr) -> Server {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while TcpStream::connect(address).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "the server ended");
        thread::yield_now();
    }
    Server(child)
}

fn go(folder: &Path, address: SocketAddr) -> Server {
    let binary = folder.join("go-server");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&binary).arg(Path::new(PROGRAMS).join("server.go"));
    assert!(build.status().unwrap().success());
    let mut command = Command::new(binary);
    command.arg(address.to_string());
    start(command, address)
}

fn node(address: SocketAddr) -> Server {
    let mut command = Command::new("node");
    command.arg(Path::new(PROGRAMS).join("server.js")).arg(address.port().to_string());
    start(command, address)
}

/// hyper, in this process; it ends with it.
fn rust() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let echo = Router::new().fallback(|body: Bytes| async { body });
            axum::serve(listener, echo).await.unwrap();
        });
    });
    address
}

/// Stands before a server and keeps what clients send, all connections together. A replay by one
/// user sends the next request after the answer to the one before.
fn tee(server: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&kept);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (back_from, back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || pass(back_from, back_to, None));
            let all = Arc::clone(&all);
            thread::spawn(move || pass(client, server, Some(&all)));
        }
    });
    (address, kept)
}

fn pass(mut from: TcpStream, mut to: TcpStream, keep: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(keep) = keep {
            keep.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok(); // the other side may be gone
}

/// A request as some client has sent it.
fn raw(number: usize) -> Vec<u8> {
    let body: Vec<u8> = (0..=u8::MAX).cycle().skip(number).take(number * 7 % 3_000).collect();
    let large: Vec<u8> = (0..=u8::MAX).cycle().skip(number).take(70_000).collect();
    let length = |body: &[u8]| format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    match number % 8 {
        0 => format!("GET /echo?id={number}\x7f HTTP/1.1\r\nHost: rocket\r\n\r\n").into_bytes(),
        1 => [format!("POST /echo?n={number} HTTP/1.1\r\nhost:rocket\r\nX-Odd:  two  blanks \r\nX-odd: again\r\n").as_bytes(), &length(&body), &body].concat(),
        2 => [format!("POST /echo HTTP/1.1\r\nHost: rocket\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\n\r\n"].concat(),
        3 => [b"PUT /echo?x=\xff\xfe%zz&\xc3\xa4 HTTP/1.1\r\nHost: rocket\r\n", &length(&body)[..], &body].concat(),
        4 => format!("GET /echo HTTP/1.1\r\nHost: other.example:99\r\nCookie: a={number}; b=\"c\"\r\nAccept:\r\n\r\n").into_bytes(),
        5 => format!("HEAD /echo HTTP/1.1\r\nHOST: rocket\r\nX-Long: {}\r\n\r\n", "v".repeat(3_000)).into_bytes(),
        6 => [&b"POST /echo HTTP/1.1\r\nHost: rocket\r\nX-Empty: \r\n"[..], &length(&large), &large].concat(),
        _ => format!("GET /none HTTP/1.0\r\nHost: rocket\r\nConnection: keep-alive\r\nX-N: {number}\r\n\r\n").into_bytes(),
    }
}

/// The pair of that request, as a capture makes it.
fn pair(number: usize, raw: &[u8]) -> Value {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (head, body) = raw.split_at(end);
    let chunked = String::from_utf8_lossy(head).contains("chunked");
    let body = if chunked {
        let start = body.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
        &body[start..body.len() - b"\r\n0\r\n\r\n".len()]
    } else {
        body
    };
    let line = head.split(|byte| *byte == b'\r').next().unwrap();
    let method =
        String::from_utf8_lossy(line.split(|byte| *byte == b' ').next().unwrap()).into_owned();
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&(number as u64).to_be_bytes());
    json!({
        "msgType": "rrpair", "direction": "IN", "service": "rocket", "l7protocol": "http",
        "ts": format!("2026-09-01T10:{:02}:{:02}Z", number / 60, number % 60),
        "uuid": BASE64_STANDARD.encode(uuid), "command": method, "location": "/echo",
        "status": "200", "netinfo": { "id": (number % 7).to_string() },
        "http": {
            "req": { "method": method, "url": "/echo", "uri": "/echo", "version": "1.1", "host": "rocket",
                "headBase64": BASE64_STANDARD.encode(head), "bodyBase64": BASE64_STANDARD.encode(body) },
            "res": { "statusCode": 200, "statusMessage": "200 OK" },
        },
    })
}

/// Where two texts begin to differ, with what is there.
fn difference(expected: &[u8], got: &[u8]) -> String {
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| {
        let part = &bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())];
        part.escape_ascii().to_string()
    };
    format!(
        "{} and {} bytes, from {at}: {} | {}",
        expected.len(),
        got.len(),
        around(expected),
        around(got)
    )
}

#[test]
#[ignore = "needs Go and Node; make test-component"]
fn a_thousand_requests_reach_servers_in_three_languages_as_they_were_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    fs::create_dir(&input).unwrap();
    let requests: Vec<_> = (0..REQUESTS).map(raw).collect();
    let lines: Vec<_> =
        requests.iter().enumerate().map(|(number, raw)| pair(number, raw).to_string()).collect();
    fs::write(input.join("all.jsonl"), lines.join("\n")).unwrap();

    let (go_address, node_address) = (free_address(), free_address());
    let _go = go(folder.path(), go_address);
    let _node = node(node_address);
    for (name, server) in [("Go", go_address), ("Node", node_address), ("Rust", rust())] {
        for host in [None, Some("--rewrite-host")] {
            let (address, kept) = tee(server);
            let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
            command
                .args(["replay", "--no-out", "-o", "json", "--timeout", "60s", "--in"])
                .arg(&input);
            let output =
                command.args(["--test-against", &address.to_string()]).args(host).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let report: Value = serde_json::from_slice(&output.stdout).expect(&said);
            let all = report["endpoints"]
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["url"] == "-ALL-")
                .unwrap();
            assert_eq!(all["metrics"]["requests"]["total"].as_f64(), Some(1_000.0), "{name}");
            assert_eq!(all["metrics"]["requests"]["failed"].as_f64(), Some(0.0), "{name}: {said}");
            let expected: Vec<u8> = match host {
                None => requests.concat(),
                Some(_) => {
                    requests.iter().flat_map(|raw| with_host(raw, &address.to_string())).collect()
                }
            };
            let got = kept.lock().unwrap();
            assert!(*got == expected, "{name} {host:?}: {}", difference(&expected, &got));
        }
    }
}

/// The request with another value of `Host`, and every other byte as it was.
fn with_host(raw: &[u8], host: &str) -> Vec<u8> {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 2;
    let (head, rest) = raw.split_at(end);
    let lines = head.split_inclusive(|byte| *byte == b'\n').flat_map(|line| {
        if line.len() > 5 && line[..5].eq_ignore_ascii_case(b"host:") {
            [&line[..5], b" ", host.as_bytes(), b"\r\n"].concat()
        } else {
            line.to_vec()
        }
    });
    lines.chain(rest.iter().copied()).collect()
}
