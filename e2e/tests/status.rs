//! `weir status` beside a forwarder that is busy: whenever it is asked, every record is in
//! exactly one count.
#![cfg(test)]

use std::{
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use rustix::process::Signal;
use weir_e2e::{
    artifacts,
    capture::{Collect, Endpoint, Run, Setup, Transport},
    load::{Load, Mix},
    process::free_port,
    servers,
    wait::{self, PATIENCE},
};

/// Looks under load at the least.
const LOOKS: usize = 20;
/// Of them, those that find more than the one before.
const GROWTHS: usize = 4;

fn status(address: &str) -> Output {
    Command::new(artifacts::weir().unwrap()).args(["status", address]).output().unwrap()
}

/// A line of the table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Row {
    exporter: String,
    seen: u64,
    exported: u64,
    queued: u64,
}

/// The table, read by its headings; every row is checked for its sum.
fn rows(output: &Output) -> Vec<Row> {
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let headings = lines.next().unwrap();
    let rows = lines.take_while(|cells| cells.len() == headings.len());
    rows.map(|cells| {
        let cell = |name: &str| {
            let place = headings.iter().position(|heading| *heading == name);
            cells[place.unwrap_or_else(|| panic!("no {name} in {headings:?}"))]
        };
        let number = |name: &str| cell(name).parse::<u64>().unwrap();
        let known = ["EXPORTED", "FILTERED", "SAMPLED", "SHED", "UNDECODABLE", "QUEUED"];
        let known = known.iter().map(|name| number(name)).sum::<u64>();
        assert_eq!(number("SEEN") + number("RECOVERED"), known, "{text}");
        Row {
            exporter: cell("EXPORTER").to_owned(),
            seen: number("SEEN"),
            exported: number("EXPORTED"),
            queued: number("QUEUED"),
        }
    })
    .collect()
}

/// How often this number of an exporter was larger than at the look before.
fn growths(looked: &[Vec<Row>], exporter: &str, count: fn(&Row) -> u64) -> usize {
    let of =
        |rows: &Vec<Row>| rows.iter().find(|row| row.exporter.ends_with(exporter)).map_or(0, count);
    looked.windows(2).filter(|two| of(&two[0]) < of(&two[1])).count()
}

#[test]
#[ignore = "needs root and eBPF"]
fn every_record_is_in_one_count_whenever_status_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::go(folder.path()).unwrap();
    let collect = Collect::start(folder.path()).unwrap();
    let away = Endpoint { name: "away", port: free_port().unwrap(), transport: Transport::Grpc };
    let exporters = vec![collect.endpoint(Transport::Http), away];
    let setup = Setup::port(server.address.port(), exporters);
    let run = Run::start(folder.path(), &setup).unwrap();
    let address = format!("127.0.0.1:{}", run.admin);
    let stop = AtomicBool::new(false);
    let (sent, looked) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            for seed in 0.. {
                sent += Load { seed, ..Load::new(server.address, Mix::Sized) }.run().unwrap().len();
                if stop.load(Ordering::Relaxed) {
                    return sent;
                }
            }
            sent
        });
        let mut looked: Vec<Vec<Row>> = Vec::new();
        // Until both were seen at work: one exporter delivers, the other one's queue grows.
        let began = Instant::now();
        while looked.len() < LOOKS
            || growths(&looked, "collect", |row| row.exported) < GROWTHS
            || growths(&looked, "away", |row| row.queued) < GROWTHS
        {
            looked.push(rows(&status(&address)));
            assert!(began.elapsed() < PATIENCE, "{:?}", looked.last());
        }
        stop.store(true, Ordering::Relaxed);
        (load.join().unwrap(), looked)
    });
    // What is seen never becomes less.
    for two in looked.windows(2) {
        for (before, after) in two[0].iter().zip(&two[1]) {
            assert!(before.seen <= after.seen && before.exported <= after.exported, "{two:?}");
        }
    }
    // A debug build under this load may lose pairs and shed records; they are in the counts, too.
    let sent = u64::try_from(sent).unwrap();
    let mut last = Vec::new();
    let delivered = wait::until("the collector to have all that waited for it", || {
        last = rows(&status(&address));
        let find = |name: &str| last.iter().find(|row| row.exporter == format!("default/{name}"));
        let (away, collect) = (find("away")?, find("collect")?);
        let settled = collect.queued == 0 && collect.seen == away.seen;
        (settled && collect.exported > 0 && (away.exported, away.queued > 0) == (0, true))
            .then_some(collect.seen)
    });
    assert!(delivered.is_ok_and(|seen| seen <= sent), "{sent} sent, {last:?}");
    // Nobody there any more: that is said, and is no success.
    run.process.signal(Signal::KILL).unwrap();
    let gone = || Some(status(&address)).filter(|output| output.status.code() == Some(2));
    let output = wait::until("weir run is gone", gone).unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}
