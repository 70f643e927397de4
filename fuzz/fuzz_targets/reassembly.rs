//! Records as no kernel side would write them: gaps, repetitions, jumps of position and run,
//! holes of any size. No panic, bounded memory, positions never move back, exchanges are
//! numbered without a gap, and nothing is told after the end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weir_dissect::{Connection, Direction, Event, HoleReason, Limits, Place, Role};

#[derive(Arbitrary, Debug)]
struct Record<'a> {
    egress: bool,
    position: Position,
    run: Run,
    begins_run: bool,
    payload: Payload<'a>,
}

#[derive(Arbitrary, Debug)]
enum Position {
    Next,
    Ahead(u16),
    Back(u16),
    At(u64),
}

#[derive(Arbitrary, Debug)]
enum Run {
    Natural,
    Ahead(u8),
    At(u32),
}

#[derive(Arbitrary, Debug)]
enum Payload<'a> {
    Data(&'a [u8]),
    Hole(u64, u8),
}

#[derive(Arbitrary, Debug)]
struct Tape<'a> {
    role: u8,
    records: Vec<Record<'a>>,
    /// Ends and last run of the close record, if there is one.
    close: Option<(u64, u64, u32)>,
}

const LIMITS: Limits = Limits {
    max_head_bytes: 256,
    max_body_bytes: 64,
    max_pending_exchanges: 4,
    max_buffered_bytes: 512,
};

fuzz_target!(|tape: Tape<'_>| {
    let mut connection = Connection::new(Role::from_u8(tape.role % 3), LIMITS);
    let mut exchanges = 0;
    let mut sink = |event| {
        if let Event::Exchange(exchange) = event {
            assert_eq!(exchange.ordinal, exchanges);
            exchanges += 1;
            assert_ne!(exchange.role, Role::Unknown);
            let (request, response) = (&exchange.request, &exchange.response);
            assert_eq!(exchange.half.is_none(), request.is_some() && response.is_some());
        }
    };
    let (mut run, mut before) = (0_u32, Direction::Ingress);
    for record in &tape.records {
        let direction = Direction::from_u8(u8::from(record.egress));
        let next = connection.next(direction);
        let position = match record.position {
            Position::Next => next,
            Position::Ahead(bytes) => next.saturating_add(u64::from(bytes)),
            Position::Back(bytes) => next.saturating_sub(u64::from(bytes)),
            Position::At(position) => position,
        };
        run = match record.run {
            Run::Natural => run.wrapping_add(u32::from(direction != before)),
            Run::Ahead(runs) => run.wrapping_add(u32::from(runs)),
            Run::At(run) => run,
        };
        before = direction;
        let place =
            Place { direction, position, run, begins_run: record.begins_run, time_ns: 1 };
        match record.payload {
            Payload::Data(bytes) => connection.data(place, bytes, &mut sink),
            Payload::Hole(length, reason) => {
                connection.hole(place, length, HoleReason::from_u8(reason % 6), &mut sink);
            }
        }
        assert!(connection.next(direction) >= next, "a position moved back");
        assert!(connection.held_bytes() <= LIMITS.max_held_bytes());
    }
    match tape.close {
        Some((ingress, egress, run)) => connection.close(ingress, egress, run, 2, &mut sink),
        None => connection.finish(2, &mut sink),
    }
    assert_eq!(connection.held_bytes(), 0);
    let mut after = 0;
    let mut late = |_| after += 1;
    let place = |direction, position, run| Place {
        direction,
        position,
        run,
        begins_run: true,
        time_ns: 3,
    };
    connection.data(place(Direction::Ingress, 0, 0), b"GET / HTTP/1.1\r\n\r\n", &mut late);
    connection.hole(place(Direction::Egress, 9, 9), 9, HoleReason::Unseen, &mut late);
    connection.close(9, 9, 9, 3, &mut late);
    connection.finish(3, &mut late);
    assert_eq!(after, 0, "an event after the end");
});
