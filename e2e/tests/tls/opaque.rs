//! What cannot be read is counted, with the reason.

use std::process::Stdio;

use super::{OpenClient, capture, capture_clients, curl};
use weir_e2e::{
    artifacts::{self, Inside},
    capture::HOOKS,
    process::command,
    servers::{self, Server},
};

/// One connection to a server that cannot be read, for this reason.
fn one_opaque_connection(server: impl FnOnce(&std::path::Path) -> Server, why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server(folder.path());
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        curl(&[&format!("https://{}/", server.address)]);
        // Its bytes are known with its end.
        server.wait_for_no_connections().unwrap();
    });
    assert_eq!(pairs.len(), 0);
    assert_eq!((ledger.opaque_connections, ledger.lost_exchanges), (1, 0), "{ledger:?}");
    assert_eq!(ledger.tls_opaque, [(why.to_owned(), 1)].into(), "{ledger:?}");
    // A certificate alone is some hundred bytes.
    assert!(ledger.undecodable_bytes > 1000, "{ledger:?}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_program_that_names_nothing_is_counted_as_opaque() {
    let start =
        |inside| move |folder: &std::path::Path| servers::openssl_inside(folder, inside).unwrap();
    one_opaque_connection(start(Inside::StaticStripped), "static_stripped");
    one_opaque_connection(start(Inside::Stripped), "no_symbols");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_program_that_is_too_large_is_counted_as_opaque() {
    one_opaque_connection(|folder| servers::oversized_tls(folder).unwrap(), "not_examined");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_java_client_is_counted_as_opaque() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::python_tls(folder.path()).unwrap();
    let (ledger, pairs) = capture_clients(folder.path(), "java".to_owned(), || {
        let mut java = command("java");
        java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1"]);
        java.arg(artifacts::program("Client.java"));
        java.arg(format!("https://{}/bytes/1000", server.address));
        let answer = weir_e2e::process::run(java).unwrap();
        assert_eq!(answer.trim(), "1000");
    });
    assert_eq!(pairs.len(), 0);
    assert_eq!(ledger.tls_opaque, [("java".to_owned(), 1)].into(), "{ledger:?}");
}

#[test]
#[ignore = "needs root and eBPF, and uv from PyPI"]
fn a_client_with_rustls_is_counted_as_opaque() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::python_tls(folder.path()).unwrap();
    let (ledger, pairs) = capture_clients(folder.path(), "uv".to_owned(), || {
        let mut uv = command(artifacts::with_other_tls("uv").unwrap());
        uv.args(["pip", "install", "--no-cache", "--dry-run", "--no-config", "--target"]);
        uv.arg(folder.path().join("target"));
        uv.args(["--allow-insecure-host", "127.0.0.1", "--index-url"]);
        uv.arg(format!("https://{}/bytes/100/", server.address)).arg("something");
        // What it is answered is no index.
        assert!(!uv.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    });
    assert_eq!((pairs.len(), ledger.tls_read), (0, 0), "{ledger:?}");
    let reasons: Vec<_> = ledger.tls_opaque.keys().collect();
    assert_eq!(reasons, ["unsupported_library"], "{ledger:?}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_connection_whose_beginning_was_missed_in_memory_is_counted_as_late() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = servers::node_tls(folder.path()).unwrap();
    let mut client = OpenClient::connect(server.address);
    client.exchange(10);
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        client.exchange(2000);
        client.end();
        server.wait_for_no_connections().unwrap();
    });
    assert_eq!(pairs.len(), 0);
    assert_eq!(ledger.tls_opaque, [("attached_late".to_owned(), 1)].into(), "{ledger:?}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn openssl_that_is_called_by_its_own_other_functions_is_counted_as_opaque() {
    // `s_server -WWW` moves everything through a BIO that encrypts.
    one_opaque_connection(|folder| servers::s_server_www(folder).unwrap(), "unjoined");
}
