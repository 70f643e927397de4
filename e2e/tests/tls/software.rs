//! The same with more of the software that people use, at both ends at once where both can be
//! read.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use super::{capture, capture_at, curl};
use weir_e2e::{
    artifacts,
    capture::{Collect, HOOKS, Run, Setup, Transport},
    process::{free_port, run},
    servers::{self, Server},
    truth::Pair,
};

/// What the programs of `programs/` send, and get back.
fn pattern(length: usize) -> Vec<u8> {
    let pattern = (0..=u8::MAX).map(|at| at.wrapping_mul(31).wrapping_add(7));
    pattern.cycle().take(length).collect()
}

/// A client that waits for a line before it begins.
fn waiting(mut client: Command) -> (Child, ChildStdin) {
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let begin = client.stdin.take().unwrap();
    (client, begin)
}

/// Lets a client begin, and end.
fn go(client: Child, mut begin: ChildStdin) {
    begin.write_all(b"\n").unwrap();
    let output = client.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
    assert!(output.status.success());
}

/// Which ends of the connections can be read.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Ends {
    Client,
    Both,
}

/// Captures what the programs named `exe` ask and answer while `client` asks `server`, and
/// checks the pairs of each end.
pub(super) fn ends(
    folder: &Path,
    exe: &Path,
    server: &Server,
    client: Command,
    hook: &'static str,
    ends: Ends,
) {
    let exe = fs::canonicalize(exe).unwrap();
    let name = exe.file_name().unwrap().to_str().unwrap().to_owned();
    let collect = Collect::start(folder).unwrap();
    let endpoint = collect.endpoint(Transport::Grpc);
    let (client, begin) = waiting(client);
    let setup = Setup {
        hook: Some(hook),
        labels: vec![("weir.dev/exe", name)],
        direction: "Both",
        ports: vec![server.address.port()],
        ..Setup::port(0, vec![endpoint])
    };
    let run = Run::start(folder, &setup).unwrap();
    go(client, begin);
    let ledger = run.finish().unwrap();
    let pairs = collect.finish().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!((ledger.lost_exchanges, ledger.tls_opaque.len()), (0, 0), "{ledger:?}");
    let (inbound, outbound): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|pair| pair.direction == "IN");
    let (both, all) = (ends == Ends::Both, CONNECTIONS * REQUESTS);
    assert_eq!(ledger.tls_read, (1 + u64::from(both)) * CONNECTIONS as u64, "{ledger:?}");
    assert_eq!(echoes(&outbound), all, "{ledger:?}");
    assert_eq!(echoes(&inbound), if both { all } else { 0 }, "{ledger:?}");
}

pub(super) const CONNECTIONS: usize = 64;
pub(super) const REQUESTS: usize = 4;

/// Each pair is whole, and is the answer to its own request.
fn echoes(pairs: &[Pair]) -> usize {
    let mut seen = BTreeSet::new();
    for pair in pairs {
        assert!(!pair.is_half() && !pair.has_hole());
        assert_eq!(pair.record["isTls"], true);
        assert_eq!(pair.record["l7protocol"], "https");
        let uri = pair.uri.clone().unwrap();
        let number: usize = uri.strip_prefix("/echo?").unwrap().parse().unwrap();
        let body = pattern(number * 37 % 40_000);
        assert!(pair.request_body == body, "the request {uri}");
        assert!(pair.response.as_ref().unwrap().body == body, "the response to {uri}");
        assert!(seen.insert(number), "{uri} twice");
    }
    seen.len()
}

fn client(program: &Path, script: &str, server: &Server) -> Command {
    let mut client = Command::new(program);
    client.env("PYTHONDONTWRITEBYTECODE", "1").arg(artifacts::program(script));
    client.arg(format!("https://{}", server.address));
    client.args([REQUESTS, CONNECTIONS].map(|number| number.to_string()));
    client
}

#[test]
#[ignore = "needs root and eBPF"]
fn python_requests_and_gunicorn_give_every_pair_at_both_ends() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::gunicorn_tls(folder.path()).unwrap();
        let python = artifacts::python_with_requests().unwrap();
        let client = client(&python, "client.py", &server);
        ends(folder.path(), &python, &server, client, hook, Ends::Both);
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn node_asks_node_and_both_ends_give_every_pair() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::node_tls(folder.path()).unwrap();
        let node = run({
            let mut node = Command::new("node");
            node.args(["-p", "process.execPath"]);
            node
        });
        let node = Path::new(node.unwrap().trim()).to_owned();
        let client = client(&node, "client.js", &server);
        ends(folder.path(), &node, &server, client, hook, Ends::Both);
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn openssl_s_server_gives_every_pair_byte_for_byte() {
    for version in ["-tls1_2", "-tls1_3"] {
        let folder = tempfile::tempdir().unwrap();
        servers::certificate(folder.path()).unwrap();
        let port = free_port().unwrap();
        let mut openssl = Command::new("openssl");
        openssl.current_dir(folder.path()).args(["s_server", "-quiet", version]);
        openssl.args(["-accept", &format!("127.0.0.1:{port}"), "-naccept", "1"]);
        openssl.args(["-cert", "cert.pem", "-key", "key.pem"]);
        let mut openssl = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, from) = (openssl.stdin.take().unwrap(), openssl.stdout.take().unwrap());
        let address = ([127, 0, 0, 1], port).into();
        weir_e2e::wait::until("openssl listens", || {
            // A connection would be the one that it accepts.
            let table = fs::read_to_string("/proc/net/tcp").ok()?;
            table.contains(&format!("0100007F:{port:04X} 00000000:0000 0A")).then_some(())
        })
        .unwrap();
        let (ledger, pairs) = capture_at(folder.path(), address, HOOKS[0], || {
            let upload = folder.path().join("upload");
            let body = pattern(7 * 37);
            fs::write(&upload, &body).unwrap();
            let answers = std::thread::spawn(move || {
                let mut from = BufReader::new(from);
                while let Some(request) = read_request(&mut from) {
                    write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.len())
                        .unwrap();
                    to.write_all(&request).unwrap();
                }
            });
            let data = format!("@{}", upload.display());
            curl(&["--data-binary", &data, &format!("https://{address}/echo?7&[1-40]")]);
            assert!(openssl.wait().unwrap().success());
            answers.join().unwrap();
        });
        assert_eq!((pairs.len(), ledger.lost_exchanges), (40, 0), "{version} {ledger:?}");
        assert_eq!((ledger.tls_read, ledger.tls_opaque.len()), (1, 0), "{ledger:?}");
        for pair in &pairs {
            assert!(!pair.is_half() && !pair.has_hole());
            let body = pattern(7 * 37);
            assert!(pair.request_body == body && pair.response.as_ref().unwrap().body == body);
        }
    }
}

/// The body of the next request.
fn read_request(from: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if from.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).unwrap();
    Some(body)
}

#[test]
#[ignore = "needs root and eBPF"]
fn postgres_begins_tls_on_a_connection_that_is_under_way_and_is_read() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let mut server = servers::postgres_tls(folder.path()).unwrap();
        let (ledger, pairs) = capture(folder.path(), &mut server, hook, |server| {
            for mode in ["require", "require", "disable"] {
                let port = server.address.port();
                let mut psql = Command::new("psql");
                psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command"]);
                psql.arg("select repeat('x', 10000)");
                psql.arg(format!(
                    "host=127.0.0.1 port={port} user=nobody dbname=postgres sslmode={mode}"
                ));
                let answer = run(psql).unwrap();
                assert_eq!(answer.trim(), "x".repeat(10_000));
            }
            server.wait_for_no_connections().unwrap();
        });
        assert_eq!((pairs.len(), ledger.lost_exchanges), (0, 0), "{hook} {ledger:?}");
        // Read, and not counted as what cannot be.
        assert_eq!((ledger.tls_read, ledger.tls_opaque.len()), (2, 0), "{hook} {ledger:?}");
        // Its own protocol is not decoded yet. All of it was seen, and of the encrypted ones what
        // the plain one has.
        let one = ledger.undecodable_bytes / 3;
        assert_eq!(ledger.undecodable_bytes, 3 * one, "{hook} {ledger:?}");
        assert!((10_000..11_000).contains(&one), "{hook} {ledger:?}");
    }
}
