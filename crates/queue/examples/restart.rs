//! How long a start takes and how much memory it needs, by backlog: `restart FOLDER GIB`.
//!
//! Fills a log in FOLDER up to GIB gibibytes, ends it without care as a kill would, opens it
//! again and takes one frame.
#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{error::Error, path::Path, time::Instant};

use weir_queue::{Bounds, Disk, Log, Tally, WhenFull};

const FRAME_BYTES: usize = 256 << 10;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: restart FOLDER GIB")?;
    let gib: u64 = arguments.next().ok_or("usage: restart FOLDER GIB")?.parse()?;
    let bytes = gib << 30;
    let bounds = Bounds { bytes, when_full: WhenFull::DropNewest };
    let open = || -> Result<Log, Box<dyn Error>> {
        Ok(Log::open(Box::new(Disk::open(Path::new(&folder))?), bounds)?.0)
    };
    let mut log = open()?;
    let counts: Tally = [(log.label("default/all"), 128)].into_iter().collect();
    let frame: Vec<u8> = (0..=255).cycle().take(FRAME_BYTES).collect();
    let started = Instant::now();
    while log.append(&counts, &frame).refused.is_none() {}
    let filled = started.elapsed();
    println!(
        "filled with {} records, {} bytes: {filled:?}",
        log.waiting().total(),
        log.stored_bytes()
    );
    let started = Instant::now();
    if let Some(job) = log.sync_job()? {
        job.run()?;
    }
    println!("synced: {:?}", started.elapsed());
    drop(log);
    let before = resident_kib();
    let started = Instant::now();
    let mut log = open()?;
    let opened = started.elapsed();
    let first = log.take()?.ok_or("nothing is there")?;
    println!(
        "opened: {opened:?}, {} segments, {} records, first of {} bytes, {} KiB more memory",
        log.segment_count(),
        log.waiting().total(),
        first.body().len(),
        resident_kib().saturating_sub(before),
    );
    Ok(())
}
