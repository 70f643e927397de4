//! Every request to servers that others wrote gives exactly one pair, byte for byte, and no
//! server is restarted for it.
#![cfg(test)]

use std::{fs, path::Path, process::Command};

use weir_e2e::{
    capture::{Collect, Endpoint, HOOKS, Otelcol, Run, Setup, Transport},
    load::{Load, Mix},
    process::run,
    servers::{self, Nginx, Server},
    truth::{Bodies, Exchange, Pair, compare},
};

/// Captures `server` while `traffic` runs; gives what the traffic says and what was captured.
fn capture<T>(
    folder: &Path,
    server: &mut Server,
    hook: &'static str,
    traffic: impl FnOnce(&Server) -> T,
) -> (T, Vec<Pair>) {
    let pid = server.process.pid();
    let collect = Collect::start(folder).unwrap();
    let endpoint = collect.endpoint(Transport::Grpc);
    let setup = Setup { hook: Some(hook), ..Setup::port(server.address.port(), vec![endpoint]) };
    let run = Run::start(folder, &setup).unwrap();
    let truth = traffic(server);
    let ledger = run.finish().unwrap();
    let pairs = collect.finish().unwrap();
    assert_eq!(ledger.exported, pairs.len() as u64, "{ledger:?}");
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(server.process.pid(), pid);
    assert!(server.is_unharmed(), "{}", server.process.output());
    (truth, pairs)
}

fn check(sent: &[Exchange], pairs: &[Pair], bodies: Bodies) {
    let differences = compare(sent, pairs, bodies);
    assert!(differences.is_empty(), "{differences}");
    assert!(pairs.iter().all(|pair| pair.direction == "IN"));
    assert_eq!(pairs.len(), sent.len());
}

/// Keep-alive, pipelining, and bodies up to 1 MiB; 64 connections at once.
fn loads(server: &Server, mix: Mix) -> Vec<Exchange> {
    let plain = Load::new(server.address, mix);
    let all = [
        plain,
        Load { depth: 16, requests: 32, body_limit: 1000, seed: 2, ..plain },
        Load { connections: 8, requests: 12, body_limit: 1 << 20, seed: 3, ..plain },
    ];
    all.iter().flat_map(|load| load.run().unwrap()).collect()
}

fn check_server(start: fn(&Path) -> anyhow::Result<Server>, mix: Mix) {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let mut server = start(folder.path()).unwrap();
        let (sent, pairs) = capture(folder.path(), &mut server, hook, |server| loads(server, mix));
        check(&sent, &pairs, Bodies::Exact);
    }
}

fn check_nginx(nginx: Nginx, bodies: Bodies) {
    for hook in HOOKS {
        for mix in [Mix::Downloads, Mix::Sized] {
            let folder = tempfile::tempdir().unwrap();
            let mut server = nginx.start(folder.path()).unwrap();
            let (sent, pairs) =
                capture(folder.path(), &mut server, hook, |server| loads(server, mix));
            check(&sent, &pairs, bodies);
        }
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn nginx_that_reads_its_files_gives_every_pair_byte_for_byte() {
    check_nginx(Nginx { sendfile: false, workers: 2, upstream: None }, Bodies::Exact);
}

#[test]
#[ignore = "needs root and eBPF"]
fn nginx_with_sendfile_gives_every_pair_with_sized_holes() {
    check_nginx(Nginx { sendfile: true, workers: 1, upstream: None }, Bodies::ResponseHole);
}

#[test]
#[ignore = "needs root and eBPF"]
fn node_gives_every_pair_byte_for_byte() {
    check_server(servers::node, Mix::All);
}

#[test]
#[ignore = "needs root and eBPF"]
fn go_gives_every_pair_byte_for_byte() {
    check_server(servers::go, Mix::All);
}

#[test]
#[ignore = "needs root and eBPF"]
fn python_gives_every_pair_byte_for_byte() {
    check_server(servers::python, Mix::All);
}

#[test]
#[ignore = "needs root and eBPF"]
fn gunicorn_with_two_worker_processes_gives_every_pair_byte_for_byte() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let mut server = servers::gunicorn(folder.path()).unwrap();
        // It has 80 threads, and drops what was pipelined.
        let load = Load { connections: 32, ..Load::new(server.address, Mix::All) };
        let large = Load { connections: 8, body_limit: 1 << 20, seed: 3, ..load };
        let (sent, pairs) = capture(folder.path(), &mut server, hook, |_| {
            [load, large].iter().flat_map(|load| load.run().unwrap()).collect::<Vec<_>>()
        });
        check(&sent, &pairs, Bodies::Exact);
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_proxy_gives_each_request_once_as_in_and_once_as_out() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let back = folder.path().join("back");
        fs::create_dir(&back).unwrap();
        let node = servers::node(&back).unwrap();
        let nginx = Nginx { sendfile: false, workers: 2, upstream: Some(node.address) };
        let nginx = nginx.start(folder.path()).unwrap();
        let collect = Collect::start(folder.path()).unwrap();
        let endpoint = collect.endpoint(Transport::Http);
        let setup = Setup::port(nginx.address.port(), vec![endpoint]);
        let setup = Setup { hook: Some(hook), direction: "Both", ..setup };
        let run = Run::start(folder.path(), &setup).unwrap();
        let load = Load { prefix: "/proxy", ..Load::new(nginx.address, Mix::Sized) };
        let sent = load.run().unwrap();
        run.finish().unwrap();

        let (inbound, outbound): (Vec<Pair>, Vec<Pair>) =
            collect.finish().unwrap().into_iter().partition(|pair| pair.direction == "IN");
        check(&sent, &inbound, Bodies::Exact);
        assert_eq!(outbound.len(), sent.len());
        for pair in &outbound {
            let uri = format!("/proxy{}", pair.uri.as_deref().unwrap());
            let exchange = sent.iter().find(|exchange| exchange.uri == uri).unwrap();
            assert_eq!(pair.request_body, exchange.request_body);
            assert_eq!(pair.response.as_ref().unwrap().body, exchange.response_body);
        }
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn wrk_gives_as_many_pairs_as_the_server_logged_requests() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let nginx = Nginx { sendfile: false, workers: 2, upstream: None };
        let mut server = nginx.start(folder.path()).unwrap();
        // Tens of thousands of pairs: a file each would be a test of the file system.
        let otelcol = Otelcol::start(folder.path()).unwrap();
        let endpoint = Endpoint { name: "otelcol", port: otelcol.grpc, transport: Transport::Grpc };
        let setup =
            Setup { hook: Some(hook), ..Setup::port(server.address.port(), vec![endpoint]) };
        let capture = Run::start(folder.path(), &setup).unwrap();
        let mut wrk = Command::new("wrk");
        wrk.args(["-t2", "-c64", "-d1s", &format!("http://{}/bytes/100", server.address)]);
        run(wrk).unwrap();
        server.wait_for_no_connections().unwrap();
        let ledger = capture.finish().unwrap();
        let received = otelcol.finish().unwrap().len() as u64;
        // nginx's own log is the truth: wrk does not count what is under way when it stops.
        server.process.terminate().unwrap();
        let log = fs::read_to_string(folder.path().join("access.log")).unwrap();
        // A connection that ends without a request is logged too.
        let logged = log.lines().filter(|line| line.starts_with("/bytes/")).count() as u64;
        assert!(logged > 500, "{logged}");
        assert_eq!((received, ledger.lost_exchanges), (logged, 0), "{ledger:?}");
        // wrk closes its 64 connections without waiting for their last responses.
        assert!(ledger.half_pairs <= 64, "{ledger:?}");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn curl_in_its_many_ways_gives_every_pair() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let upload: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        fs::write(folder.path().join("upload"), &upload).unwrap();
        let mut server = servers::go(folder.path()).unwrap();
        let ((), pairs) =
            capture(folder.path(), &mut server, hook, |server| curl(folder.path(), server));
        assert_eq!(pairs.len(), 50 + 5);
        assert!(pairs.iter().all(|pair| !pair.is_half()));
        let echoes = pairs.iter().filter(|pair| pair.uri.as_deref() == Some("/echo"));
        for pair in echoes.clone() {
            assert_eq!(pair.request_body, upload);
            assert_eq!(pair.response.as_ref().unwrap().body, upload);
        }
        assert_eq!(echoes.count(), 3);
        let version = |version: &str| {
            let is = |pair: &&Pair| pair.record["http"]["req"]["version"] == version;
            pairs.iter().filter(is).count()
        };
        assert_eq!((version("1.0"), version("1.1")), (1, 54));
    }
}

fn curl(folder: &Path, server: &Server) {
    let at = |path: &str| format!("http://{}{path}", server.address);
    let upload = folder.join("upload").display().to_string();
    let calls: [&[&str]; 6] = [
        &[&at("/bytes/[1-50]")],
        &["--http1.0", &at("/bytes/7")],
        &["--head", &at("/bytes/3000")],
        &["--data-binary", &format!("@{upload}"), &at("/echo")],
        &["-T", &upload, &at("/echo")],
        &["-T", &upload, "-H", "Transfer-Encoding: chunked", &at("/echo")],
    ];
    for words in calls {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]).args(words);
        run(command).unwrap();
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn connections_older_than_the_capture_are_captured_from_their_next_request() {
    use weir_e2e::http::{Connection, Request};
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let mut server = servers::node(folder.path()).unwrap();
        let mut old: Vec<Connection> =
            (0..20).map(|_| Connection::open(server.address).unwrap()).collect();
        for (number, connection) in old.iter_mut().enumerate() {
            let request = Request::get(format!("/bytes/10?before={number}"));
            connection.exchange(&request).unwrap();
        }
        let (sent, pairs) = capture(folder.path(), &mut server, hook, |_| {
            let mut sent = Vec::new();
            for round in 0..5 {
                for (number, connection) in old.iter_mut().enumerate() {
                    let target = format!("/echo?after={number}.{round}");
                    let request = Request::post(target, vec![0x7f; round * 1000]);
                    sent.push(connection.exchange(&request).unwrap());
                }
            }
            sent
        });
        check(&sent, &pairs, Bodies::Exact);
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_capture_of_a_server_does_not_capture_another() {
    let folder = tempfile::tempdir().unwrap();
    let other_folder = folder.path().join("other");
    fs::create_dir(&other_folder).unwrap();
    let other = servers::node(&other_folder).unwrap();
    let mut server = servers::go(folder.path()).unwrap();
    let (sent, pairs) = capture(folder.path(), &mut server, HOOKS[0], |server| {
        Load { seed: 50, ..Load::new(other.address, Mix::All) }.run().unwrap();
        Load::new(server.address, Mix::All).run().unwrap()
    });
    check(&sent, &pairs, Bodies::Exact);
}
