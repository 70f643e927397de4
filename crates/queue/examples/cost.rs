//! Prints the CPU time that a record costs on its way through a log on disk, beside one in memory.
//! Run with `--release`; takes the folder to use.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people to run")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use weir_queue::{Bounds, Disk, Log, Memory, Tally, WhenFull};

const RECORDS: u64 = 400_000;
const RECORD_BYTES: usize = 2000;
const BATCH: u64 = 512;
const SYNC_EVERY: Duration = Duration::from_millis(200);
const BOUNDS: Bounds = Bounds { bytes: 1 << 30, when_full: WhenFull::DropOldest };

/// Time on a processor, of all threads.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Everything appended by frames of `frame` records, taken and acknowledged by batches.
fn pass(mut log: Log, frame: u64) -> Duration {
    let body = vec![b'x'; RECORD_BYTES * usize::try_from(frame).unwrap()];
    let counts: Tally = [(log.label("default/all"), frame)].into_iter().collect();
    let (started, mut synced, mut waiting) = (cpu(), Instant::now(), 0);
    for _ in 0..RECORDS / frame {
        assert_eq!(log.append(&counts, &body).refused, None);
        waiting += frame;
        while waiting >= BATCH {
            let mut taken = 0;
            while taken + frame <= BATCH {
                taken += log.take().unwrap().unwrap().counts.total();
            }
            log.acknowledge();
            waiting -= taken;
        }
        if synced.elapsed() >= SYNC_EVERY {
            if let Some(job) = log.sync_job().unwrap() {
                job.run().unwrap();
            }
            synced = Instant::now();
        }
    }
    cpu().saturating_sub(started)
}

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    for frame in [1, 20, 128] {
        let each = |name: &str, log: Log| {
            let nanoseconds = pass(log, frame).as_nanos() / u128::from(RECORDS);
            println!("{name}, frames of {frame} records: {nanoseconds} ns a record");
        };
        let (memory, _) = Log::open(Box::new(Memory::default()), BOUNDS).unwrap();
        each("memory", memory);
        let disk = Disk::open(&Path::new(&folder).join(format!("cost-{frame}"))).unwrap();
        let (mut disk, _) = Log::open(Box::new(disk), BOUNDS).unwrap();
        disk.clear();
        each("disk  ", disk);
    }
}
