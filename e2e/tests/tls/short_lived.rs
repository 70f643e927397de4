//! Many processes with one connection each.

use std::{fs, process::Command};

use weir_e2e::{
    capture::{Collect, Run, Setup, Transport},
    process::run,
    servers,
};

const WARM_UP: u64 = 20;
const CLIENTS: u64 = 200;

/// Descriptors of eBPF programs, maps and links; each probe is one.
fn held(pid: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("bpf")).count()
}

/// So many processes, four at a time, with one request each.
fn clients(count: u64, port: u16) {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(
        "seq {count} | xargs -P4 -I% curl -sSfk --noproxy '*' -o /dev/null \
         https://127.0.0.1:{port}/bytes/%"
    ));
    run(shell).unwrap();
}

#[test]
#[ignore = "needs root and eBPF"]
fn two_hundred_short_lived_clients_are_read_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::node_tls(folder.path()).unwrap();
    let collect = Collect::start(folder.path()).unwrap();
    let endpoint = collect.endpoint(Transport::Grpc);
    let port = server.address.port();
    let setup = Setup {
        labels: vec![("weir.dev/exe", "curl".to_owned())],
        direction: "Outbound",
        ports: vec![port],
        ..Setup::port(0, vec![endpoint])
    };
    let mut run = Run::start(folder.path(), &setup).unwrap();
    clients(WARM_UP, port);
    run.wait_for_ledger("the first pairs", |ledger| ledger.pairs > 0).unwrap();
    let before = held(run.process.pid());
    assert!(before > 0);
    clients(CLIENTS, port);
    assert_eq!(held(run.process.pid()), before);
    let ledger = run.finish().unwrap();
    let (pairs, all) = (collect.finish().unwrap().len() as u64, WARM_UP + CLIENTS);
    println!("{pairs} of {all} short-lived clients were read: {ledger:?}");
    assert!(ledger.balances() && ledger.half_pairs == 0, "{ledger:?}");
    // The first connection of a new process may be missed while the agent decides about it.
    assert!(pairs <= all && pairs * 4 >= all * 3, "{pairs} of {all}: {ledger:?}");
}
