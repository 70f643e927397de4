//! Records that never came: nothing is paired wrongly, everything is counted.

use proptest::prelude::*;
use weir_abi::{Direction, HoleReason, Role};

use super::tape::{IN, OUT, Payload, Player, Tape, exchanges, transcript};
use crate::{Event, Limits};

/// Shape of one exchange: sizes, body framing, and where its messages are cut.
#[derive(Clone, Debug)]
struct Shape {
    request: Side,
    response: Side,
}

#[derive(Clone, Debug)]
struct Side {
    body_bytes: usize,
    chunked: bool,
    cuts: Vec<prop::sample::Index>,
    /// The body passes without a copy.
    sent_from_file: bool,
}

fn side() -> impl Strategy<Value = Side> {
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    (0_usize..60, any::<bool>(), cuts, prop::bool::weighted(0.2)).prop_map(
        |(body_bytes, chunked, cuts, sent_from_file)| Side {
            body_bytes,
            chunked,
            cuts,
            sent_from_file,
        },
    )
}

fn conversation() -> impl Strategy<Value = Vec<Shape>> {
    let shape = (side(), side()).prop_map(|(request, response)| Shape { request, response });
    prop::collection::vec(shape, 1..8)
}

/// A message that carries its number in head and body.
fn message(start: &str, number: usize, side: &Side) -> (Vec<u8>, Vec<u8>) {
    let mut body: Vec<u8> = format!("<{number}>").repeat(side.body_bytes).into_bytes();
    body.truncate(side.body_bytes);
    let framing = if side.chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", body.len())
    };
    let head = format!("{start}\r\nX-Number: {number}\r\n{framing}\r\n\r\n").into_bytes();
    if side.chunked {
        let mut coded = Vec::new();
        for chunk in body.chunks(20) {
            coded.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            coded.extend(chunk);
            coded.extend(b"\r\n");
        }
        coded.extend(b"0\r\n\r\n");
        body = coded;
    }
    (head, body)
}

fn record(tape: Tape, direction: Direction, start: &str, number: usize, side: &Side) -> Tape {
    let (head, body) = message(start, number, side);
    if side.sent_from_file && !side.chunked && !body.is_empty() {
        let tape = tape.data(direction, head);
        return tape.hole(direction, body.len() as u64, HoleReason::NoUserBuffer);
    }
    let wire = [head, body].concat();
    let mut cuts: Vec<usize> = side.cuts.iter().map(|cut| cut.index(wire.len())).collect();
    cuts.extend([0, wire.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).fold(tape, |tape, cut| tape.data(direction, &wire[cut[0]..cut[1]]))
}

fn tape(shapes: &[Shape], asking: Direction) -> Tape {
    shapes.iter().enumerate().fold(Tape::default(), |tape, (number, shape)| {
        let request = format!("POST /{number} HTTP/1.1");
        let tape = record(tape, asking, &request, number, &shape.request);
        record(tape, asking.opposite(), "HTTP/1.1 200 OK", number, &shape.response)
    })
}

/// Complete pairs, half pairs, lost exchanges.
fn count(events: &[Event]) -> (u64, u64, u64) {
    events.iter().fold((0, 0, 0), |(whole, half, lost), event| match event {
        Event::Exchange(exchange) if exchange.half.is_none() => (whole + 1, half, lost),
        Event::Exchange(_) => (whole, half + 1, lost),
        Event::Lost { exchanges, .. } => (whole, half, lost + exchanges),
        _ => (whole, half, lost),
    })
}

fn assert_pairs_are_right(events: &[Event]) {
    for exchange in exchanges(events) {
        let request = exchange.request.as_ref();
        let response = exchange.response.as_ref();
        assert_eq!(exchange.half.is_none(), request.is_some() && response.is_some());
        if let (Some(request), Some(response)) = (request, response) {
            let number = request.head.lines.first("x-number");
            assert_eq!(number, response.head.lines.first("x-number"));
        }
        // Never the middle of a message.
        assert!(request.is_none_or(|request| request.head.method() == b"POST"));
        assert!(response.is_none_or(|response| response.head.reason() == b"OK"));
        for body in [request.map(|m| &m.body), response.map(|m| &m.body)].into_iter().flatten() {
            assert!(body.kept.len() as u64 + body.missing_bytes <= body.original_bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The ledger balances whatever the ring had no room for.
    #[test]
    fn every_exchange_is_a_pair_or_a_half_pair_or_lost(
        shapes in conversation(),
        client in any::<bool>(),
        ingress_end_is_known in any::<bool>(),
        fates in prop::collection::vec(0_u8..100, 64),
        kept_percent in 5_u8..100,
    ) {
        let (role, asking) = if client { (Role::Client, OUT) } else { (Role::Server, IN) };
        let mut tape = tape(&shapes, asking);
        let mut fates = fates.into_iter().cycle();
        tape.records.retain(|_| fates.next().unwrap() < kept_percent);
        let mut player = Player::new(role, Limits::default());
        for record in &tape.records {
            player.feed(record);
        }
        if ingress_end_is_known {
            player.close(&tape);
        } else {
            player.close_without_ingress_end(&tape);
        }
        let events = player.events;
        assert_pairs_are_right(&events);
        let (whole, half, lost) = count(&events);
        prop_assert_eq!(
            whole + half + lost, shapes.len() as u64,
            "{} of {} records:\n{}", tape.records.len(), shapes.len(), transcript(&events)
        );
        assert_pairs_are_right(&events);
    }

    /// The same when what is lost comes in blocks, as with a reader that stands still.
    #[test]
    fn blocks_of_loss_balance(
        shapes in conversation(),
        blocks in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..9), 1..3),
    ) {
        let mut tape = tape(&shapes, IN);
        for (start, length) in blocks {
            if !tape.records.is_empty() {
                let start = start.index(tape.records.len());
                let end = (start + length).min(tape.records.len());
                tape.records.drain(start..end);
            }
        }
        let events = tape.play(Role::Server);
        let (whole, half, lost) = count(&events);
        prop_assert_eq!(whole + half + lost, shapes.len() as u64, "{}", transcript(&events));
        assert_pairs_are_right(&events);
    }

    /// Nothing lost: nothing but whole pairs, sendfile or not.
    #[test]
    fn without_loss_every_exchange_is_a_pair(shapes in conversation()) {
        let events = tape(&shapes, IN).play(Role::Server);
        prop_assert_eq!(count(&events), (shapes.len() as u64, 0, 0), "{}", transcript(&events));
        assert_pairs_are_right(&events);
        for (exchange, shape) in exchanges(&events).into_iter().zip(&shapes) {
            let body = &exchange.response.as_ref().unwrap().body;
            prop_assert_eq!(body.original_bytes, shape.response.body_bytes as u64);
            let from_file = shape.response.sent_from_file && !shape.response.chunked;
            prop_assert_eq!(body.missing_bytes > 0, from_file && body.original_bytes > 0);
        }
    }

    /// Pipelining and loss: once it was seen to pipeline, pairs may become rare, but never
    /// wrong.
    #[test]
    fn pipelined_pairs_are_never_wrong(
        batches in prop::collection::vec(1_usize..5, 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        fates in prop::collection::vec(prop::bool::weighted(0.8), 64),
    ) {
        let mut tape = Tape::default();
        let mut number = 0;
        let mut intact = 0;
        for batch in std::iter::once(2).chain(batches) {
            let side = Side { body_bytes: 3, chunked: false, cuts: vec![], sent_from_file: false };
            let (mut asked, mut answered) = (Vec::new(), Vec::new());
            for _ in 0..batch {
                let (head, body) = message("POST / HTTP/1.1", number, &side);
                asked.extend([head, body].concat());
                let (head, body) = message("HTTP/1.1 200 OK", number, &side);
                answered.extend([head, body].concat());
                number += 1;
            }
            for (direction, wire) in [(IN, asked), (OUT, answered)] {
                let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
                at.extend([0, wire.len()]);
                at.sort_unstable();
                at.dedup();
                for cut in at.windows(2) {
                    tape = tape.data(direction, &wire[cut[0]..cut[1]]);
                }
            }
            if number == 2 {
                intact = tape.records.len();
            }
        }
        let mut fates = fates.into_iter().cycle();
        let mut at = 0;
        tape.records.retain(|_| {
            at += 1;
            at <= intact || fates.next().unwrap()
        });
        assert_pairs_are_right(&tape.play(Role::Server));
    }

    /// Records that come twice, whole or in part, change nothing.
    #[test]
    fn repetitions_are_dropped(shapes in conversation(), back in 0_usize..30) {
        let plain = tape(&shapes, IN);
        let mut repeated = plain.clone();
        repeated.records.clear();
        for record in &plain.records {
            let mut again = record.clone();
            if let (Payload::Data(bytes), Some(Payload::Data(before))) = (
                &mut again.payload,
                repeated.records.last().filter(|r| r.run == record.run).map(|r| &r.payload),
            ) {
                let back = back.min(before.len());
                let tail = before[before.len() - back..].to_vec();
                *bytes = [tail, bytes.clone()].concat();
                again.position -= back as u64;
            }
            repeated.records.push(again.clone());
            repeated.records.push(again);
        }
        prop_assert_eq!(repeated.play(Role::Server), plain.play(Role::Server));
    }
}

const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_file_sent_without_a_copy_gives_pairs_with_sized_holes() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    let mut tape = Tape::default();
    for _ in 0..2 {
        tape = tape.data(IN, REQUEST).data(OUT, head);
        tape = tape.hole(OUT, 4000, HoleReason::NoUserBuffer);
        tape = tape.hole(OUT, 1000, HoleReason::NoUserBuffer);
    }
    insta::assert_snapshot!(transcript(&tape.play(Role::Server)), @r"
    GET /a -> 200 OK [] of 5000 missing 5000
    GET /a -> 200 OK [] of 5000 missing 5000
    ");
}

#[test]
fn a_hole_inside_a_body_keeps_the_bytes_before_it() {
    let tape = Tape::default()
        .data(IN, REQUEST)
        .data(OUT, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        .hole(OUT, 3, HoleReason::ReadFault)
        .data(OUT, "xyz")
        .data(IN, REQUEST)
        .data(OUT, RESPONSE);
    insta::assert_snapshot!(transcript(&tape.play(Role::Server)), @r"
    GET /a -> 200 OK [abc] of 9 missing 3
    GET /a -> 200 OK [hello]
    ");
}

#[test]
fn a_hole_inside_a_chunk_keeps_the_coding() {
    let tape = Tape::default()
        .data(IN, REQUEST)
        .data(OUT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc")
        .hole(OUT, 6, HoleReason::NoUserBuffer)
        .data(OUT, "\r\n0\r\n\r\n");
    insta::assert_snapshot!(
        transcript(&tape.play(Role::Server)), @"GET /a -> 200 OK [abc] of 9 missing 6"
    );
}

#[test]
fn a_hole_in_a_head_makes_a_half_pair_and_the_next_exchange_is_whole() {
    let tape = Tape::default()
        .data(IN, REQUEST)
        .data(OUT, "HTTP/1.1 200 OK\r\nContent-Le")
        .hole(OUT, 10, HoleReason::ReadFault)
        .data(OUT, "HTTP/1.1 404 Not a head\r\n\r\n")
        .data(IN, "GET /b HTTP/1.1\r\n\r\n")
        .data(OUT, RESPONSE);
    insta::assert_snapshot!(transcript(&tape.play(Role::Server)), @r"
    GET /a -> half=response_lost:read_fault
    Undecodable { bytes: 54, reason: Unaligned }
    GET /b -> 200 OK [hello]
    ");
}

#[test]
fn a_lost_request_gives_its_response_alone() {
    let tape = Tape::default()
        .data(IN, REQUEST)
        .data(OUT, RESPONSE)
        .dropped(IN, REQUEST)
        .data(OUT, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        .data(IN, REQUEST)
        .data(OUT, RESPONSE);
    insta::assert_snapshot!(transcript(&tape.play(Role::Server)), @r"
    GET /a -> 200 OK [hello]
    -> 201 Created half=request_lost:ring_full
    GET /a -> 200 OK [hello]
    ");
}

#[test]
fn a_lost_answer_to_a_head_request_does_not_swallow_the_next_one() {
    let tape = Tape::default()
        .dropped(IN, "HEAD / HTTP/1.1\r\n\r\n")
        .data(OUT, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        .data(IN, REQUEST)
        .data(OUT, RESPONSE);
    insta::assert_snapshot!(transcript(&tape.play(Role::Server)), @r"
    -> 200 OK [] cut half=request_lost:ring_full
    GET /a -> 200 OK [hello]
    ");
}

#[test]
fn vanished_exchanges_are_counted_by_runs() {
    let mut tape = Tape::default().data(IN, REQUEST).data(OUT, RESPONSE);
    for _ in 0..1000 {
        tape = tape.dropped(IN, REQUEST).dropped(OUT, RESPONSE);
    }
    let resumed = tape.clone().data(IN, REQUEST).data(OUT, RESPONSE);
    insta::assert_snapshot!(transcript(&resumed.play(Role::Server)), @r"
    GET /a -> 200 OK [hello]
    Lost { exchanges: 1000, reason: RingFull }
    GET /a -> 200 OK [hello]
    ");
    insta::assert_snapshot!(transcript(&tape.play(Role::Server)), @r"
    GET /a -> 200 OK [hello]
    Lost { exchanges: 1000, reason: RingFull }
    ");
}

#[test]
fn the_lost_end_of_a_body_until_close_is_missed() {
    let tape = Tape::default()
        .data(IN, REQUEST)
        .data(OUT, "HTTP/1.0 200 OK\r\n\r\nabc")
        .dropped(OUT, "defg");
    insta::assert_snapshot!(
        transcript(&tape.play(Role::Server)), @"GET /a -> 200 OK [abc] of 7 missing 4"
    );
}

#[test]
fn losses_of_a_connection_that_is_tls_are_no_exchanges() {
    let tape = Tape::default()
        .dropped(IN, b"\x16\x03\x01\x02\x00")
        .data(OUT, b"\x16\x03\x03\x00\x7a\x02")
        .data(IN, b"\x17\x03\x03\x00\x10");
    insta::assert_snapshot!(transcript(&tape.play(Role::Server)), @r"
    Opaque { reason: Tls }
    Undecodable { bytes: 11, reason: Tls }
    ");
}

#[test]
fn run_ordinals_may_wrap() {
    let mut tape = Tape::default();
    for _ in 0..4 {
        tape = tape.data(IN, REQUEST).data(OUT, RESPONSE);
    }
    let mut player = Player::new(Role::Server, Limits::default());
    for record in &mut tape.records {
        record.run = record.run.wrapping_sub(4);
    }
    tape.records.drain(4..6);
    // The first ordinal of a connection is taken as it is.
    for record in &tape.records {
        player.feed(record);
    }
    let (whole, half, lost) = count(&player.events);
    assert_eq!((whole, half, lost - (u64::from(u32::MAX) - 3) / 2), (3, 0, 1));
}
