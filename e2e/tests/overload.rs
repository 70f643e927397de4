//! The ledger at overload: every request is a pair, a half pair, or counted as lost.
#![cfg(test)]

use std::path::Path;

use rustix::process::Signal;
use weir_e2e::{
    capture::{Collect, HOOKS, Run, Setup, Transport},
    ledger::Ledger,
    load::{Load, Mix},
    servers::{self, Server},
    truth::{Exchange, Pair},
};

/// Complete pairs must be true even when others are missing; gives how many there are.
fn check_true(sent: &[Exchange], pairs: &[Pair]) -> u64 {
    let mut complete = 0;
    for pair in pairs.iter().filter(|pair| !pair.is_half()) {
        let uri = pair.uri.as_deref().unwrap();
        let exchange = sent.iter().find(|exchange| exchange.uri == uri).unwrap();
        let response = pair.response.as_ref().unwrap();
        assert_eq!(exchange.status, response.status, "{uri}");
        assert_eq!(exchange.method, pair.method, "{uri}");
        // A body may have a hole, but what is there is of this exchange and no other.
        if !pair.has_hole() {
            assert!(exchange.request_body == pair.request_body, "{uri}: request body");
            assert!(exchange.response_body == response.body, "{uri}: response body");
        }
        complete += 1;
    }
    complete
}

fn check_balance(sent: &[Exchange], pairs: &[Pair], ledger: &Ledger) {
    let complete = check_true(sent, pairs);
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(ledger.exported, pairs.len() as u64, "{ledger:?}");
    assert_eq!(complete, ledger.pairs - ledger.half_pairs, "{ledger:?}");
    assert_eq!(sent.len() as u64, ledger.pairs + ledger.lost_exchanges, "{ledger:?}");
}

fn start(folder: &Path, server: &Server, hook: &'static str, ring: &'static str) -> (Collect, Run) {
    let collect = Collect::start(folder).unwrap();
    let setup = Setup {
        hook: Some(hook),
        ring_size: Some(ring),
        ..Setup::port(server.address.port(), vec![collect.endpoint(Transport::Grpc)])
    };
    let run = Run::start(folder, &setup).unwrap();
    (collect, run)
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_ledger_balances_when_the_reader_was_stopped() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::go(folder.path()).unwrap();
        let (collect, run) = start(folder.path(), &server, hook, "64Ki");
        let load = Load { connections: 16, ..Load::new(server.address, Mix::Sized) };
        let mut sent = load.run().unwrap();
        run.process.signal(Signal::STOP).unwrap();
        // Far more than the ring holds; some connections end while nobody reads.
        sent.extend(Load { seed: 2, ..load }.run().unwrap());
        run.process.signal(Signal::CONT).unwrap();
        sent.extend(Load { seed: 3, ..load }.run().unwrap());
        let ledger = run.finish().unwrap();
        let pairs = collect.finish().unwrap();
        assert!(ledger.lost_exchanges > 0, "nothing was lost: {ledger:?}");
        check_balance(&sent, &pairs, &ledger);
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_ledger_balances_when_a_connection_lives_on_through_the_overload() {
    use weir_e2e::http::{Connection, Request};
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::go(folder.path()).unwrap();
        let (collect, run) = start(folder.path(), &server, hook, "64Ki");
        let mut connections: Vec<Connection> =
            (0..8).map(|_| Connection::open(server.address).unwrap()).collect();
        let mut sent = Vec::new();
        let mut round = |connections: &mut [Connection], name: &str, requests: usize| {
            for number in 0..requests {
                for (at, connection) in connections.iter_mut().enumerate() {
                    let target = format!("/echo?{name}={number}.{at}");
                    let request = Request::post(target, vec![b'x'; 700]);
                    sent.push(connection.exchange(&request).unwrap());
                }
            }
        };
        round(&mut connections, "before", 10);
        run.process.signal(Signal::STOP).unwrap();
        round(&mut connections, "during", 50);
        run.process.signal(Signal::CONT).unwrap();
        round(&mut connections, "after", 100);
        let ledger = run.finish().unwrap();
        let pairs = collect.finish().unwrap();
        check_balance(&sent, &pairs, &ledger);
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_ledger_balances_when_the_ring_is_too_small_for_the_load() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::node(folder.path()).unwrap();
        let (collect, run) = start(folder.path(), &server, hook, "64Ki");
        let load =
            Load { requests: 40, body_limit: 200_000, ..Load::new(server.address, Mix::Sized) };
        let sent = load.run().unwrap();
        let ledger = run.finish().unwrap();
        check_balance(&sent, &collect.finish().unwrap(), &ledger);
    }
}
