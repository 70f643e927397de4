//! The queue in a folder, through restarts and with a disk that fails.

use std::{fs, path::Path};

use super::*;

fn stored(folder: &Path, bytes: u64) -> (Arc<Queue>, Route) {
    let (queue, route) = queue(bytes, WhenFull::DropOldest);
    queue.store_in(folder).unwrap();
    (queue, route)
}

#[test]
fn a_killed_process_leaves_every_record_to_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let (folder, copy) = (root.path().join("queue"), root.path().join("copy"));
    {
        let (queue, route) = stored(&folder, 100_000);
        let two = queue.route(&[key("all"), key("two")]);
        push(&queue, chunk(route, &[b"a", b"b"]));
        push(&queue, chunk(two, &[b"c"]));
        accept(take(&queue), 0);
        push(&queue, chunk(two, &[b"d"]));
        push(&queue, chunk(route, &[b"e", b"f"]));
        assert!(queue_in(&folder).is_err(), "another process may not use it");
        // Copied while a batch is on its way: this is what a process that is killed leaves.
        let _on_its_way = take(&queue);
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
    }
    let (queue, route) = stored(&copy, 100_000);
    let all = counts(&queue);
    assert_eq!((all.seen, all.recovered, all.queued), (0, 3, 3));
    let of_two = &queue.read().routes[1];
    assert_eq!((&*of_two.0, of_two.1.recovered), (&[key("all"), key("two")][..], 1));
    push(&queue, chunk(route, &[b"g"]));
    assert_eq!(waiting(&queue), b"defg");
    assert_eq!(counts(&queue).exported, 4);
}

fn queue_in(folder: &Path) -> Result<(), impl std::error::Error> {
    queue(100_000, WhenFull::DropOldest).0.store_in(folder)
}

#[test]
fn a_stopped_queue_keeps_on_disk_what_waits() {
    let root = tempfile::tempdir().unwrap();
    let (first, route) = stored(root.path(), 100_000);
    push(&first, chunk(route, &[b"a"]));
    first.stop();
    assert_eq!((counts(&first).queued, counts(&first).shed_total()), (1, 0));
    push(&first, chunk(route, &[b"b"]));
    assert_eq!(counts(&first).shed, [(ShedReason::Stopped, 1)].into());
    drop(first);
    let (second, _) = stored(root.path(), 100_000);
    assert_eq!(waiting(&second), b"a");
}

#[test]
fn a_backlog_beyond_a_smaller_queue_is_shed_at_the_start_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let (first, route) = stored(root.path(), 200_000);
    push_numbered(&first, route, 100);
    drop(first);
    let (second, _) = stored(root.path(), 50_000);
    let all = counts(&second);
    assert_eq!((all.recovered, all.seen), (100, 0));
    assert!(all.shed[&ShedReason::QueueFull] > 50 && all.queued > 30, "{all:?}");
}

#[test]
fn damaged_records_are_counted_and_the_others_leave() {
    let root = tempfile::tempdir().unwrap();
    let (first, route) = stored(root.path(), 200_000);
    push_numbered(&first, route, 8);
    let segments = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.filter(|path| path.to_string_lossy().contains("segment-")).min();
    let segment = segment.unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[2500] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert_eq!(waiting(&first), [0, 1, 3, 4, 5, 6, 7]);
    assert_eq!(counts(&first).shed, [(ShedReason::Damaged, 1)].into());
    assert!(first.read().damaged_bytes > 1000);
}

#[test]
fn without_its_folder_a_queue_works_in_memory_and_moves_when_it_is_empty() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("in the way");
    fs::write(&folder, "a file").unwrap();
    let (queue, route) = queue(100_000, WhenFull::DropOldest);
    assert!(queue.store_in(&folder).is_err());
    assert!(queue.read().trouble.unwrap().contains("in the way"));
    push(&queue, chunk(route, &[b"a"]));
    fs::remove_file(&folder).unwrap();
    queue.sync();
    assert!(!folder.exists(), "what is in memory is delivered first");
    assert_eq!(waiting(&queue), b"a");
    queue.sync();
    assert_eq!(queue.read().trouble, None);
    push(&queue, chunk(route, &[b"b"]));
    drop(queue);
    let (next, _) = stored(&folder, 100_000);
    assert_eq!((waiting(&next).as_slice(), counts(&next).recovered), (&b"b"[..], 1));
}

#[test]
fn frames_of_another_layout_are_counted_as_damaged() {
    let root = tempfile::tempdir().unwrap();
    let disk = weir_queue::Disk::open(root.path()).unwrap();
    let bounds = weir_queue::Bounds { bytes: 1 << 20, when_full: weir_queue::WhenFull::DropOldest };
    let (mut log, _) = weir_queue::Log::open(Box::new(disk), bounds).unwrap();
    let records = [(log.label("default/all"), 3)].into_iter().collect();
    assert_eq!(log.append(&records, b"c9 of a later version").refused, None);
    drop(log);
    let (queue, route) = stored(root.path(), 100_000);
    push(&queue, chunk(route, &[b"a"]));
    assert_eq!(waiting(&queue), b"a");
    assert_eq!(counts(&queue).shed, [(ShedReason::Damaged, 3)].into());
}
