//! TLS libraries other than the system's.

use std::process::Command;

use super::software::{CONNECTIONS, Ends, REQUESTS, ends};
use weir_e2e::{artifacts, capture::HOOKS, servers};

/// A client of PyPI with its own library asks Node, which is not captured.
fn with_library_of(name: &str) {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::node_tls(folder.path()).unwrap();
        let python = artifacts::with_other_tls("python3").unwrap();
        let mut client = Command::new(&python);
        client.env("PYTHONDONTWRITEBYTECODE", "1").arg(artifacts::program("other_clients.py"));
        client.arg(name).arg(format!("https://{}", server.address));
        client.args([REQUESTS, CONNECTIONS].map(|number| number.to_string()));
        ends(folder.path(), &python, &server, client, hook, Ends::Client);
    }
}

#[test]
#[ignore = "needs root and eBPF, and pycurl from PyPI"]
fn openssl_1_1_in_pycurl_gives_every_pair_byte_for_byte() {
    with_library_of("pycurl");
}

#[test]
#[ignore = "needs root and eBPF, and curl_cffi from PyPI"]
fn boringssl_with_symbols_in_curl_cffi_gives_every_pair_byte_for_byte() {
    with_library_of("curl_cffi");
}
