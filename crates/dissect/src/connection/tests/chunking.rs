//! Where the kernel cuts the streams must not change what we report.

use proptest::prelude::*;
use weir_abi::Role;

use super::{
    conversations::SAMPLES,
    tape::{IN, OUT, Payload, Tape, transcript},
};
use crate::{Event, Limits, UndecodableReason};

/// Undecodable bytes are summed up: their portions are no promise.
fn normal(events: Vec<Event>) -> Vec<Event> {
    let mut sums = std::collections::BTreeMap::new();
    let mut rest: Vec<Event> = Vec::new();
    for event in events {
        match event {
            Event::Undecodable { bytes, reason } => *sums.entry(reason).or_default() += bytes,
            other => rest.push(other),
        }
    }
    rest.extend(sums.into_iter().map(|(reason, bytes)| Event::Undecodable { bytes, reason }));
    rest
}

/// The same conversation in pieces; runs and times stay.
fn cut(tape: &Tape, mut piece_bytes: impl FnMut(usize) -> usize) -> Tape {
    let mut pieces = tape.clone();
    pieces.records.clear();
    for record in &tape.records {
        let Payload::Data(bytes) = &record.payload else {
            pieces.records.push(record.clone());
            continue;
        };
        let mut at = 0;
        while at < bytes.len() {
            let end = at + piece_bytes(bytes.len() - at).clamp(1, bytes.len() - at);
            let mut piece = record.clone();
            piece.position += at as u64;
            piece.begins_run &= at == 0;
            piece.payload = Payload::Data(bytes[at..end].to_vec());
            pieces.records.push(piece);
            at = end;
        }
    }
    pieces
}

fn sample(script: &[(&str, &str)]) -> Tape {
    script.iter().fold(Tape::default(), |tape, (who, bytes)| {
        tape.data(if *who == "C" { IN } else { OUT }, bytes)
    })
}

#[test]
fn every_single_cut_of_every_sample_is_invisible() {
    for (name, script) in SAMPLES {
        let whole = sample(script);
        for role in [Role::Server, Role::Unknown] {
            let expect = normal(whole.play(role));
            assert_eq!(normal(cut(&whole, |_| 1).play(role)), expect, "{name}, byte by byte");
            let longest = script.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default();
            for at in 1..longest {
                let mut first = true;
                let pieces = cut(&whole, |left| {
                    let size = if first { at } else { left };
                    first = size >= left;
                    size
                });
                assert_eq!(normal(pieces.play(role)), expect, "{name}, cut at {at}");
            }
        }
    }
}

/// Found by fuzzing: the start line ends behind the limit.
#[test]
fn a_head_over_the_limit_is_refused_for_one_reason_however_it_is_cut() {
    let limits = Limits { max_head_bytes: 50, ..Limits::default() };
    let whole = Tape::default().data(IN, format!("GET {}\nrest", "x".repeat(100)));
    let expect = normal(whole.play_within(Role::Server, limits));
    assert_eq!(expect[0], Event::Opaque { reason: UndecodableReason::HeadTooLarge });
    for piece_bytes in 1..100 {
        let pieces = cut(&whole, |_| piece_bytes).play_within(Role::Server, limits);
        assert_eq!(normal(pieces), expect, "pieces of {piece_bytes}");
    }
}

proptest! {
    #[test]
    fn any_cuts_are_invisible(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        sizes in prop::collection::vec(1_usize..40, 1..40),
    ) {
        let script: Vec<_> = picks
            .iter()
            .map(|pick| SAMPLES[pick.index(SAMPLES.len())].1)
            .take(1)
            .chain(picks.iter().map(|pick| SAMPLES[pick.index(3)].1))
            .flatten()
            .copied()
            .collect();
        let whole = sample(&script);
        let mut sizes = sizes.into_iter().cycle();
        let pieces = cut(&whole, |_| sizes.next().unwrap());
        let (pieces, whole) =
            (normal(pieces.play(Role::Server)), normal(whole.play(Role::Server)));
        prop_assert_eq!(transcript(&pieces), transcript(&whole));
        prop_assert_eq!(pieces, whole);
    }
}
