//! HTTPS of programs that others wrote: every request gives one pair, byte for byte, and what
//! cannot be read is counted.
#![cfg(test)]

mod go;
mod opaque;
mod others;
mod short_lived;
mod software;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use weir_e2e::{
    artifacts::Inside,
    capture::{Collect, HOOKS, Run, Setup, Transport},
    process::run,
    servers::{self, Server},
    truth::Pair,
};

/// Captures `server` while `traffic` runs.
fn capture(
    folder: &Path,
    server: &mut Server,
    hook: &'static str,
    traffic: impl FnOnce(&mut Server),
) -> (weir_e2e::ledger::Ledger, Vec<Pair>) {
    capture_at(folder, server.address, hook, || traffic(server))
}

/// Captures who listens at `address` while `traffic` runs.
fn capture_at(
    folder: &Path,
    address: SocketAddr,
    hook: &'static str,
    traffic: impl FnOnce(),
) -> (weir_e2e::ledger::Ledger, Vec<Pair>) {
    let collect = Collect::start(folder).unwrap();
    let endpoint = collect.endpoint(Transport::Grpc);
    let setup = Setup { hook: Some(hook), ..Setup::port(address.port(), vec![endpoint]) };
    let run = Run::start(folder, &setup).unwrap();
    traffic();
    let ledger = run.finish().unwrap();
    let pairs = collect.finish().unwrap();
    assert_eq!(ledger.exported, pairs.len() as u64, "{ledger:?}");
    assert!(ledger.balances(), "{ledger:?}");
    (ledger, pairs)
}

/// Captures the programs named `exe` while `traffic` runs.
fn capture_clients(
    folder: &Path,
    exe: String,
    traffic: impl FnOnce(),
) -> (weir_e2e::ledger::Ledger, Vec<Pair>) {
    let collect = Collect::start(folder).unwrap();
    let endpoint = collect.endpoint(Transport::Grpc);
    let setup = Setup {
        labels: vec![("weir.dev/exe", exe)],
        direction: "Outbound",
        ..Setup::port(0, vec![endpoint])
    };
    let run = Run::start(folder, &setup).unwrap();
    traffic();
    let ledger = run.finish().unwrap();
    let pairs = collect.finish().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    (ledger, pairs)
}

fn curl(words: &[&str]) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--insecure", "--noproxy", "*"]);
    run({
        command.args(words);
        command
    })
    .unwrap();
}

/// Fifty requests for bytes, five with a body and a chunked one, on three connections.
fn traffic(folder: &Path, address: SocketAddr, version: &[&str], echo_only: bool) {
    let upload = body();
    let file = folder.join("upload");
    fs::write(&file, upload).unwrap();
    let at = |path: &str| format!("https://{address}{path}");
    let data = format!("@{}", file.display());
    if echo_only {
        let words = ["--data-binary", &data, &at("/echo?[1-50]")];
        return curl(&[version, &words].concat());
    }
    // One connection for fifty requests.
    curl(&[version, &[&at("/bytes/[1-50]")]].concat());
    curl(&[version, &["--data-binary", &data, &at("/echo?[1-5]")]].concat());
    let name = file.display().to_string();
    let chunked = ["-T", &name, "-H", "Transfer-Encoding: chunked", &at("/echo?chunked")];
    curl(&[version, &chunked].concat());
}

fn body() -> Vec<u8> {
    (0..100_000_u32).map(|at| (at % 251) as u8).collect()
}

/// Each pair is whole and as the client saw it.
fn check(pairs: &[Pair], direction: &str) {
    let upload = body();
    for pair in pairs {
        assert!(!pair.is_half() && !pair.has_hole());
        assert_eq!(pair.direction, direction);
        assert_eq!(pair.record["isTls"], true);
        assert_eq!(pair.record["l7protocol"], "https");
        let response = pair.response.as_ref().unwrap();
        let uri = pair.uri.as_deref().unwrap();
        if uri.starts_with("/echo") {
            assert!(pair.request_body == upload && response.body == upload, "{uri}");
        } else {
            let size: usize = uri.rsplit('/').next().unwrap().parse().unwrap();
            assert_eq!(response.body.len(), size);
        }
    }
}

const VERSIONS: [&[&str]; 2] = [&["--tls-max", "1.2"], &["--tlsv1.3"]];

#[test]
#[ignore = "needs root and eBPF"]
fn python_over_tls_gives_every_pair_byte_for_byte() {
    for (hook, version) in HOOKS.into_iter().zip(VERSIONS) {
        let folder = tempfile::tempdir().unwrap();
        let mut server = servers::python_tls(folder.path()).unwrap();
        let (ledger, pairs) = capture(folder.path(), &mut server, hook, |server| {
            traffic(folder.path(), server.address, version, false);
        });
        assert_eq!((pairs.len(), ledger.lost_exchanges), (56, 0), "{hook} {ledger:?}");
        assert_eq!((ledger.tls_read, ledger.tls_opaque.len()), (3, 0), "{ledger:?}");
        check(&pairs, "IN");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn openssl_inside_a_program_gives_every_pair_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = servers::openssl_inside(folder.path(), Inside::Named).unwrap();
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        traffic(folder.path(), server.address, VERSIONS[1], true);
    });
    assert_eq!((pairs.len(), ledger.lost_exchanges), (50, 0), "{ledger:?}");
    assert_eq!((ledger.tls_read, ledger.tls_opaque.len()), (1, 0), "{ledger:?}");
    check(&pairs, "IN");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_client_with_gnutls_gives_every_pair_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::python_tls(folder.path()).unwrap();
    let mut wget = Command::new("wget");
    wget.args(["--quiet", "--no-proxy", "--no-check-certificate", "--input-file=-", "-O"]);
    wget.arg(folder.path().join("answers"));
    // It is there with its library before the capture, and waits for its input to end.
    let mut wget = wget.stdin(Stdio::piped()).spawn().unwrap();
    let (ledger, pairs) = capture_clients(folder.path(), "wget".to_owned(), || {
        let mut input = wget.stdin.take().unwrap();
        for size in 1..=50 {
            writeln!(input, "https://{}/bytes/{size}", server.address).unwrap();
        }
        drop(input);
        assert!(wget.wait().unwrap().success());
    });
    assert_eq!((pairs.len(), ledger.lost_exchanges), (50, 0), "{ledger:?}");
    check(&pairs, "OUT");
    let answers: usize = pairs.iter().map(|pair| pair.response.as_ref().unwrap().body.len()).sum();
    assert_eq!(fs::read(folder.path().join("answers")).unwrap().len(), answers);
}

#[test]
#[ignore = "needs root and eBPF"]
fn many_connections_at_once_and_resumed_ones_give_every_pair() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = servers::python_tls(folder.path()).unwrap();
    let session = folder.path().join("session");
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        let url = format!("https://{}/bytes/[1-256]", server.address);
        curl(&["--parallel", "--parallel-immediate", "--parallel-max", "64", &url]);
        assert!(!s_client(server.address, &["-sess_out".as_ref(), session.as_os_str()]));
        assert!(s_client(server.address, &["-sess_in".as_ref(), session.as_os_str()]), "resumed");
    });
    assert_eq!((pairs.len(), ledger.lost_exchanges), (258, 0), "{ledger:?}");
    assert!(ledger.tls_opaque.is_empty(), "{ledger:?}");
    check(&pairs, "IN");
    let sizes: BTreeSet<_> =
        pairs.iter().map(|pair| pair.response.as_ref().unwrap().body.len()).collect();
    assert_eq!(sizes, (1..=257).collect());
}

/// One request by OpenSSL's own client; true when it resumed a session.
fn s_client(address: SocketAddr, words: &[&OsStr]) -> bool {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-tls1_2", "-ign_eof", "-connect", &address.to_string()]).args(words);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = client.spawn().unwrap();
    let request = b"GET /bytes/257 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.stdin.take().unwrap().write_all(request).unwrap();
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("200 OK"), "{said}");
    said.contains("Reused, TLSv1.2")
}

/// OpenSSL's own client with a connection that stays open.
struct OpenClient {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl OpenClient {
    fn connect(address: SocketAddr) -> Self {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-ign_eof", "-connect", &address.to_string()]);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = client.spawn().unwrap();
        let (to, from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, to, from: BufReader::new(from) }
    }

    /// One request, and all of its answer.
    fn exchange(&mut self, size: usize) {
        write!(self.to, "GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the server closed");
        }
        self.from.read_exact(&mut vec![0; size]).unwrap();
    }

    fn end(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_connection_that_is_older_than_the_capture_is_read_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = servers::python_tls(folder.path()).unwrap();
    let mut client = OpenClient::connect(server.address);
    client.exchange(10);
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |_| {
        // The server is in a read that began before the probes were there.
        client.exchange(20);
        client.exchange(30);
        client.exchange(40);
    });
    client.end();
    assert_eq!((pairs.len(), ledger.lost_exchanges), (2, 0), "{ledger:?}");
    check(&pairs, "IN");
}

#[test]
#[ignore = "needs root and eBPF"]
fn node_whose_library_never_sees_the_socket_gives_every_pair_byte_for_byte() {
    for (hook, version) in HOOKS.into_iter().zip(VERSIONS) {
        let folder = tempfile::tempdir().unwrap();
        let mut server = servers::node_tls(folder.path()).unwrap();
        let (ledger, pairs) = capture(folder.path(), &mut server, hook, |server| {
            traffic(folder.path(), server.address, version, false);
            let url = format!("https://{}/bytes/[1-256]", server.address);
            curl(&["--parallel", "--parallel-immediate", "--parallel-max", "64", &url]);
        });
        assert_eq!((pairs.len(), ledger.lost_exchanges), (56 + 256, 0), "{hook} {ledger:?}");
        assert!(ledger.tls_opaque.is_empty(), "{ledger:?}");
        check(&pairs, "IN");
    }
}
