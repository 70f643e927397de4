//! `weir replay` as users run it, against plain TCP servers that keep every byte.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

use std::{
    fs,
    io::{BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// What a server got: for each connection in order of its opening, the requests on it.
type Got = Arc<Mutex<Vec<Vec<Vec<u8>>>>>;

/// Answers a request, head and body together, with a status and a body.
type Answer = fn(&[u8]) -> (u16, Vec<(&'static str, String)>, String);

fn serve(answer: Answer) -> (String, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let got = Got::default();
    let all = Arc::clone(&got);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let number = {
                let mut all = all.lock().unwrap();
                all.push(Vec::new());
                all.len() - 1
            };
            let all = Arc::clone(&all);
            thread::spawn(move || talk(&stream, number, &all, answer));
        }
    });
    (address, got)
}

fn talk(stream: &TcpStream, number: usize, all: &Got, answer: Answer) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let (status, headers, body) = answer(&request);
        all.lock().unwrap()[number].push(request);
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([name, ": ", &value, "\r\n"]);
        }
        let mut stream = stream;
        if stream.write_all(format!("{head}\r\n{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut length = 0;
    loop {
        let start = request.len();
        if reader.read_until(b'\n', &mut request).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&request[start..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.extend(body);
    Some(request)
}

/// A recorded pair: `raw` is the request as it was on the wire.
fn pair(number: u8, connection: u64, raw: &[u8], status: u16, answer: &str) -> Value {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (head, body) = raw.split_at(end);
    let line =
        String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap()).into_owned();
    let mut words = line.split(' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let path = uri.split('?').next().unwrap();
    json!({
        "msgType": "rrpair", "direction": "IN", "service": "rocket", "l7protocol": "http",
        "ts": format!("2026-09-01T10:00:{number:02}.000000000Z"),
        "uuid": BASE64_STANDARD.encode([number; 16]), "command": method, "location": path,
        "status": status.to_string(), "netinfo": { "id": connection.to_string() },
        "http": {
            "req": { "method": method, "url": path, "uri": uri, "version": "1.1", "host": "rocket",
                "headBase64": BASE64_STANDARD.encode(head), "bodyBase64": BASE64_STANDARD.encode(body) },
            "res": { "statusCode": status, "statusMessage": format!("{status} X"),
                "bodyBase64": BASE64_STANDARD.encode(answer) },
        },
    })
}

fn write(folder: &Path, pairs: &[Value]) {
    let folder = folder.join("snapshot-1/rocket");
    fs::create_dir_all(&folder).unwrap();
    // Names do not follow the time.
    for (number, pair) in pairs.iter().enumerate() {
        fs::write(folder.join(format!("{}.json", 999 - number)), pair.to_string()).unwrap();
    }
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn replay(folder: &Path, address: &str, more: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["replay", "--test-against", address, "--in"]).arg(folder).args(more);
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ok(_: &[u8]) -> (u16, Vec<(&'static str, String)>, String) {
    (200, Vec::new(), "{}".to_owned())
}

/// Requests that no strict client would send.
fn odd_requests() -> Vec<Vec<u8>> {
    vec![
        b"GET /api/rocket?id=falcon\x7f HTTP/1.1\r\nHost: rocket\r\n\r\n".to_vec(),
        b"POST /a//b/../c?x=%zz&y=\xff\xfe HTTP/1.1\r\nhost:rocket\r\nX-Odd:  two  blanks \r\nX-odd: again\r\nContent-Length: 6\r\n\r\n\x00\x01\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\nHost: rocket\nX-Bare: line feeds\n\n".to_vec(),
        b"DELETE /\xc3\xa4?'\"<> HTTP/1.1\r\nHost: other.example:99\r\nAccept:\r\n\r\n".to_vec(),
    ]
}

#[test]
fn the_bytes_on_the_wire_are_the_recorded_ones_in_order_and_by_connection() {
    let (address, got) = serve(ok);
    let folder = tempfile::tempdir().unwrap();
    let odd = odd_requests();
    let mut pairs: Vec<Value> = Vec::new();
    for number in 0..24u8 {
        let mut raw = odd[usize::from(number) % 4].clone();
        if number % 4 == 2 {
            // `pair` looks for the end of a head with CRLF.
            raw = b"GET /two HTTP/1.1\r\nHost: rocket\r\n\r\n".to_vec();
        }
        pairs.push(pair(number, u64::from(number % 3), &raw, 200, "{}"));
    }
    let mut out = pair(50, 9, b"GET /out HTTP/1.1\r\nHost: db\r\n\r\n", 200, "");
    out["direction"] = "OUT".into();
    pairs.push(out);
    write(folder.path(), &pairs);

    let ended = replay(folder.path(), &address, &["-o", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let got = got.lock().unwrap();
    assert_eq!(got.len(), 3, "one connection for each recorded one");
    for (connection, requests) in got.iter().enumerate() {
        let expected: Vec<Vec<u8>> = (0..24usize)
            .filter(|number| number % 3 == connection)
            .map(|number| match number % 4 {
                2 => b"GET /two HTTP/1.1\r\nHost: rocket\r\n\r\n".to_vec(),
                kind => odd[kind].clone(),
            })
            .collect();
        assert_eq!(*requests, expected, "connection {connection}");
    }
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let all = report["endpoints"].as_array().unwrap().last().unwrap();
    assert_eq!(all["url"], "-ALL-");
    assert_eq!(all["metrics"]["requests"]["total"], 24.0);
    assert_eq!(all["metrics"]["requests"]["result-match-pct"], 100.0);
    assert_eq!(report["notSent"]["a call that the service makes (direction OUT)"], 1);
}

#[test]
fn without_the_number_of_a_connection_those_of_one_session_share_one() {
    let (address, got) = serve(ok);
    let folder = tempfile::tempdir().unwrap();
    let raw = |number: u8| format!("GET /{number} HTTP/1.1\r\nHost: rocket\r\n\r\n").into_bytes();
    let pairs = (0..9).map(|number| {
        let mut pair = pair(number, 0, &raw(number), 200, "{}");
        pair.as_object_mut().unwrap().remove("netinfo");
        pair["session"] = ["anna", "ben", "cleo"][usize::from(number % 3)].into();
        pair
    });
    write(folder.path(), &pairs.collect::<Vec<_>>());
    let ended = replay(folder.path(), &address, &["--no-out"]);
    assert!(ended.stdout.contains("(9 of 9)"), "{}", ended.stdout);
    let expected: Vec<Vec<_>> =
        (0..3).map(|first| (0..3).map(|turn| raw(first + turn * 3)).collect()).collect();
    assert_eq!(*got.lock().unwrap(), expected);
}

fn buggy(request: &[u8]) -> (u16, Vec<(&'static str, String)>, String) {
    let line = request.split(|byte| *byte == b'\r').next().unwrap();
    if line.windows(4).any(|four| four == b"\x7f HT" || four == b"%7F ") {
        return (500, Vec::new(), r#"{"error":"rocket not found"}"#.into());
    }
    fixed(request)
}

fn fixed(_: &[u8]) -> (u16, Vec<(&'static str, String)>, String) {
    (200, Vec::new(), r#"{"name":"Falcon"}"#.into())
}

#[test]
fn the_buggy_build_matches_wholly_and_the_fixed_one_differs_where_it_is_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let pairs: Vec<_> = (0..40u8)
        .map(|number| {
            let del = if number % 4 == 0 { "%7F" } else { "" };
            let raw =
                format!("GET /api/rocket?id=falcon-{number}{del} HTTP/1.1\r\nHost: rocket\r\n\r\n");
            let (status, _, body) = buggy(raw.as_bytes());
            pair(number, 1, raw.as_bytes(), status, &body)
        })
        .collect();
    write(folder.path(), &pairs);
    let condition = ["--fail-if", "requests.result-match-pct < 100"];
    let (address, _) = serve(buggy);
    let before = folder.path().join("before");
    let out = before.to_str().unwrap();
    let ended = replay(folder.path(), &address, &[&condition[..], &["--out", out]].concat());
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("result match: 100.00 % (40 of 40)"), "{}", ended.stdout);
    fs::rename(&before, folder.path().join("results")).unwrap(); // it holds records too
    let baseline = folder.path().join("results");

    let (address, _) = serve(fixed);
    let ended = replay(folder.path(), &address, &condition);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout.contains("result match: 75.00 % (30 of 40)"), "{}", ended.stdout);
    assert!(ended.stdout.contains("id=falcon-0%7F  500 → 200"), "{}", ended.stdout);
    assert!(ended.stdout.contains("PCT  PER-SECOND\n"), "{}", ended.stdout);
    assert!(ended.stderr.contains("failed: requests.result-match-pct < 100"), "{}", ended.stderr);

    let new =
        replay(folder.path(), &address, &["--no-out", "--baseline", baseline.to_str().unwrap()]);
    assert_eq!(new.code, Some(3), "{}", new.stderr);
    assert!(new.stderr.contains("10 mismatches that the baseline does not have"), "{}", new.stderr);

    let results = fs::read_dir(&baseline).unwrap().map(|entry| entry.unwrap().path());
    let replayed =
        results.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("replayed-"));
    let replayed: Vec<_> = replayed.collect();
    assert_eq!(replayed.len(), 1, "--no-out wrote nothing");
    let verdict = fs::read(replayed[0].join("replay-verdict.json")).unwrap();
    let verdict: Value = serde_json::from_slice(&verdict).unwrap();
    let wrong = verdict["pairs"].as_array().unwrap().iter().filter(|pair| pair["match"] == false);
    let wrong: Vec<_> = wrong.collect();
    assert_eq!(wrong.len(), 10);
    assert!(
        wrong.iter().all(|pair| pair["recordedStatus"] == "500" && pair["observedStatus"] == "200")
    );
    assert_eq!(wrong[0]["uuid"], "00000000-0000-0000-0000-000000000000");
    assert_eq!(fs::read_dir(replayed[0].join("rocket")).unwrap().count(), 40);
    let known =
        replay(folder.path(), &address, &["--no-out", "--baseline", replayed[0].to_str().unwrap()]);
    assert_eq!(known.code, Some(0), "{}", known.stderr);
}

fn login(request: &[u8]) -> (u16, Vec<(&'static str, String)>, String) {
    let text = String::from_utf8_lossy(request);
    if text.starts_with("POST /login ") {
        let cookie = ("Set-Cookie", "sid=new-session-1; HttpOnly".to_owned());
        let body = r#"{"access_token":"new-token-99","at":"2026-11-21T17:00:00Z"}"#;
        return (200, vec![cookie], body.to_owned());
    }
    let welcome = text.contains("Authorization: Bearer new-token-99\r\n")
        && text.contains("Cookie: a=1; sid=new-session-1\r\n");
    (if welcome { 200 } else { 401 }, Vec::new(), "{}".to_owned())
}

#[test]
fn a_new_login_token_is_carried_into_later_requests() {
    let folder = tempfile::tempdir().unwrap();
    let mut minted = pair(
        1,
        1,
        b"POST /login HTTP/1.1\r\nHost: rocket\r\nContent-Length: 2\r\n\r\n{}",
        200,
        r#"{"access_token":"old-token-1","at":"2026-09-01T10:00:00Z"}"#,
    );
    minted["http"]["res"]["headers"] = json!({ "Set-Cookie": ["sid=old-session-7; HttpOnly"] });
    let later = b"GET /me HTTP/1.1\r\nHost: rocket\r\nAuthorization: Bearer old-token-1\r\nCookie: a=1; sid=old-session-7\r\n\r\n";
    write(folder.path(), &[minted, pair(2, 1, later, 200, "{}"), pair(3, 2, later, 200, "{}")]);
    let (address, _) = serve(login);
    let ended = replay(folder.path(), &address, &["--no-out"]);
    assert_eq!(ended.code, Some(0));
    // The token itself is new each time; it is learnt from nothing here, and so differs.
    assert!(ended.stdout.contains("tokens and ids carried on: 4"), "{}", ended.stdout);
    assert!(ended.stdout.contains("POST /login $.at: a time"), "{}", ended.stdout);
    assert!(ended.stdout.contains("(2 of 3)"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("$.access_token: old-token-1 → new-token-99"),
        "{}",
        ended.stdout
    );
}

#[test]
fn users_and_times_multiply_and_a_dead_server_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let raw = b"GET /a HTTP/1.1\r\nHost: rocket\r\n\r\n";
    write(folder.path(), &[pair(1, 1, raw, 200, "{}"), pair(2, 1, raw, 200, "{}")]);
    let (address, got) = serve(ok);
    let ended = replay(folder.path(), &address, &["--no-out", "--vus", "3", "--times", "5"]);
    assert!(ended.stdout.contains("(30 of 30)"), "{}", ended.stdout);
    assert_eq!(got.lock().unwrap().iter().map(Vec::len).sum::<usize>(), 30);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let dead = replay(folder.path(), &free, &["--no-out", "--fail-if", "requests.failed > 0"]);
    assert_eq!(dead.code, Some(1), "{}", dead.stderr);
    assert!(dead.stdout.contains("cannot connect"), "{}", dead.stdout);
    let dead = replay(folder.path(), &free, &["--no-out"]);
    assert_eq!(dead.code, Some(2), "nothing was tried out: {}", dead.stderr);
    assert!(dead.stderr.contains("no request was answered"), "{}", dead.stderr);
}

/// Answers the first connection before the body has come, which it leaves unread, and the second
/// as it should.
fn hasty() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        first.write_all(b"HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        let (second, _) = listener.accept().unwrap();
        talk(&second, 0, &Arc::new(Mutex::new(vec![Vec::new()])), ok);
        drop(first);
    });
    address
}

#[test]
fn what_was_not_sent_of_a_request_does_not_begin_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let body = "x".repeat(8 << 20); // more than both sockets hold
    let large = format!("POST /a HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let small = b"GET /b HTTP/1.1\r\nHost: rocket\r\n\r\n";
    write(folder.path(), &[pair(1, 1, large.as_bytes(), 413, "{}"), pair(2, 1, small, 200, "{}")]);
    let ended = replay(folder.path(), &hasty(), &["--no-out"]);
    assert!(ended.stdout.contains("(2 of 2)"), "{}", ended.stdout);
}

/// A golden record of the contract as something that the service answered.
fn golden(name: &str, number: u8) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/contract/golden");
    let text = fs::read(Path::new(folder).join(name)).unwrap();
    let mut record: Value = serde_json::from_slice(&text).unwrap();
    record["direction"] = "IN".into();
    record["uuid"] = BASE64_STANDARD.encode([number; 16]).into();
    record
}

#[test]
fn what_cannot_be_sent_is_counted_by_reason_and_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let raw = b"GET /a HTTP/1.1\r\nHost: rocket\r\n\r\n";
    let mut cut = pair(4, 1, raw, 200, "{}");
    cut["tags"] = json!({ "truncated": "request" });
    let grpc = "grpc-unary.json";
    write(
        folder.path(),
        &[
            pair(1, 1, raw, 200, "{}"),
            golden(grpc, 2),
            golden(grpc, 3),
            cut,
            golden("postgres-query.json", 5),
        ],
    );
    let (address, got) = serve(ok);
    let ended = replay(folder.path(), &address, &["--no-out", "-o", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let expected = json!({
        "gRPC needs HTTP/2, which replay does not send yet": 2,
        "not HTTP": 1,
        "the request body was not captured whole": 1,
    });
    assert_eq!(report["notSent"], expected);
    assert_eq!(got.lock().unwrap().iter().map(Vec::len).sum::<usize>(), 1);
    let ended = replay(folder.path(), &address, &["--no-out"]);
    assert!(
        ended.stdout.contains("not sent: 2 × gRPC needs HTTP/2, which replay does not send yet"),
        "{}",
        ended.stdout
    );
}

/// A new number in each answer, beside what stays.
fn counting(_: &[u8]) -> (u16, Vec<(&'static str, String)>, String) {
    static COUNT: AtomicUsize = AtomicUsize::new(1_000);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    (200, Vec::new(), format!(r#"{{"visit":{count},"name":"Falcon"}}"#))
}

#[test]
fn values_that_are_new_every_time_are_learnt_before_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let raw = b"GET /visit HTTP/1.1\r\nHost: rocket\r\n\r\n";
    write(folder.path(), &[pair(1, 1, raw, 200, r#"{"visit":7,"name":"Falcon"}"#)]);
    let (address, got) = serve(counting);
    let plain = replay(folder.path(), &address, &["--no-out"]);
    assert!(plain.stdout.contains("$.visit: 7 → 1"), "{}", plain.stdout);
    assert!(plain.stdout.contains("(0 of 1)"), "{}", plain.stdout);
    // A/A first: everything once more, uncounted.
    let learnt = replay(folder.path(), &address, &["--no-out", "--learn", "-o", "json"]);
    let report: Value = serde_json::from_str(&learnt.stdout).unwrap();
    let all = report["endpoints"].as_array().unwrap().last().unwrap();
    assert_eq!(all["metrics"]["requests"]["total"], 1.0);
    assert_eq!(all["metrics"]["requests"]["result-match-pct"], 100.0);
    assert_eq!(
        report["volatile"],
        json!([{ "endpoint": "GET /visit", "location": "$.visit", "why": "differs between repetitions" }])
    );
    // Repetitions teach the same.
    let often = replay(folder.path(), &address, &["--no-out", "--times", "2"]);
    assert!(often.stdout.contains("(2 of 2)"), "{}", often.stdout);
    assert_eq!(got.lock().unwrap().iter().map(Vec::len).sum::<usize>(), 5);
    // What differs otherwise is still told.
    write(folder.path(), &[pair(1, 1, raw, 200, r#"{"visit":7,"name":"Soyuz"}"#)]);
    let other = replay(folder.path(), &address, &["--no-out", "--learn"]);
    assert!(other.stdout.contains("$.name: Soyuz → Falcon"), "{}", other.stdout);
    assert!(other.stdout.contains("(0 of 1)"), "{}", other.stdout);
}

#[test]
fn a_replay_may_last_for_a_time_and_goes_to_each_services_own_address() {
    let folder = tempfile::tempdir().unwrap();
    let raw = b"GET /a HTTP/1.1\r\nHost: rocket\r\n\r\n";
    let mut other = pair(2, 2, raw, 200, "{}");
    other["service"] = "auth".into();
    let mut third = pair(3, 3, raw, 200, "{}");
    third["service"] = "nobody".into();
    write(folder.path(), &[pair(1, 1, raw, 200, "{}"), other, third]);
    let ((rocket, at_rocket), (auth, at_auth)) = (serve(ok), serve(ok));
    let to =
        [&format!("rocket={rocket}"), "--test-against", &format!("auth={auth}")].map(String::from);
    let more = ["--no-out", "--for", "2s", "--rewrite-host", "-o", "json"];
    let more: Vec<_> = to[1..].iter().map(String::as_str).chain(more).collect();
    let ended = replay(folder.path(), &to[0], &more);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["notSent"]["no --test-against for the service nobody"], 1);
    let all = report["endpoints"].as_array().unwrap().last().unwrap();
    let total = all["metrics"]["requests"]["total"].as_f64().unwrap();
    let requests = |got: &Got| got.lock().unwrap().concat();
    let (to_rocket, to_auth) = (requests(&at_rocket), requests(&at_auth));
    assert!(to_rocket.len() > 1, "it went on after the first round");
    assert_eq!(total.to_string(), (to_rocket.len() + to_auth.len()).to_string());
    let with = |host: &str| format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    assert!(to_rocket.iter().all(|request| *request == with(&rocket)));
    assert!(to_auth.iter().all(|request| *request == with(&auth)));
}

#[test]
fn input_that_cannot_be_sent_is_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let none = replay(folder.path(), ":8080", &[]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("nothing to send in"), "{}", none.stderr);
    let missing = replay(Path::new("/does/not/exist"), ":8080", &[]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("/does/not/exist"), "{}", missing.stderr);
    fs::write(folder.path().join("half.json"), "{\"msgType\":\"rrp").unwrap();
    let half = replay(folder.path(), ":8080", &[]);
    assert_eq!(half.code, Some(2));
    assert!(
        half.stderr.contains("half.json: half a JSON document: it ends at line 1"),
        "{}",
        half.stderr
    );
    let condition = replay(folder.path(), ":8080", &["--fail-if", "requests.speed > 1"]);
    assert_eq!(condition.code, Some(2));
}
