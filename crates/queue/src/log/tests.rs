use super::*;
use crate::{Memory, simulated::Simulated};

mod model;

const BOUNDS: Bounds = Bounds { bytes: 64 << 10, when_full: WhenFull::DropOldest };

fn open(storage: &Simulated, bounds: Bounds) -> Log {
    let (log, dropped) = Log::open(Box::new(storage.clone()), bounds).unwrap();
    assert!(dropped.is_empty());
    log
}

fn one(log: &mut Log, label: &str) -> Tally {
    [(log.label(label), 1)].into_iter().collect()
}

fn append(log: &mut Log, body: &[u8]) -> Appended {
    let counts = one(log, "a");
    log.append(&counts, body)
}

fn take(log: &mut Log) -> Option<Vec<u8>> {
    log.take().unwrap().map(|frame| frame.body().to_vec())
}

fn all(log: &mut Log) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| take(log)).collect()
}

/// `count` frames of 1000 bytes that say which one they are.
fn numbered(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number; 1000]).collect()
}

fn fill(log: &mut Log, frames: &[Vec<u8>]) {
    for frame in frames {
        assert_eq!(append(log, frame), Appended::default());
    }
}

#[test]
fn frames_leave_in_order_and_once_and_a_restart_gives_those_without_an_answer_again() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    let frames = numbered(20);
    fill(&mut log, &frames);
    assert_eq!(take(&mut log).as_ref(), frames.first());
    log.acknowledge();
    assert_eq!(take(&mut log).as_ref(), frames.get(1));
    drop(log);
    let mut log = open(&storage, BOUNDS);
    assert_eq!(log.waiting().total(), 19);
    assert_eq!(all(&mut log), frames[1..]);
    log.acknowledge();
    assert_eq!((log.waiting_bytes(), log.is_empty()), (0, true));
    assert!(storage.segments().len() <= 1);
    assert_eq!(open(&storage, BOUNDS).waiting().total(), 0);
}

#[test]
fn the_size_of_the_next_frame_is_known_before_it_is_taken() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    assert_eq!(log.peek().unwrap(), None);
    fill(&mut log, &numbered(1));
    let counts: Tally = [(log.label("a"), 7)].into_iter().collect();
    assert_eq!(log.append_parts(&counts, &[b"in", b"", b"parts"]), Appended::default());
    let ahead = log.peek().unwrap().unwrap();
    assert_eq!((ahead.records, ahead.bytes), (1, 1000 + 13));
    drop(take(&mut log));
    assert_eq!(log.peek().unwrap().unwrap().records, 7);
    let frame = log.take().unwrap().unwrap();
    assert_eq!((frame.body(), frame.labels.as_slice()), (&b"inparts"[..], &[log.label("a")][..]));
    assert_eq!(log.peek().unwrap(), None);
    log.give_back();
    storage.damage(storage.segments()[0], frame::SEGMENT_HEADER + 3);
    assert_eq!(log.peek().unwrap(), None, "only taking it tells what comes behind the damage");
    assert_eq!(log.take().unwrap().unwrap().counts, counts);
}

#[test]
fn what_is_given_back_comes_again_before_the_rest() {
    let mut log = open(&Simulated::default(), BOUNDS);
    let frames = numbered(12);
    fill(&mut log, &frames);
    (0..7).for_each(|_| drop(take(&mut log)));
    assert_eq!(log.waiting().total(), 5);
    assert_eq!(log.give_back().total(), 7);
    assert_eq!(all(&mut log), frames);
}

#[test]
fn a_full_log_drops_its_oldest_segment_and_never_takes_more_than_its_bytes() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    let (mut dropped, frames) = (0, numbered(200));
    for frame in &frames {
        let appended = append(&mut log, frame);
        assert_eq!(appended.refused, None);
        dropped += appended.dropped.total();
        assert!(storage.bytes() <= BOUNDS.bytes && log.stored_bytes() <= BOUNDS.bytes);
    }
    assert_eq!(log.waiting().total(), 200 - dropped);
    assert!(dropped < 200 - 50, "most of the room is used: {dropped}");
    assert_eq!(all(&mut log), frames[usize::try_from(dropped).unwrap()..]);
}

#[test]
fn a_full_log_may_keep_what_it_has() {
    let mut log = open(&Simulated::default(), Bounds { when_full: WhenFull::DropNewest, ..BOUNDS });
    let frames = numbered(100);
    let taken = frames.iter().take_while(|frame| append(&mut log, frame).refused.is_none()).count();
    assert_eq!(append(&mut log, &frames[0]).refused, Some(Refusal::Full));
    assert_eq!(all(&mut log), frames[..taken]);
    log.acknowledge();
    assert_eq!(append(&mut log, &frames[0]), Appended::default(), "there is room again");
}

#[test]
fn a_frame_larger_than_the_log_is_refused_and_nothing_gives_way() {
    let mut log = open(&Simulated::default(), BOUNDS);
    fill(&mut log, &numbered(1));
    let appended = append(&mut log, &vec![0; 64 << 10]);
    assert_eq!((appended.refused, appended.dropped), (Some(Refusal::TooLarge), Tally::default()));
    assert_eq!(all(&mut log), numbered(1));
}

#[test]
fn records_are_counted_by_label_through_drops_and_restarts() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    let (a, b) = (log.label("default/all"), log.label("default/all default/two"));
    let counts: Tally = [(a, 3), (b, 2)].into_iter().collect();
    (0..10).for_each(|_| assert_eq!(log.append(&counts, &[0; 900]), Appended::default()));
    let taken = log.take().unwrap().unwrap();
    assert_eq!(taken.counts, counts);
    log.acknowledge();
    let mut log = open(&storage, BOUNDS);
    let by_text: Vec<_> =
        log.waiting().iter().map(|(label, n)| (log.text(label).to_owned(), n)).collect();
    let expected = [("default/all".to_owned(), 27), ("default/all default/two".to_owned(), 18)];
    assert_eq!(by_text, expected);
    assert_eq!(log.set_bounds(Bounds { bytes: 0, ..BOUNDS }).total(), 45);
    assert_eq!(log.segment_count(), 0);
}

#[test]
fn a_torn_tail_is_cut_off_counted_and_does_not_stop_the_start() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    fill(&mut log, &numbered(3));
    drop(log);
    let name = storage.segments()[0];
    let whole = storage.file(name).unwrap().len();
    storage.cut(name, whole - 1);
    let mut log = open(&storage, BOUNDS);
    let damage = log.take_damage();
    assert!(damage.bytes > 1000 && damage.records.is_empty(), "{damage:?}");
    fill(&mut log, &numbered(1));
    assert_eq!(all(&mut log), [&numbered(2)[..], &numbered(1)].concat());
    assert_eq!(log.take_damage(), Damage::default(), "it is counted once");
}

#[test]
fn a_damaged_frame_costs_itself_alone_and_is_counted_by_label() {
    // Any byte of a frame in the middle: header, labels, body.
    for place in [0, 4, 16, 25, 40, 500] {
        let storage = Simulated::default();
        let mut log = open(&storage, BOUNDS);
        fill(&mut log, &numbered(3));
        let name = storage.segments()[0];
        let second = (storage.file(name).unwrap().len() - frame::SEGMENT_HEADER) / 3;
        storage.damage(name, frame::SEGMENT_HEADER + second + place);
        let frames = numbered(3);
        assert_eq!(all(&mut log), [frames[0].clone(), frames[2].clone()], "{place}");
        let damage = log.take_damage();
        assert_eq!(damage.records.total(), 1, "{place}");
        assert_eq!(damage.bytes, second as u64, "{place}");
    }
}

#[test]
fn a_lost_cursor_repeats_frames_and_loses_none() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    fill(&mut log, &numbered(3));
    drop(take(&mut log));
    log.acknowledge();
    drop(log);
    storage.cut(FileName::Cursor, 10);
    assert_eq!(all(&mut open(&storage, BOUNDS)), numbered(3));
}

#[test]
fn a_full_disk_is_like_a_full_log_but_costs_one_segment_at_most_while_it_lasts() {
    for when_full in [WhenFull::DropOldest, WhenFull::DropNewest] {
        let storage = Simulated::default();
        let mut log = open(&storage, Bounds { when_full, ..BOUNDS });
        fill(&mut log, &numbered(20));
        storage.set_room(Some(10));
        let frame = vec![99; 1000];
        let appended = append(&mut log, &frame);
        let gives_way = when_full == WhenFull::DropOldest;
        assert_eq!(appended.refused, (!gives_way).then_some(Refusal::NoSpace));
        assert_eq!(!appended.displaced.is_empty(), gives_way);
        // Somebody else takes whatever is given back.
        let mut dropped = 0;
        for _ in 0..10 {
            storage.set_room(Some(0));
            let appended = append(&mut log, &vec![98; 3000]);
            assert_eq!(appended.refused.is_none(), appended.displaced.total() > 0 && gives_way);
            dropped += appended.displaced.total();
            if appended.refused.is_some() {
                assert_eq!(append(&mut log, &frame).displaced, Tally::default());
            }
        }
        assert!(dropped <= 10 * 4, "{dropped}");
        storage.set_room(None);
        assert_eq!(append(&mut log, &frame), Appended::default(), "there is room again");
        let waiting = log.waiting().total();
        assert_eq!(all(&mut log).len() as u64, waiting);
        assert_eq!(log.take_damage(), Damage::default(), "halves of frames were taken back");
    }
}

#[test]
fn a_failing_disk_refuses_frames_and_the_log_goes_on_afterwards() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    fill(&mut log, &numbered(2));
    storage.fail_write(0);
    let refused = append(&mut log, &[7; 1000]).refused;
    assert!(matches!(refused, Some(Refusal::Failed(_))), "{refused:?}");
    fill(&mut log, &numbered(1));
    assert_eq!(all(&mut log), [&numbered(2)[..], &numbered(1)].concat());
}

#[test]
fn after_a_failed_sync_the_log_goes_on_in_a_new_segment() {
    let storage = Simulated::default();
    let mut log = open(&storage, BOUNDS);
    fill(&mut log, &numbered(1));
    storage.fail_syncs(true);
    assert!(log.sync_job().unwrap().unwrap().run().is_err());
    log.sync_failed();
    fill(&mut log, &numbered(1));
    assert_eq!(storage.segments().len(), 2);
}

#[test]
fn a_start_reads_footers_and_not_the_frames_of_finished_segments() {
    let storage = Simulated::default();
    let large = Bounds { bytes: 1 << 20, ..BOUNDS };
    let mut log = open(&storage, large);
    fill(&mut log, &numbered(250));
    drop(log);
    let segments = storage.segments();
    assert!(segments.len() > 3);
    // A start that read the frames would notice.
    for name in &segments[..segments.len() - 1] {
        storage.damage(*name, 5_000);
    }
    let mut log = open(&storage, large);
    assert_eq!((log.waiting().total(), log.take_damage()), (250, Damage::default()));
    let read = all(&mut log).len();
    assert_eq!(log.take_damage().records.total(), 250 - read as u64, "it is found when it is read");
    assert_eq!(read, 250 - (segments.len() - 1));
}

#[test]
fn memory_and_a_folder_behave_alike() {
    let folder = tempfile::tempdir().unwrap();
    let disk = crate::Disk::open(folder.path()).unwrap();
    assert!(matches!(crate::Disk::open(folder.path()), Err(crate::OpenDisk::InUse)));
    let storages: [Box<dyn Storage>; 2] = [Box::new(disk), Box::new(Memory::default())];
    let bounds = Bounds { bytes: 1 << 20, ..BOUNDS };
    for storage in storages {
        let (mut log, _) = Log::open(storage, bounds).unwrap();
        let frames = numbered(100);
        fill(&mut log, &frames);
        log.sync_job().unwrap().unwrap().run().unwrap();
        assert!(log.sync_job().unwrap().is_none());
        assert_eq!(all(&mut log), frames);
        log.give_back();
    }
    let disk = crate::Disk::open(folder.path()).unwrap();
    let (mut log, _) = Log::open(Box::new(disk), bounds).unwrap();
    assert_eq!(all(&mut log), numbered(100));
}
