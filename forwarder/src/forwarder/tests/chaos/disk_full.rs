//! A disk that is full before the queue is.

use super::*;

/// A file system of its own size; gone with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn of(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        assert!(mount.status().unwrap().success());
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0.path()).status().ok();
    }
}

#[test]
#[ignore = "needs root, for a small file system"]
fn a_full_disk_costs_the_oldest_and_every_other_record_arrives() {
    let disk = SmallDisk::of("256k");
    let receiver = Receiver::start(Speaks::Http1);
    let proxy = Proxy::start(receiver.port, Transport::Http);
    proxy.be(Manner::Down);
    let mut kernel = Kernel::new();
    let queues = disk.0.path().join("queues");
    let forwarder = forwarder(&kernel, |config| config.queue_dir = Some(queues));
    let mut one = exporter("chaos", proxy.port, Transport::Http);
    one.queue_bytes = 1 << 20;
    forwarder.apply(plan(vec![one]));
    kernel.open(1, Call::SERVER);
    let mut sent = 0;
    while forwarder.ledger().records().shed_total() == 0 || sent < 300 {
        assert!(sent < 10_000, "{:?}", forwarder.ledger());
        exchange(&mut kernel, 1, Call::SERVER, &format!("/{sent}"));
        sent += 1;
        wait_until(Instant::now() + PATIENCE, || forwarder.ledger().records().seen == sent);
    }
    let ledger = forwarder.ledger();
    ledger.check().unwrap();
    let shed = &ledger.records().shed;
    assert!(shed.keys().all(|reason| *reason == ShedReason::DiskFull), "{shed:?}");
    proxy.be(Manner::Pass);
    assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
    let records = forwarder.stop().records();
    assert_eq!(records.exported + records.shed_total(), sent);
    let arrived: BTreeSet<_> = receiver.locations().into_iter().collect();
    assert_eq!(arrived.len() as u64, records.exported);
    assert!(arrived.contains(&format!("/{}", sent - 1)), "the newest is there");
    assert!(records.exported > 20, "most of the disk is used: {records:?}");
}
