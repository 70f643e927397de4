//! HTTPS of programs that others wrote: every request gives one pair, byte for byte, and what
//! cannot be read is counted.
#![cfg(test)]

use std::{fs, path::Path, process::Command};

use weir_e2e::{
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
    let collect = Collect::start(folder).unwrap();
    let endpoint = collect.endpoint(Transport::Grpc);
    let setup = Setup { hook: Some(hook), ..Setup::port(server.address.port(), vec![endpoint]) };
    let run = Run::start(folder, &setup).unwrap();
    traffic(server);
    let ledger = run.finish().unwrap();
    let pairs = collect.finish().unwrap();
    assert_eq!(ledger.exported, pairs.len() as u64, "{ledger:?}");
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

#[test]
#[ignore = "needs root and eBPF"]
fn python_over_tls_gives_every_pair_byte_for_byte() {
    for hook in HOOKS {
        for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
            let folder = tempfile::tempdir().unwrap();
            let upload: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
            let file = folder.path().join("upload");
            fs::write(&file, &upload).unwrap();
            let mut server = servers::python_tls(folder.path()).unwrap();
            let address = server.address;
            let at = |path: &str| format!("https://{address}{path}");
            let (ledger, pairs) = capture(folder.path(), &mut server, hook, |_| {
                // One connection for fifty requests.
                curl(&[version, &[&at("/bytes/[1-50]")]].concat());
                let data = format!("@{}", file.display());
                curl(&[version, &["--data-binary", &data, &at("/echo?[1-5]")]].concat());
                let name = file.display().to_string();
                let chunked =
                    ["-T", &name, "-H", "Transfer-Encoding: chunked", &at("/echo?chunked")];
                curl(&[version, &chunked].concat());
            });
            assert_eq!((pairs.len(), ledger.lost_exchanges), (56, 0), "{hook} {ledger:?}");
            assert_eq!((ledger.tls_read, ledger.tls_opaque.len()), (3, 0), "{ledger:?}");
            for pair in &pairs {
                assert!(!pair.is_half() && !pair.has_hole());
                assert_eq!(pair.direction, "IN");
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
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_server_whose_library_never_sees_the_socket_is_counted_as_opaque() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = servers::node_tls(folder.path()).unwrap();
    let (ledger, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        curl(&[&format!("https://{}/", server.address)]);
        // Its bytes are known with its end.
        server.wait_for_no_connections().unwrap();
    });
    assert_eq!(pairs.len(), 0);
    assert_eq!((ledger.opaque_connections, ledger.lost_exchanges), (1, 0), "{ledger:?}");
    // Its library is inside the program, and is called with buffers only.
    assert_eq!(ledger.tls_opaque, [("unjoined".to_owned(), 1)].into(), "{ledger:?}");
    // A certificate alone is some hundred bytes.
    assert!(ledger.undecodable_bytes > 1000, "{ledger:?}");
}
