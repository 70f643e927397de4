use proptest::prelude::*;

use super::{canonical, known};

#[test]
fn every_word_gets_a_capital_and_the_rest_goes_lower() {
    for (name, expect) in [
        ("x-b3-TRACEID", "X-B3-Traceid"),
        ("content-type", "Content-Type"),
        ("ETAG", "Etag"),
        ("WWW-Authenticate", "Www-Authenticate"),
        ("te", "Te"),
        ("x--y-", "X--Y-"),
        ("x.y_z", "X.y_z"),
        ("", ""),
    ] {
        assert_eq!(canonical(name), expect);
    }
}

#[test]
fn names_that_are_no_token_stay_as_they_are() {
    for name in ["x y", "conTent-type ", "naïve-x", "a:b", "a\u{7f}B", ":authority"] {
        assert_eq!(canonical(name), name);
    }
}

#[test]
fn the_table_is_canonical_itself() {
    let mut names = 0;
    for name in (0..100).flat_map(known) {
        names += 1;
        let long = format!("{name}-Zz");
        assert_eq!(canonical(&long.to_ascii_lowercase()), long);
        assert!(matches!(canonical(name), std::borrow::Cow::Borrowed(found) if found == *name));
    }
    assert_eq!(names, 71);
}

proptest! {
    #[test]
    fn twice_is_once_and_only_case_changes(name in "[ -~]{0,40}") {
        let once = canonical(&name);
        prop_assert_eq!(canonical(&once), once.clone());
        prop_assert!(once.eq_ignore_ascii_case(&name));
    }

    #[test]
    fn any_text_is_taken(name: String) {
        prop_assert!(canonical(&name).eq_ignore_ascii_case(&name));
    }
}
