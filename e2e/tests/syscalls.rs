//! Every way to read from and write to a socket, on both ends, over IPv4, IPv6 and v4-mapped
//! addresses, and connections that change hands.
#![cfg(test)]

use std::{fs, path::Path};

use weir_e2e::{
    artifacts,
    capture::{Collect, HOOKS, Run, Setup, Transport},
    load::{Load, Mix},
    process::{Running, command},
    servers::{self, Family},
    truth::{Bodies, Exchange, Fields, Pair, compare},
};

const CALLS: [(&str, &str); 5] = [
    ("read", "write"),
    ("readv", "writev"),
    ("recvfrom", "sendto"),
    ("recvmsg", "sendmsg"),
    ("recvmmsg", "sendmmsg"),
];

/// How the server is run.
#[derive(Clone, Copy, Debug)]
struct Case {
    hook: &'static str,
    family: Family,
    read: &'static str,
    write: &'static str,
    form: &'static str,
}

fn check(case: Case, bodies: Bodies) {
    let folder = tempfile::tempdir().unwrap();
    let Case { hook, family, read, write, form } = case;
    let server = servers::syscalls(folder.path(), family, read, write, form).unwrap();
    let collect = Collect::start(folder.path()).unwrap();
    let setup = Setup {
        hook: Some(hook),
        // Not by port: a process that was handed a connection listens nowhere.
        labels: vec![("weir.dev/exe", "syscalls".to_owned())],
        ..Setup::port(0, vec![collect.endpoint(Transport::Grpc)])
    };
    let run = Run::start(folder.path(), &setup).unwrap();
    let load = Load {
        connections: 8,
        requests: 12,
        body_limit: 60_000,
        ..Load::new(server.address, Mix::Sized)
    };
    let mut sent = load.run().unwrap();
    sent.extend(Load { depth: 16, requests: 16, body_limit: 500, seed: 2, ..load }.run().unwrap());
    let ledger = run.finish().unwrap();
    assert!(ledger.balances(), "{case:?}: {ledger:?}");
    let pairs = collect.finish().unwrap();
    let differences = compare(&sent, &pairs, bodies);
    assert!(differences.is_empty(), "{case:?}\n{differences}");
    check_addresses(&pairs, case, server.address.port());
}

/// v4-mapped addresses are IPv4 addresses to a reader of the record.
fn check_addresses(pairs: &[Pair], case: Case, port: u16) {
    let ip = if case.family == Family::V6 { "::1" } else { "127.0.0.1" };
    for pair in pairs {
        let netinfo = &pair.record["netinfo"];
        for end in ["downstream", "upstream"] {
            assert_eq!(netinfo[end]["ipAddress"], ip, "{case:?} {end}");
        }
        assert_eq!(netinfo["upstream"]["port"].as_f64(), Some(f64::from(port)), "{case:?}");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn every_pair_of_system_calls_is_captured_byte_for_byte() {
    for hook in HOOKS {
        for (read, write) in CALLS {
            check(Case { hook, family: Family::V4, read, write, form: "threads" }, Bodies::Exact);
        }
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn ipv6_and_v4_mapped_connections_are_captured() {
    for hook in HOOKS {
        for family in [Family::V6, Family::Mapped] {
            let (read, write) = ("read", "write");
            check(Case { hook, family, read, write, form: "threads" }, Bodies::Exact);
        }
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn connections_that_are_forked_passed_or_duplicated_are_captured() {
    for hook in HOOKS {
        for form in ["fork", "pass", "dup"] {
            let (read, write) = ("recvfrom", "writev");
            check(Case { hook, family: Family::V4, read, write, form }, Bodies::Exact);
        }
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn bodies_sent_by_sendfile_and_splice_are_sized_holes() {
    for hook in HOOKS {
        for write in ["sendfile", "splice"] {
            let case = Case { hook, family: Family::V4, read: "read", write, form: "threads" };
            check(case, Bodies::ResponseHole);
        }
    }
}

/// What the client of `programs/syscalls.c` sends and gets.
fn client_truth(count: usize, size: usize) -> Vec<Exchange> {
    let pattern = (0..=255_u8).cycle().map(|at| at.wrapping_mul(31).wrapping_add(7));
    let body: Vec<u8> = pattern.take(size).collect();
    let fields = |pairs: &[(&str, String)]| -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![value.clone()])).collect()
    };
    (0..count)
        .map(|number| Exchange {
            method: "POST".to_owned(),
            uri: format!("/echo?number={number}"),
            request_headers: fields(&[
                ("host", "syscalls".to_owned()),
                ("content-length", size.to_string()),
            ]),
            request_body: body.clone(),
            status: 200,
            response_headers: fields(&[
                ("server", "syscalls".to_owned()),
                ("content-length", size.to_string()),
            ]),
            response_body: body.clone(),
        })
        .collect()
}

fn check_client(folder: &Path, hook: &'static str, family: Family, read: &str, write: &str) {
    let server = servers::syscalls(folder, family, "read", "write", "threads").unwrap();
    let collect = Collect::start(folder).unwrap();
    let setup = Setup {
        hook: Some(hook),
        labels: vec![("weir.dev/exe", "fetch".to_owned())],
        direction: "Outbound",
        log: Some("debug"),
        ..Setup::port(0, vec![collect.endpoint(Transport::Grpc)])
    };
    // The same program under another name, so that only the client is captured. It starts
    // after the capture: its process has to be found by its exec. Until then it waits, since
    // what a process does in its first moments is not what this test is about.
    let fetch = folder.join("fetch");
    fs::copy(artifacts::syscalls().unwrap(), &fetch).unwrap();
    let mut run = Run::start(folder, &setup).unwrap();
    let go = folder.join("go");
    let (count, size) = (40, 3000);
    let mut client = command(&fetch);
    client.args(["fetch", family.word(), &server.address.port().to_string(), read, write]);
    client.args([count.to_string(), size.to_string()]).arg(&go);
    let mut client = Running::start("fetch", folder, client).unwrap();
    run.process.wait_for_text(&format!("capturing pid={} ", client.pid())).unwrap();
    fs::write(&go, "").unwrap();
    assert!(client.wait_exit().unwrap().success(), "{}", client.output());
    run.finish().unwrap();
    let pairs = collect.finish().unwrap();
    let differences = compare(&client_truth(count, size), &pairs, Bodies::Exact);
    assert!(differences.is_empty(), "{hook} {family:?} {read} {write}\n{differences}");
    assert!(pairs.iter().all(|pair| pair.direction == "OUT"));
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_client_that_starts_after_the_capture_is_captured_with_every_system_call() {
    for hook in HOOKS {
        for (read, write) in CALLS {
            let folder = tempfile::tempdir().unwrap();
            check_client(folder.path(), hook, Family::V4, read, write);
        }
        for family in [Family::V6, Family::Mapped] {
            let folder = tempfile::tempdir().unwrap();
            check_client(folder.path(), hook, family, "read", "write");
        }
    }
}
