use super::*;

fn key() -> ObjectKey {
    ObjectKey { namespace: "shop".to_owned(), name: "c".to_owned() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn status(reason: &str, pods: i32) -> TrafficCaptureStatus {
    let condition = serde_json::json!({"type": "Ready", "status": "True", "reason": reason,
        "message": "", "lastTransitionTime": "2026-11-21T12:00:00Z", "observedGeneration": 1});
    serde_json::from_value(serde_json::json!({
        "observedGeneration": 1, "conditions": [condition], "matchedPods": pods}))
    .unwrap()
}

fn judge(
    book: &Book<TrafficCaptureStatus>,
    from: &TrafficCaptureStatus,
    to: &TrafficCaptureStatus,
    second: i64,
) -> Judgement {
    book.judge(&key(), "u", Some(from), to, (at(second), 3))
}

#[test]
fn news_are_written_at_once_and_numbers_every_five_seconds() {
    let mut book = Book::default();
    let (first, moved, other) = (status("A", 1), status("A", 2), status("B", 1));
    assert_eq!(book.judge(&key(), "u", None, &first, (at(0), 3)), Judgement::Write);
    book.wrote(&key(), "u", (Some(7), first.clone()), at(0));
    assert_eq!(judge(&book, &first, &first, 1), Judgement::Same);
    assert_eq!(judge(&book, &first, &other, 1), Judgement::Write);
    assert_eq!(judge(&book, &first, &moved, 1), Judgement::Wait(at(5)));
    assert_eq!(judge(&book, &first, &moved, 5), Judgement::Write);
    // A thousand captures: twenty writes per second in all.
    let many = book.judge(&key(), "u", Some(&first), &moved, (at(5), 1000));
    assert_eq!(many, Judgement::Wait(at(50)));
}

#[test]
fn what_was_written_holds_until_the_copy_has_caught_up() {
    let mut book = Book::default();
    let (old, new) = (status("A", 1), status("B", 1));
    book.wrote(&key(), "u", (Some(7), new.clone()), at(0));
    let current = |version, uid| {
        book.current(&key(), &Copy { uid, version: Some(version), status: Some(&old) }).unwrap()
    };
    assert_eq!(current(6, "u"), new);
    assert_eq!(current(7, "u"), old);
    assert_eq!(current(6, "of an object made anew"), old);
}

#[test]
fn a_write_that_fails_is_tried_again_ever_less_often() {
    let mut book = Book::default();
    let (old, new) = (status("A", 1), status("B", 1));
    for (failure, pause) in [(1, 1), (2, 2), (3, 4), (9, 60), (40, 60)] {
        while book.entry(&key(), "u").map_or(0, |entry| entry.failures) < failure {
            book.failed(&key(), "u", at(0));
        }
        assert_eq!(judge(&book, &old, &new, 0), Judgement::Wait(at(pause)));
        assert_eq!(judge(&book, &old, &new, pause), Judgement::Write);
    }
}

#[test]
fn conditions_of_others_and_another_order_are_no_change() {
    let book = Book::default();
    let mut ours = status("A", 1);
    let mut accepted = ours.conditions[0].clone();
    "Accepted".clone_into(&mut accepted.type_);
    ours.conditions.insert(0, accepted);
    let mut found = ours.clone();
    found.conditions.reverse();
    let mut foreign = ours.conditions[0].clone();
    "example.com/Audited".clone_into(&mut foreign.type_);
    found.conditions.push(foreign);
    let copy = Copy { uid: "u", version: Some(1), status: Some(&found) };
    let current = book.current(&key(), &copy).unwrap();
    assert_eq!(judge(&book, &current, &ours, 0), Judgement::Same);
}
