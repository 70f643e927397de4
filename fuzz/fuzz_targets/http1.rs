//! Two byte streams without loss: whatever they hold, where they are cut changes nothing,
//! memory is bounded, and what is reported keeps its promises.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weir_dissect::{Connection, Direction, Event, Limits, Place, Role};

#[derive(Arbitrary, Debug)]
struct Conversation<'a> {
    role: u8,
    /// Calls in order: direction and bytes.
    calls: Vec<(bool, &'a [u8])>,
    piece_bytes: u8,
}

const LIMITS: Limits = Limits {
    max_head_bytes: 512,
    max_body_bytes: 64,
    max_pending_exchanges: 8,
    max_buffered_bytes: 1024,
};

fuzz_target!(|conversation: Conversation<'_>| {
    let whole = play(&conversation, usize::MAX);
    let pieces = play(&conversation, usize::from(conversation.piece_bytes).max(1));
    assert_eq!(whole, pieces, "cuts show");
});

/// All events with undecodable bytes summed up: their portions are no promise.
fn play(
    conversation: &Conversation<'_>,
    piece_bytes: usize,
) -> (Vec<Event>, BTreeMap<&'static str, u64>) {
    let mut connection = Connection::new(Role::from_u8(conversation.role % 3), LIMITS);
    let (mut events, mut undecodable) = (Vec::new(), BTreeMap::new());
    let mut sink = |event| match event {
        Event::Undecodable { bytes, reason } => {
            *undecodable.entry(reason.as_str()).or_default() += bytes;
        }
        other => events.push(other),
    };
    let (mut ends, mut run, mut before) = ([0_u64; 2], 0, None);
    for (egress, bytes) in conversation.calls.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let direction = Direction::from_u8(u8::from(*egress));
        let before = before.replace(direction);
        let turns = before != Some(direction);
        run += u32::from(before.is_some() && turns);
        for (at, piece) in bytes.chunks(piece_bytes).enumerate() {
            let position = &mut ends[direction as usize];
            let begins_run = turns && at == 0;
            let time_ns = u64::from(run);
            let place = Place { direction, position: *position, run, begins_run, time_ns };
            connection.data(place, piece, &mut sink);
            *position += piece.len() as u64;
            assert!(connection.held_bytes() <= LIMITS.max_held_bytes());
            assert_eq!(connection.next(direction), *position);
        }
    }
    connection.close(ends[0], ends[1], run, u64::MAX, &mut sink);
    assert_eq!(connection.held_bytes(), 0);
    for event in &events {
        check(event, ends[0] + ends[1]);
    }
    (events, undecodable)
}

fn check(event: &Event, sent_bytes: u64) {
    match event {
        Event::Exchange(exchange) => {
            let (request, response) = (exchange.request.as_ref(), exchange.response.as_ref());
            assert!(request.is_some() || response.is_some());
            assert_eq!(exchange.half.is_none(), request.is_some() && response.is_some());
            let bodies = [request.map(|m| &m.body), response.map(|m| &m.body)];
            for body in bodies.into_iter().flatten() {
                assert!(body.kept.len() <= LIMITS.max_body_bytes);
                assert!(body.kept.len() as u64 <= body.original_bytes);
                assert!(body.original_bytes <= sent_bytes);
                assert_eq!(body.missing_bytes, 0);
            }
        }
        Event::Lost { .. } => panic!("nothing was lost"),
        Event::Opaque { .. } | Event::Undecodable { .. } | Event::Upgraded { .. } => {}
    }
}
