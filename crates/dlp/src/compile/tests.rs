use super::*;
use crate::policy::{Example, Key, Pattern};

fn policy(action: Action, name: &str) -> PolicySource {
    let key = Key { scope: "all".to_owned(), name: name.to_owned() };
    PolicySource { action, keys: vec![key], id: format!("{action:?}"), ..PolicySource::default() }
}

#[test]
fn of_two_policies_the_stricter_one_counts_in_either_order() {
    let weak = policy(Action::Token, "pin");
    let strict = policy(Action::Mask, "pin");
    for both in [[weak.clone(), strict.clone()], [strict, weak]] {
        assert_eq!(Redactor::compile(&both).unwrap().redact_text("pin=12"), "pin=**");
    }
}

#[test]
fn a_failing_test_says_what_came_out() {
    let test = |expect: &str| Example { input: "pin=12".to_owned(), expect: expect.to_owned() };
    let mut policy = policy(Action::Mask, "pin");
    policy.tests = vec![test("pin=**")];
    assert_eq!(policy.check(), Ok(()));
    policy.tests.push(test("pin=12"));
    let got = CompileError::Test { index: 1, expect: "pin=12".into(), got: "pin=**".into() };
    assert_eq!(policy.check(), Err(got));
}

#[test]
fn faults_are_named_with_their_place() {
    let pattern = |regex: &str| Pattern { name: "own".to_owned(), regex: regex.to_owned() };
    let mut policy =
        PolicySource { patterns: vec![pattern("a"), pattern("(?=b)")], ..PolicySource::default() };
    let fault = policy.check().unwrap_err().to_string();
    assert!(fault.starts_with("patterns[1] (own): ") && fault.contains("look-around"), "{fault}");
    policy.patterns.clear();
    policy.paths = vec!["http.body".to_owned()];
    assert!(
        policy.check().unwrap_err().to_string().starts_with("paths[0]: \"http.body\" names no")
    );
    policy.paths.clear();
    policy.action = Action::KeyedToken;
    assert_eq!(policy.check(), Err(CompileError::KeyMissing));
}

#[test]
fn own_patterns_name_their_category() {
    let policy = PolicySource {
        patterns: vec![Pattern { name: "employee".to_owned(), regex: r"EMP-\d{6}".to_owned() }],
        ..PolicySource::default()
    };
    let redacted = Redactor::compile(&[policy]).unwrap().redact_text("see EMP-123456.");
    assert!(redacted.starts_with("see REDACTED-EMPLOYEE-") && redacted.ends_with('.'));
}

#[test]
fn a_search_that_costs_too_much_redacts_everything() {
    let policy = PolicySource {
        patterns: vec![Pattern { name: "own".to_owned(), regex: ".*x|a".to_owned() }],
        ..PolicySource::default()
    };
    let redactor = Redactor::compile(&[policy]).unwrap();
    let redacted = redactor.redact_text(&"a".repeat(1 << 20));
    assert!(redacted.starts_with("REDACTED-UNRECOGNIZED-") && redacted.len() < 50);
}

#[test]
fn hashes_name_what_is_done() {
    let token = policy(Action::Token, "pin");
    assert_eq!(token.hash(), PolicySource { id: "other".to_owned(), ..token.clone() }.hash());
    assert_ne!(token.hash(), policy(Action::Mask, "pin").hash());
    let keyed = |key: &[u8]| PolicySource {
        secret: Some(SecretKey(key.to_vec())),
        ..policy(Action::KeyedToken, "pin")
    };
    assert_ne!(keyed(b"a").hash(), keyed(b"b").hash());
}
