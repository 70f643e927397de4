//! Conversations as they should be, one rule of RFC 9112 each.

use weir_abi::Role;

use super::tape::{IN, OUT, Tape, exchanges, transcript};
use crate::{Event, Limits};

/// `C` asks, `S` answers.
type Script = &'static [(&'static str, &'static str)];

pub(super) const SAMPLES: &[(&str, Script)] = &[
    (
        "keep-alive",
        &[
            ("C", "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"),
            ("C", "POST /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"),
            ("S", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
        ],
    ),
    (
        "chunked",
        &[
            (
                "C",
                "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\n\r\n",
            ),
            (
                "S",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\
                 X-Sum: 1\r\nx-sum: 2\r\n\r\n",
            ),
        ],
    ),
    (
        "pipelining",
        &[
            ("C", "GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\n\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
            (
                "S",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na\
                 HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n\
                 HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n",
            ),
        ],
    ),
    (
        "continue",
        &[
            ("C", "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
            ("S", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
            ("C", "body"),
            ("S", "HTTP/1.1 204 No Content\r\n\r\n"),
        ],
    ),
    (
        "until close",
        &[
            ("C", "GET / HTTP/1.0\r\n\r\n"),
            ("S", "HTTP/1.0 200 OK\r\nServer: old\r\n\r\nto the end"),
        ],
    ),
    (
        "bare line feeds and folding",
        &[
            ("C", "\r\n\nGET / HTTP/1.1\nA: 1\n\t2\nhOSt:h \n\n"),
            ("S", "HTTP/1.1  200   Fine\nContent-Length: 1\nContent-Length: 1\n\nx"),
        ],
    ),
    (
        "transfer coding wins",
        &[
            ("C", "GET / HTTP/1.1\r\n\r\n"),
            (
                "S",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
                 1\r\nx\r\n0\r\n\r\n",
            ),
        ],
    ),
    (
        "web socket",
        &[
            ("C", "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
            ("S", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n\x01\x02"),
            ("C", "\x03GET / HTTP/1.1\r\n\r\n"),
        ],
    ),
    (
        "tunnel",
        &[
            ("C", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"),
            ("S", "HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n"),
            ("C", "\x16\x03\x01"),
        ],
    ),
    (
        "refused tunnel",
        &[
            ("C", "CONNECT h:443 HTTP/1.1\r\n\r\n"),
            ("S", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
            ("C", "OPTIONS * HTTP/1.1\r\n\r\n"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
    ),
    (
        "early answer",
        &[
            ("C", "POST /big HTTP/1.1\r\nContent-Length: 10\r\n\r\n012"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ("C", "3456789GET /next HTTP/1.1\r\n\r\n"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
    ),
    (
        "refused upload",
        &[
            ("C", "POST /big HTTP/1.1\r\nContent-Length: 100\r\n\r\n012"),
            ("S", "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ],
    ),
    (
        "time-out on an idle connection",
        &[
            ("C", "GET / HTTP/1.1\r\n\r\n"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("S", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
        ],
    ),
    (
        "no answer",
        &[("C", "GET / HTTP/1.1\r\n\r\nPOST /half HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")],
    ),
    (
        "cut answer",
        &[
            ("C", "GET / HTTP/1.1\r\n\r\n"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        ],
    ),
    (
        "different lengths",
        &[
            ("C", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            ("S", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        ],
    ),
    (
        "strange bytes",
        &[
            (
                "C",
                "GeT http://h/a b?id=1\x7f\x01 HTTP/1.1\r\nX: \x7f\0\r\nbad name : 1\r\nnothing\r\n\r\n",
            ),
            ("S", "HTTP/1.1 500 \x7f!\r\nContent-Length: 0\r\n\r\n"),
        ],
    ),
    ("garbage", &[("C", "\x00\x01\x02\n\nGET / HTTP/1.1\r\n\r\n"), ("S", "what?")]),
    ("server speaks first", &[("S", "220 mail ESMTP\r\n"), ("C", "HELO x\r\n")]),
    ("tls", &[("C", "\x16\x03\x01\n\n...."), ("S", "\x16\x03\x03")]),
    ("http/2", &[("C", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"), ("S", "\0\0\0")]),
    (
        "garbage after a request",
        &[
            ("C", "GET / HTTP/1.1\r\n\r\n"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("C", "\x01garbage\r\n\r\n"),
            ("S", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            ("C", "GET /2 HTTP/1.1\r\n\r\n"),
            ("S", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
    ),
];

fn play(role: Role) -> String {
    let mut lines = Vec::new();
    for (name, script) in SAMPLES {
        let tape = script.iter().fold(Tape::default(), |tape, (who, bytes)| {
            tape.data(if *who == "C" { IN } else { OUT }, bytes)
        });
        lines.push(format!("# {name}\n{}", transcript(&tape.play(role))));
    }
    lines.join("\n")
}

#[test]
fn samples_give_what_both_ends_meant() {
    insta::assert_snapshot!(play(Role::Server));
}

#[test]
fn samples_joined_late_give_no_more_than_what_is_certain() {
    insta::assert_snapshot!(play(Role::Unknown));
}

#[test]
fn times_positions_and_ordinals_are_those_of_the_records() {
    let tape = Tape::default()
        .data(OUT, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        .data(OUT, "hi")
        .data(IN, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        .data(IN, "ok");
    let mut tape = tape.data(OUT, "GET / HTTP/1.1\r\n\r\n").data(IN, "HTTP/1.1 204 \r\n\r\n");
    for (time_ns, record) in (1..).zip(&mut tape.records) {
        record.time_ns = time_ns;
    }
    let events = tape.play(Role::Client);
    let [first, second] = exchanges(&events)[..] else { panic!("{events:?}") };
    let times = |exchange: &crate::Exchange| {
        let (request, response) =
            (exchange.request.as_ref().unwrap(), exchange.response.as_ref().unwrap());
        [
            request.first_byte_ns,
            request.last_byte_ns,
            response.first_byte_ns,
            response.last_byte_ns,
            request.end_position,
            response.end_position,
            exchange.ordinal,
        ]
    };
    assert_eq!(times(first), [1, 2, 3, 4, 40, 40, 0]);
    assert_eq!(times(second), [5, 5, 6, 6, 58, 57, 1]);
    assert_eq!(first.role, Role::Client);
}

#[test]
fn a_connection_joined_inside_a_body_starts_at_the_next_request() {
    let tape = Tape::default()
        .data(OUT, "rest of a response\nGET /fake HTTP/1.1 is in it")
        .data(IN, "GET /a HTTP/1.1\r\n\r\n")
        .data(OUT, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    insta::assert_snapshot!(transcript(&tape.play(Role::Unknown)), @r"
    Undecodable { bytes: 46, reason: JoinedLate }
    GET /a -> 200 OK [x]
    ");
    let server = exchanges(&tape.play(Role::Unknown))[0].role;
    assert_eq!(server, Role::Server);
}

#[test]
fn an_answer_to_a_request_before_the_capture_is_no_exchange() {
    let tape = Tape::default()
        .data(IN, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        .data(OUT, "GET /a HTTP/1.1\r\n\r\n")
        .data(IN, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny");
    let events = tape.play(Role::Unknown);
    insta::assert_snapshot!(transcript(&events), @"GET /a -> 200 OK [y]");
    assert_eq!(exchanges(&events)[0].role, Role::Client);
}

#[test]
fn bodies_over_the_limit_are_cut_and_measured() {
    let limits = Limits { max_body_bytes: 4, ..Limits::default() };
    let tape = Tape::default().data(IN, "POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabcdef").data(
        OUT,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n",
    );
    insta::assert_snapshot!(
        transcript(&tape.play_within(Role::Server, limits)),
        @"POST / [abcd] of 6 -> 200 OK [abcd] of 6"
    );
}

#[test]
fn a_head_over_the_limit_is_undecodable() {
    let limits = Limits { max_head_bytes: 100, ..Limits::default() };
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(100));
    let tape = Tape::default()
        .data(IN, "GET /1 HTTP/1.1\r\n\r\n")
        .data(OUT, "HTTP/1.1 204 \r\n\r\n")
        .data(IN, &long)
        .data(OUT, "HTTP/1.1 431 \r\nContent-Length: 0\r\n\r\n")
        .data(IN, "GET /2 HTTP/1.1\r\n\r\n")
        .data(OUT, "HTTP/1.1 204 \r\n\r\n");
    insta::assert_snapshot!(transcript(&tape.play_within(Role::Server, limits)));
}

/// Found by fuzzing.
#[test]
fn a_late_head_that_never_ends_is_no_loss() {
    let tape = Tape::default()
        .data(IN, "rest")
        .data(OUT, "GET / HTTP/1.1\r\nX: 1")
        .data(IN, "what")
        .data(OUT, "ever\n")
        .data(OUT, "it is\n");
    insta::assert_snapshot!(transcript(&tape.play(Role::Unknown)), @r"
    Undecodable { bytes: 4, reason: JoinedLate }
    Undecodable { bytes: 35, reason: Unaligned }
    ");
}

#[test]
fn a_connection_that_said_nothing_gives_nothing() {
    for role in [Role::Server, Role::Client, Role::Unknown] {
        assert_eq!(Tape::default().play(role), []);
    }
}

#[test]
fn a_missing_close_record_leaves_half_pairs() {
    let tape = Tape::default()
        .data(IN, "GET /1 HTTP/1.1\r\n\r\n")
        .data(OUT, "HTTP/1.0 200 OK\r\n\r\nunknown end");
    insta::assert_snapshot!(
        transcript(&tape.play_unfinished(Role::Server)), @"GET /1 -> half=unfinished"
    );
}

/// Every byte value wherever it may stand comes through as it was.
#[test]
fn all_byte_values_come_through() {
    for byte in 0..=u8::MAX {
        let in_line = !matches!(byte, b'\r' | b'\n');
        let text: &[u8] = if in_line { &[b'a', byte, b'z'] } else { b"az" };
        let body = [byte, byte];
        let request =
            [b"POST /".as_slice(), text, b"?q=", text, b" HTTP/1.1\r\nX-A: ", text].concat();
        let request = [&request, b"\r\nContent-Length: 2\r\n\r\n".as_slice(), &body].concat();
        let response = [b"HTTP/1.1 200 ".as_slice(), text, b"\r\nX-B: ", text].concat();
        let response = [&response, b"\r\nContent-Length: 2\r\n\r\n".as_slice(), &body].concat();
        let events = Tape::default().data(IN, &request).data(OUT, &response).play(Role::Server);
        let [Event::Exchange(exchange)] = &events[..] else { panic!("{byte}: {events:?}") };
        let (asked, answered) =
            (exchange.request.as_ref().unwrap(), exchange.response.as_ref().unwrap());
        assert_eq!(asked.head.target(), [b"/".as_slice(), text, b"?q=", text].concat(), "{byte}");
        assert_eq!(asked.head.lines.first("x-a"), Some(text), "{byte}");
        assert_eq!(asked.body.kept, body);
        assert_eq!(answered.head.reason(), text, "{byte}");
        assert_eq!(answered.head.lines.first("x-b"), Some(text), "{byte}");
        assert_eq!(answered.body.kept, body);
        assert_eq!(asked.head.lines.raw(), &request[..request.len() - 2]);
    }
}
