use proptest::prelude::*;

use super::Head;

const RAW: &[u8] =
    b"GET /a?id=x\x7f HTTP/1.1\r\nhOsT:  a \r\nX-Fold: 1\r\n 2: 3\r\n\xff: \xfe\r\n\r\n";

#[test]
fn a_head_that_is_not_changed_gives_its_bytes_back() {
    assert_eq!(Head::from_raw(RAW).to_bytes(), RAW);
    assert_eq!(Head::from_raw(b"GET / HTTP/1.0\nA: b\n\n").to_bytes(), b"GET / HTTP/1.0\nA: b\n\n");
}

#[test]
fn one_field_changes_and_the_others_stay() {
    let mut head = Head::from_raw(RAW);
    head.set("Host", b"b:1");
    head.set("Content-Length", b"3");
    head.remove("x-none");
    let expect: &[u8] =
        b"GET /a?id=x\x7f HTTP/1.1\r\nhOsT: b:1\r\nX-Fold: 1\r\n 2: 3\r\n\xff: \xfe\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(head.to_bytes(), expect);
}

#[test]
fn a_repeated_field_is_set_once() {
    let mut head = Head::from_raw(b"X\r\na: 1\r\nb: 2\r\nA: 3\r\n\r\n");
    head.set("A", b"9");
    assert_eq!(head.to_bytes(), b"X\r\na: 9\r\nb: 2\r\n\r\n");
}

#[test]
fn list_items_are_found_in_any_line_and_case() {
    let head = Head::from_raw(b"X\r\nConnection: keep-alive, Close\r\n\r\n");
    assert!(head.lists("connection", "close") && !head.lists("connection", "alive"));
}

#[test]
fn a_head_that_was_cut_is_ended_before_a_field_is_added() {
    let mut head = Head::from_raw(b"GET / HTTP/1.1\r\nA: b");
    head.push("Host", b"h");
    assert_eq!(head.to_bytes(), b"GET / HTTP/1.1\r\nA: b\r\nHost: h\r\n\r\n");
}

proptest! {
    #[test]
    fn heads_come_back_whole(lines in prop::collection::vec("[!-~ ]{1,20}", 1..8)) {
        prop_assume!(lines.iter().all(|line| !line.trim().is_empty()));
        let raw = lines.join("\r\n") + "\r\n\r\n";
        prop_assert_eq!(Head::from_raw(raw.as_bytes()).to_bytes(), raw.as_bytes());
    }

    #[test]
    fn any_bytes_can_be_taken_apart(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut head = Head::from_raw(&raw);
        head.set("Host", b"h");
        head.remove("a");
        prop_assert_eq!(head.first("host"), Some(b"h".as_slice()));
        prop_assert!(head.to_bytes().ends_with(b"\n"));
    }
}
