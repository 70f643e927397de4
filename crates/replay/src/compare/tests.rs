use proptest::prelude::*;

use super::*;

fn answer(body: &[u8]) -> Answer<'_> {
    Answer { status: 200, codings: "", body: Some(body) }
}

fn between(a: &str, b: &str) -> Vec<String> {
    let found = changes(answer(a.as_bytes()), answer(b.as_bytes()));
    found.iter().map(|change| format!("{} {}", change.kind.as_str(), change.location)).collect()
}

#[test]
fn json_is_compared_by_its_values() {
    assert_eq!(between(r#"{"a":1,"b":[1,2]}"#, r#"{ "b": [1, 2.0], "a": 1.0 }"#), [""; 0]);
    assert_eq!(
        between(r#"{"a":1,"b":[1],"c":"x","d":{}}"#, r#"{"a":2,"b":[1,5],"c":null,"e":true}"#),
        ["changed $.a", "added $.b[1]", "type $.c", "removed $.d", "added $.e"]
    );
    assert_eq!(between("true", "false"), ["changed $"]);
    assert_eq!(between("hello", "hallo"), ["bytes body"]);
    assert_eq!(between("", "{}"), ["bytes body"]);
    let unknown = Answer { body: None, ..answer(b"") };
    assert_eq!(changes(unknown, answer(b"x")), []);
}

#[test]
fn what_differs_between_equal_requests_is_not_compared() {
    let differing = |a: &str, b: &str| changes(answer(a.as_bytes()), answer(b.as_bytes()));
    let mut volatile = Volatile::default();
    let twice = differing(r#"{"seq":1,"items":[{"at":5}]}"#, r#"{"seq":2,"items":[{"at":6}]}"#);
    volatile.learn("GET /a", &twice, Why::Repetition);
    let later = differing(
        r#"{"seq":1,"name":"x","items":[{"at":5},{"at":5}]}"#,
        r#"{"seq":9,"name":"y","items":[{"at":7},{"at":8}]}"#,
    );
    let left: Vec<_> = later.iter().filter(|change| !volatile.holds("GET /a", change)).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].location, "$.name");
    assert!(later.iter().all(|change| !volatile.holds("GET /b", change)));
    // A value that is gone is a difference, however volatile it is.
    let gone = differing(r#"{"seq":1}"#, "{}");
    assert!(!volatile.holds("GET /a", &gone[0]));
    assert_eq!(volatile.iter().count(), 2);
}

#[test]
fn values_that_are_new_every_time_are_known_by_their_shape() {
    for (a, b, expected) in [
        (
            "3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01",
            "00000000-0000-4000-8000-000000000000",
            Some("a UUID"),
        ),
        ("2026-09-01T10:15:30Z", "2026-11-21T16:00:00.5+01:00", Some("a time")),
        ("1788257730", "1790000000123", Some("a time")),
        ("eyJhbGciOiJ9.eyJzdWIi.c2ln", "eyJhbGciOiJ9.eyJzdWJi.c2lo", Some("a JWT")),
        ("9f86d081884c7d65", "60303ae22b998861", Some("a random token")),
        ("packed", "shipped", None),
        ("42", "43", None),
        ("2026-09-01T10:15:30Z", "never", None),
    ] {
        assert_eq!(shape::same(a, b), expected, "{a}");
    }
}

proptest! {
    #[test]
    fn a_body_equals_itself_and_nothing_panics(a in any::<Vec<u8>>(), b in any::<Vec<u8>>(), codings in "[a-z,]{0,9}") {
        let with = |body| Answer { status: 200, codings: &codings, body: Some(body) };
        prop_assert_eq!(changes(with(&a), with(&a)), []);
        let both = (changes(answer(&a), answer(&b)).len(), changes(answer(&b), answer(&a)).len());
        prop_assert_eq!(both.0 == 0, both.1 == 0);
        changes(with(&a), with(&b));
    }
}
