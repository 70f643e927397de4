use proptest::prelude::*;

use super::{Kind, Malformed, Message, Reader};

const RESPONSE: Kind = Kind::Response { to_head: false };

fn read(kind: Kind, pieces: &[&[u8]]) -> Result<(Message, usize), Malformed> {
    let mut reader = Reader::new(kind, 1 << 20);
    let mut used = 0;
    for piece in pieces {
        used += reader.feed(piece)?;
    }
    if !reader.is_complete() {
        reader.end()?;
    }
    Ok((reader.take().ok_or(Malformed::Ended)?, used))
}

#[test]
fn a_request_line_may_hold_any_byte() {
    let raw = b"GET /a b?id=x\x7f\xff HTTP/1.1\r\nHost: h\r\n\r\n";
    let (message, used) = read(Kind::Request, &[raw]).unwrap();
    let line = message.request_line().unwrap();
    assert_eq!((line.method, line.target), (b"GET".as_slice(), b"/a b?id=x\x7f\xff".as_slice()));
    assert_eq!((used, message.persists, message.body.len()), (raw.len(), true, 0));
    assert_eq!(message.head.to_bytes(), raw);
}

#[test]
fn lengths_chunks_and_ends_are_found() {
    for (raw, body, persists) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabNEXT"[..], &b"ab"[..], true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n1\r\nb\r\n0\r\nSum: 3\r\n\r\nNEXT", b"ab", true),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nabNEXT", b"ab", false),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nabNEXT", b"ab", true),
        (b"HTTP/1.1 204 \r\n\r\nNEXT", b"", true),
    ] {
        let (message, used) = read(RESPONSE, &[raw]).unwrap();
        assert_eq!((message.body.as_slice(), message.persists), (body, persists));
        assert_eq!(raw.len() - used, 4, "the next message is left");
    }
    let (message, _) = read(RESPONSE, &[b"HTTP/1.1 200 OK\r\n\r\nuntil the end"]).unwrap();
    assert_eq!((message.body.as_slice(), message.persists), (&b"until the end"[..], false));
    let to_head = Kind::Response { to_head: true };
    let (message, _) = read(to_head, &[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]).unwrap();
    assert_eq!((message.body_bytes, message.status()), (0, Some(200)));
}

#[test]
fn what_is_no_message_is_refused() {
    for (raw, expect) in [
        (&b"SSH-2.0-x\r\n\r\n"[..], Malformed::StartLine),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Malformed::Framing),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Malformed::Framing),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", Malformed::Ended),
        (b"HTTP/1.1 200", Malformed::Ended),
    ] {
        assert_eq!(read(RESPONSE, &[raw]).unwrap_err(), expect);
    }
    let long = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'x'; 300_000]].concat();
    assert_eq!(read(RESPONSE, &[&long]).unwrap_err(), Malformed::HeadTooLarge);
}

#[test]
fn a_body_above_the_limit_is_cut_and_counted() {
    let mut reader = Reader::new(RESPONSE, 2);
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde").unwrap();
    let message = reader.take().unwrap();
    assert_eq!((message.body.as_slice(), message.body_bytes), (&b"ab"[..], 5));
}

proptest! {
    #[test]
    fn where_the_stream_is_cut_does_not_matter(
        body in prop::collection::vec(any::<u8>(), 1..50),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let size = format!("{:x}\r\n", body.len());
        let raw = [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
            size.as_bytes(), &body, b"\r\n0\r\nA: b\r\n\r\n",
        ].concat();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(raw.len())).collect();
        at.extend([0, raw.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &raw[ends[0]..ends[1]]).collect();
        let (message, used) = read(RESPONSE, &pieces).unwrap();
        prop_assert_eq!(used, raw.len());
        prop_assert_eq!(message.body, body);
        prop_assert_eq!(message.trailers, vec![(b"A".to_vec(), b"b".to_vec())]);
    }

    #[test]
    fn it_never_takes_more_than_it_was_given(
        raw in prop::collection::vec(any::<u8>(), 0..300),
        asked in any::<bool>(),
    ) {
        let kind = if asked { Kind::Request } else { RESPONSE };
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
        for (kind, raw) in [(kind, raw.clone()), (RESPONSE, [head, &raw].concat())] {
            let mut reader = Reader::new(kind, 100);
            if let Ok(used) = reader.feed(&raw) {
                prop_assert!(used <= raw.len());
                prop_assert!(used == raw.len() || reader.is_complete());
            }
        }
    }
}
