//! Peers that mean harm: no panic, bounded memory, nothing after the end.

use proptest::prelude::*;
use weir_abi::{Direction, HoleReason, Role};

use super::tape::{IN, OUT, Payload, Player, Record, Tape, exchanges};
use crate::{Event, Limits, Place};

const TIGHT: Limits = Limits {
    max_head_bytes: 256,
    max_body_bytes: 64,
    max_pending_exchanges: 4,
    max_buffered_bytes: 512,
};

fn record() -> impl Strategy<Value = Record> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        Just(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        Just(b"POST /x HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n".to_vec()),
        Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 204 \r\n\r\n".to_vec()),
        Just(b"a: b\r\n".to_vec()),
    ];
    let payload = prop_oneof![
        4 => bytes.prop_map(Payload::Data),
        1 => (any::<u64>(), 0_u8..7).prop_map(|(length, reason)| {
            Payload::Hole(length, HoleReason::from_u8(reason))
        }),
    ];
    let position = prop_oneof![3 => 0_u64..300, 1 => any::<u64>()];
    let run = prop_oneof![3 => 0_u32..20, 1 => any::<u32>()];
    let flags = any::<(bool, bool)>();
    (flags, position, run, payload).prop_map(|((egress, begins_run), position, run, payload)| {
        Record {
            direction: Direction::from_u8(u8::from(egress)),
            position,
            run,
            begins_run,
            time_ns: 7,
            payload,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn arbitrary_records_neither_panic_nor_pile_up(
        records in prop::collection::vec(record(), 0..60),
        role in 0_u8..3,
        close in any::<(u64, u64, u32)>(),
    ) {
        let mut player = Player::new(Role::from_u8(role), TIGHT);
        for record in &records {
            player.feed(record);
        }
        let Player { mut connection, .. } = player;
        connection.close(close.0, close.1, close.2, 0, &mut |_| {});
        prop_assert_eq!(connection.held_bytes(), 0);
        let mut after = 0;
        let place = Place { direction: IN, position: 0, run: 0, begins_run: true, time_ns: 0 };
        connection.data(place, b"GET / HTTP/1.1\r\n\r\n", &mut |_| after += 1);
        connection.close(9, 9, 9, 0, &mut |_| after += 1);
        connection.finish(0, &mut |_| after += 1);
        prop_assert_eq!(after, 0);
    }

    /// Endless text in one direction, in order: the worst case for buffers.
    #[test]
    fn a_stream_of_anything_is_bounded(
        pieces in prop::collection::vec((any::<bool>(), prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", "\r\n",
            "HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 999\r\n",
            "3\r\nabc\r\n", "0\r\n", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "a:\n",
        ])), 0..400),
        role in 0_u8..3,
    ) {
        let tape = pieces.iter().fold(Tape::default(), |tape, (egress, bytes)| {
            tape.data(if *egress { OUT } else { IN }, bytes)
        });
        // The player asserts the bound after every record.
        tape.play_within(Role::from_u8(role), TIGHT);
    }
}

#[test]
fn requests_that_are_never_answered_become_half_pairs_at_the_limit() {
    let tape = (0..10).fold(Tape::default(), |tape, _| tape.data(IN, "GET / HTTP/1.1\r\n\r\n"));
    let events = tape.play_within(Role::Server, TIGHT);
    let halves = exchanges(&events).iter().filter(|exchange| exchange.half.is_some()).count();
    assert_eq!((halves, events.len()), (10, 10));
}

#[test]
fn debug_output_shows_no_captured_byte() {
    let mut player = Player::new(Role::Server, Limits::default());
    let tape = Tape::default()
        .data(IN, "GET /canary HTTP/1.1\r\ncanary: canary\r\nTransfer-Encoding: chunked\r\n\r\n")
        .data(IN, "6\r\ncanary\r\n0\r\ncanary: canary\r\n\r\nGET /canary")
        .data(OUT, "HTTP/1.1 200 canary\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ncanary\r\n")
        .data(OUT, "0\r\ncanary: can");
    for record in &tape.records {
        player.feed(record);
        assert!(!format!("{:?}", player.connection).contains("canary"));
    }
    let late = Tape::default().data(IN, "GET /canary");
    let mut joining = Player::new(Role::Unknown, Limits::default());
    joining.feed(&late.records[0]);
    assert!(!format!("{:?}", joining.connection).contains("canary"));
    for events in [tape.play(Role::Server), tape.play_unfinished(Role::Server)] {
        assert!(matches!(events.first(), Some(Event::Exchange(_))));
        assert!(!format!("{events:?}").contains("canary"));
    }
}
