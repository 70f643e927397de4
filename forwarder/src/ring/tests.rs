use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::{
    DrainEnd, Drained, Ring, RingError, Waiter,
    simulated::{Commit, SimulatedRing},
};

const BYTES: usize = 4096 * 16;

fn ring() -> (SimulatedRing, Ring) {
    let kernel = SimulatedRing::new(rustix::param::page_size().max(4096), 0);
    let reader = Ring::map(kernel.fd(), kernel.bytes()).unwrap();
    (kernel, reader)
}

fn drain(reader: &mut Ring) -> (Vec<Vec<u8>>, Drained) {
    let mut seen = Vec::new();
    let drained = reader.drain(usize::MAX, &mut |record| seen.push(record.to_vec()));
    (seen, drained)
}

#[test]
fn records_come_in_order_and_free_their_room() {
    let (mut kernel, mut reader) = ring();
    kernel.push(b"one", Commit::Submitted).unwrap();
    kernel.push(b"", Commit::Submitted).unwrap();
    kernel.push(b"twelve bytes", Commit::Submitted).unwrap();
    let (seen, drained) = drain(&mut reader);
    assert_eq!(seen, [&b"one"[..], b"", b"twelve bytes"]);
    assert_eq!(drained, Drained { records: 3, bytes: 16 + 8 + 24, end: DrainEnd::Empty });
    assert_eq!(kernel.consumed(), 48);
    assert_eq!(reader.waiting_bytes(), 0);
}

#[test]
fn discarded_records_are_stepped_over() {
    let (mut kernel, mut reader) = ring();
    kernel.push(b"gone", Commit::Discarded).unwrap();
    kernel.push(b"here", Commit::Submitted).unwrap();
    let (seen, drained) = drain(&mut reader);
    assert_eq!(seen, [b"here"]);
    assert_eq!(drained.records, 1);
    assert_eq!(kernel.consumed(), 32);
}

#[test]
fn a_busy_record_holds_back_those_behind_it() {
    let (mut kernel, mut reader) = ring();
    let busy = kernel.push(b"slow", Commit::Busy).unwrap();
    kernel.push(b"fast", Commit::Submitted).unwrap();
    let (seen, drained) = drain(&mut reader);
    assert!(seen.is_empty());
    assert_eq!((drained.end, kernel.consumed()), (DrainEnd::Busy, 0));
    kernel.length_word(busy, 4);
    assert_eq!(drain(&mut reader).0, [b"slow", b"fast"]);
}

#[test]
fn a_record_that_wraps_around_is_one_slice() {
    let (mut kernel, mut reader) = ring();
    let size = kernel.bytes() as usize;
    kernel.push(&vec![1; size - 64], Commit::Submitted).unwrap();
    drain(&mut reader);
    let long: Vec<u8> = (0..=255).collect();
    kernel.push(&long, Commit::Submitted).unwrap();
    assert_eq!(drain(&mut reader).0, [long]);
}

#[test]
fn positions_may_pass_the_end_of_their_type() {
    let mut kernel = SimulatedRing::new(BYTES, usize::MAX - 15);
    let mut reader = Ring::map(kernel.fd(), kernel.bytes()).unwrap();
    for i in 0..10 {
        kernel.push(&[i; 20], Commit::Submitted).unwrap();
        kernel.push(&[i; 3], Commit::Submitted).unwrap();
        assert_eq!(drain(&mut reader).0, [vec![i; 20], vec![i; 3]]);
    }
}

#[test]
fn a_second_reader_goes_on_where_the_first_stopped() {
    let mut kernel = SimulatedRing::new(BYTES, 0);
    kernel.push(b"before", Commit::Submitted).unwrap();
    let mut reader = Ring::map(kernel.fd(), kernel.bytes()).unwrap();
    assert_eq!(drain(&mut reader).0, [b"before"]);
    kernel.push(b"after", Commit::Submitted).unwrap();
    let mut second = Ring::map(kernel.fd(), kernel.bytes()).unwrap();
    assert_eq!(drain(&mut second).0, [b"after"]);
}

#[test]
fn the_limit_of_a_drain_leaves_the_rest_for_the_next() {
    let (mut kernel, mut reader) = ring();
    for byte in 0..4_u8 {
        kernel.push(&[byte; 8], Commit::Submitted).unwrap();
    }
    let drained = reader.drain(32, &mut |_| {});
    assert_eq!(drained, Drained { records: 2, bytes: 32, end: DrainEnd::Limit });
    assert_eq!(drain(&mut reader).0.len(), 2);
}

#[test]
fn a_long_drain_gives_room_back_while_it_runs() {
    let mut kernel = SimulatedRing::new(BYTES * 4, 0);
    for _ in 0..200 {
        kernel.push(&[0; 1000], Commit::Submitted).unwrap();
    }
    let mut reader = Ring::map(kernel.fd(), kernel.bytes()).unwrap();
    let mut freed = Vec::new();
    reader.drain(usize::MAX, &mut |_| freed.push(kernel.consumed()));
    freed.dedup();
    assert_eq!(freed.len(), 4, "0, then after each 64 KiB: {freed:?}");
}

#[test]
fn a_hostile_length_skips_what_waits_and_reading_goes_on() {
    let (mut kernel, mut reader) = ring();
    let bad = kernel.push(b"hostile", Commit::Submitted).unwrap();
    kernel.push(b"lost with it", Commit::Submitted).unwrap();
    kernel.length_word(bad, 0x3fff_ffff);
    let (seen, drained) = drain(&mut reader);
    assert!(seen.is_empty());
    assert_eq!(drained.end, DrainEnd::Corrupt);
    kernel.push(b"sound again", Commit::Submitted).unwrap();
    assert_eq!(drain(&mut reader).0, [b"sound again"]);
}

#[test]
fn odd_sizes_are_refused() {
    let kernel = SimulatedRing::new(BYTES, 0);
    for bytes in [0, 1, 100, 4095, 12_288] {
        let refused = Ring::map(kernel.fd(), bytes);
        assert!(matches!(refused, Err(RingError::Size { .. })), "{bytes}");
    }
}

#[test]
fn a_waker_ends_the_wait() {
    let kernel = SimulatedRing::new(BYTES, 0);
    let mut waiter = Waiter::new().unwrap();
    waiter.watch(kernel.fd().try_clone_to_owned().unwrap()).unwrap();
    assert!(!waiter.wait(Duration::ZERO).unwrap());
    waiter.waker().wake();
    assert!(waiter.wait(Duration::from_mins(1)).unwrap());
    assert!(!waiter.wait(Duration::ZERO).unwrap(), "one wake ends one wait");
}

proptest! {
    /// Whatever mix of records is written, the reader sees the submitted ones, once, in order,
    /// and the ring ends empty.
    #[test]
    fn every_submitted_record_is_seen_once(
        script in prop::collection::vec((0_usize..3000, any::<bool>(), any::<bool>()), 1..200),
    ) {
        let (mut kernel, mut reader) = ring();
        let mut expected = VecDeque::new();
        for (i, (length, submitted, drain_now)) in script.into_iter().enumerate() {
            let payload = vec![u8::try_from(i % 251).unwrap(); length];
            let commit = if submitted { Commit::Submitted } else { Commit::Discarded };
            if kernel.push(&payload, commit).is_some() && submitted {
                expected.push_back(payload);
            }
            if drain_now {
                reader.drain(usize::MAX, &mut |record| {
                    assert_eq!(Some(record), expected.pop_front().as_deref());
                });
            }
        }
        reader.drain(usize::MAX, &mut |record| {
            assert_eq!(Some(record), expected.pop_front().as_deref());
        });
        prop_assert!(expected.is_empty());
        prop_assert_eq!(reader.waiting_bytes(), 0);
    }

    /// No length word makes the reader panic or leave the mapping.
    #[test]
    fn any_length_word_is_survived(word in any::<u32>(), at in 0_usize..3) {
        let (mut kernel, mut reader) = ring();
        let positions: Vec<_> =
            (0..3).map(|_| kernel.push(&[7; 40], Commit::Submitted).unwrap()).collect();
        kernel.length_word(positions[at], word);
        let size = kernel.bytes() as usize;
        reader.drain(usize::MAX, &mut |record| assert!(record.len() <= size));
    }
}
