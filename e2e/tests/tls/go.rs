//! Go's own TLS: one goroutine writes while another one reads.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use weir_e2e::{
    artifacts,
    capture::HOOKS,
    ledger::Ledger,
    servers::{self, Server},
    truth::Pair,
};

use super::{VERSIONS, capture, capture_clients, check, traffic};

/// As the compiler makes it (a static program with symbols), stripped, and at any address.
const BUILDS: [&[&str]; 3] = [&[], &["-ldflags=-s -w"], &["-buildmode=pie"]];

const CONNECTIONS: usize = 64;

#[test]
#[ignore = "needs root and eBPF"]
fn go_servers_give_every_pair_byte_for_byte_with_and_without_symbols() {
    for (at, flags) in BUILDS.into_iter().enumerate() {
        let (hook, version) = (HOOKS[at % 2], VERSIONS[at % 2]);
        let folder = tempfile::tempdir().unwrap();
        let mut server = servers::go_tls(folder.path(), flags).unwrap();
        let (ledger, pairs) = capture(folder.path(), &mut server, hook, |server| {
            traffic(folder.path(), server.address, version, false);
        });
        assert_eq!((pairs.len(), ledger.lost_exchanges), (56, 0), "{flags:?} {ledger:?}");
        assert_eq!((ledger.tls_read, ledger.tls_opaque.len()), (3, 0), "{ledger:?}");
        check(&pairs, "IN");
        assert!(server.is_unharmed());
    }
}

/// Requests on each of the connections.
fn requests() -> usize {
    std::env::var("WEIR_GO_REQUESTS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// A Go client that is there before the capture, and waits for its input to end.
fn client(server: &Server, flags: &[&str], count: usize) -> (String, std::process::Child) {
    let path = artifacts::go("client", flags).unwrap();
    let mut client = Command::new(&path);
    client.arg(format!("https://{}/echo", server.address));
    client.args([CONNECTIONS.to_string(), count.to_string()]);
    let exe = path.file_name().unwrap().to_string_lossy().into_owned();
    (exe, client.stdin(Stdio::piped()).spawn().unwrap())
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_go_client_with_many_connections_gives_every_pair() {
    for flags in [BUILDS[1], BUILDS[2]] {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::go_tls(folder.path(), &[]).unwrap();
        let (exe, mut client) = client(&server, flags, requests());
        let (ledger, pairs) = capture_clients(folder.path(), exe, || {
            drop(client.stdin.take());
            assert!(client.wait().unwrap().success());
        });
        each_once(&ledger, &pairs, "OUT");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_go_server_with_many_connections_gives_every_pair() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = servers::go_tls(folder.path(), BUILDS[1]).unwrap();
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        let (_, mut client) = client(server, &[], requests());
        drop(client.stdin.take());
        assert!(client.wait().unwrap().success());
    });
    each_once(&ledger, &pairs, "IN");
}

/// Every request of [`client`] was captured once, with its own answer.
fn each_once(ledger: &Ledger, pairs: &[Pair], direction: &str) {
    let count = CONNECTIONS * requests();
    assert_eq!((pairs.len(), ledger.lost_exchanges), (count, 0), "{ledger:?}");
    let mut seen = BTreeSet::new();
    for pair in pairs {
        assert!(!pair.is_half() && !pair.has_hole());
        assert_eq!((&*pair.direction, &pair.record["isTls"]), (direction, &true.into()));
        let uri = pair.uri.as_deref().unwrap();
        let number: usize = uri.strip_prefix("/echo?").unwrap().parse().unwrap();
        let bytes = u32::try_from(number).unwrap().to_le_bytes();
        let expected = [bytes[0], bytes[1], b'x'].repeat(1 + number % 9000);
        assert!(pair.request_body == expected, "{uri}");
        assert!(pair.response.as_ref().unwrap().body == expected, "{uri}");
        assert!(seen.insert(number), "{uri} twice");
    }
    assert_eq!(ledger.tls_read, CONNECTIONS as u64, "{ledger:?}");
    assert!(ledger.tls_opaque.is_empty(), "{ledger:?}");
}

/// Of HTTP/2, which is not decoded, nothing is lost in silence: its connections and bytes are counted.
#[test]
#[ignore = "needs root and eBPF"]
fn http2_inside_tls_is_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = servers::go_tls_http2(folder.path()).unwrap();
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        let url = format!("https://{}/bytes/[1-20]", server.address);
        super::curl(&["--http2", &url]);
        super::curl(&["--http1.1", &url]);
        server.wait_for_no_connections().unwrap();
    });
    assert_eq!((pairs.len(), ledger.lost_exchanges), (20, 0), "{ledger:?}");
    assert_eq!((ledger.tls_read, ledger.opaque_connections), (2, 1), "{ledger:?}");
    assert!(ledger.undecodable_bytes > 210, "{ledger:?}");
}

/// What the handshake says in the clear is in the records.
#[test]
#[ignore = "needs root and eBPF"]
fn names_and_versions_of_the_handshake_are_in_the_records() {
    for (hook, version) in HOOKS.into_iter().zip(VERSIONS) {
        let folder = tempfile::tempdir().unwrap();
        let mut server = servers::go_tls(folder.path(), &[]).unwrap();
        let (ledger, pairs) = capture(folder.path(), &mut server, hook, |server| {
            let port = server.address.port();
            let resolve = format!("shop.test:{port}:127.0.0.1");
            let url = format!("https://shop.test:{port}/none");
            let words = ["--resolve", &resolve, "-H", "Host: elsewhere.test", &url];
            super::curl(&[version, &words].concat());
        });
        assert_eq!(pairs.len(), 1, "{ledger:?}");
        let record = &pairs[0].record;
        assert_eq!(record["netinfo"]["upstream"]["hostname"], "shop.test", "{hook}");
        assert_eq!(record["network_address"], format!("shop.test:{}", server.address.port()));
        assert_eq!(record["http"]["req"]["host"], "elsewhere.test");
        let old = version == VERSIONS[0];
        assert_eq!(record["tags"]["tlsVersion"], if old { "1.2" } else { "1.3" });
        // The later one tells it encrypted.
        let alpn = if old { "http/1.1".into() } else { serde_json::Value::Null };
        assert_eq!(record["alpn"], alpn);
    }
}
