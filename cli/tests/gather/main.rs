//! `weir gather` as users run it: against a fake that fails in every way that matters, and,
//! ignored by default, against real stores (`make test-stores`).
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

mod buckets;
mod datadog;
mod elasticsearch;
mod killed;
mod loki;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/contract/golden");

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn gather(arguments: &[&str]) -> Ended {
    gather_with(&[], arguments)
}

fn gather_with(environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    // Nothing of the user's: no credentials, no profile, no proxy.
    command.env_clear().env("HOME", "/nonexistent").envs(environment.iter().copied());
    let output = command.arg("gather").args(arguments).output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every file below, hidden ones too.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn records(out: &Path) -> Vec<Value> {
    let files = files(out).into_iter().filter(|path| !path.to_string_lossy().contains(".metadata"));
    files.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

/// A request as the fake sees it.
struct Asked {
    line: String,
    head: String,
    body: Value,
}

/// Answers requests, one a connection, with status and body as `answer` says.
fn fake(answer: impl Fn(&Asked) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some(asked) = read_request(&mut stream) else { continue };
            let (status, body) = answer(&asked);
            let head = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).ok();
            stream.write_all(body.as_bytes()).ok();
        }
    });
    url
}

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Asked { line: head.lines().next()?.to_owned(), head, body })
}

/// An index whose count is `total` and whose only page is `hits`.
fn index(total: u64, hits: Vec<Value>) -> impl Fn(&Asked) -> (u16, String) {
    move |asked: &Asked| {
        let body = if asked.line.contains("_pit?") {
            json!({ "id": "p" })
        } else if asked.line.contains("/_search") && asked.body["size"] == 0 {
            json!({ "timed_out": false, "_shards": { "failed": 0 },
                "hits": { "total": { "value": total }, "hits": [] } })
        } else if asked.line.contains("/_search") && asked.body.get("search_after").is_none() {
            json!({ "timed_out": false, "_shards": { "failed": 0 }, "hits": { "hits": hits } })
        } else {
            json!({ "timed_out": false, "_shards": { "failed": 0 }, "hits": { "hits": [] } })
        };
        (200, body.to_string())
    }
}

fn hit(number: i64, body: &Value) -> Value {
    json!({ "_source": { "@timestamp": "x", "Body": body, "Resource": { "cluster": "dev" } },
        "sort": [1000 - number, number] })
}

fn es(url: &str, out: &Path, more: &[&str]) -> Ended {
    let out = out.to_str().unwrap();
    let mut arguments = vec!["es", "--es-url", url, "--out-dir", out];
    arguments.extend(more);
    gather(&arguments)
}

#[test]
fn times_are_taken_in_both_forms_and_bad_ones_are_exit_2() {
    let url = fake(index(0, Vec::new()));
    let out = tempfile::tempdir().unwrap();
    for start in [&["--start", "-15m"][..], &["--start=-15m"], &["--start", "2026-09-01T10:00:00"]]
    {
        let ended = es(&url, &out.path().join("o"), start);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.starts_with("no traffic matched filter; nothing written.\nhint: "));
        assert_eq!(ended.stdout, "");
    }
    assert!(!out.path().join("o").exists());
    for bad in [&["--start", "soon"][..], &["--start=-5m", "--end=-10m"], &["--endpoint", "("]] {
        assert_eq!(es(&url, out.path(), bad).code, Some(2));
    }
}

#[test]
fn a_refused_login_is_exit_1_and_never_shown() {
    let url = fake(|asked| {
        assert!(asked.head.to_lowercase().contains("authorization: basic dxnlcjpjyw5hcnk="));
        (401, r#"{"error":{"reason":"unable to authenticate user [user]"},"status":401}"#.into())
    });
    let url = url.replace("http://", "http://user:canary@");
    let out = tempfile::tempdir().unwrap();
    let ended = es(&url, out.path(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("401") && ended.stderr.contains("ES_PASSWORD"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("canary"));
    assert_eq!(files(out.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_wrong_index_is_exit_1_and_named() {
    let url = fake(|asked| {
        assert!(asked.line.contains("/no-such-index/"), "{}", asked.line);
        let reason = json!({ "type": "index_not_found_exception",
            "reason": "no such index [no-such-index]" });
        (404, json!({ "error": reason, "status": 404 }).to_string())
    });
    let out = tempfile::tempdir().unwrap();
    let ended = es(&url, out.path(), &["--index", "no-such-index"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("no such index [no-such-index]"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(hint: see GET /_cat/indices"), "{}", ended.stderr);
    assert_eq!(files(out.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_directory_that_cannot_be_written_is_exit_2() {
    let pair = json!({ "msgType": "rrpair", "uuid": "AAAAAAAAAAAAAAAAAAAAAA==" });
    let url = fake(index(1, vec![hit(1, &pair)]));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a-file");
    fs::write(&out, "in the way").unwrap();
    let ended = es(&url, &out, &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(out.to_str().unwrap()), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&out).unwrap(), "in the way");
}

#[test]
fn a_store_that_gives_less_than_it_counts_is_an_error() {
    let pair = json!({ "msgType": "rrpair", "uuid": "AAAAAAAAAAAAAAAAAAAAAA==" });
    let url = fake(index(2, vec![hit(1, &pair)]));
    let out = tempfile::tempdir().unwrap();
    let ended = es(&url, out.path(), &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("it counts 2 documents and gave 1"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--resume"));
}

#[test]
fn hostile_names_do_not_leave_the_directory() {
    let hostile = |number: i64, host: &str, uuid: &str| {
        let body = json!({ "msgType": "rrpair", "uuid": uuid, "cluster": "undefined",
            "http": { "req": { "host": host } } });
        hit(number, &body)
    };
    let hits = vec![
        hostile(1, "../../../etc", "../../../x"),
        hostile(2, "..", ""),
        hostile(3, "/abs/olute\u{0}", "AAAAAAAAAAAAAAAAAAAAAA=="),
        hostile(4, "a:8080", "AQEBAQEBAQEBAQEBAQEBAQ=="),
        hit(5, &json!({ "message": "no RRPair" })),
    ];
    let url = fake(index(5, hits));
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("inner/out");
    let ended = es(&url, &out, &["-q"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 documents are no RRPairs; left out\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains("wrote 4 RRPairs to "), "{}", ended.stderr);
    assert_eq!(files(parent.path()).len(), 5, "metadata and four records");
    assert!(files(parent.path()).iter().all(|path| path.starts_with(&out)));
    assert!(records(&out).iter().all(|record| record["cluster"] == "dev"));
    assert!(
        files(&out)
            .iter()
            .any(|path| path.ends_with("a_8080/01010101-0101-0101-0101-010101010101.json"))
    );
}

#[test]
fn files_of_otlp_give_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let golden = fs::read(format!("{GOLDEN}/http-get-200.otlp.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let file = folder.path().join("logs.jsonl");
    fs::write(&file, format!("{golden}\n{golden}\n")).unwrap();
    let (file, out) = (file.to_str().unwrap(), folder.path().join("out"));
    let out_text = out.to_str().unwrap();
    let ended = gather(&["otlp-file", "--in", file, "--out-dir", out_text]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // The same record twice: counted twice, one file (contract §4.3).
    assert!(ended.stderr.contains("wrote 2 RRPairs to "), "{}", ended.stderr);
    let expected = fs::read(format!("{GOLDEN}/http-get-200.json")).unwrap();
    let mut expected: Value = serde_json::from_slice(&expected).unwrap();
    expected["signature"]["instance"] = "MQ==".into();
    assert_eq!(records(&out), [expected]);

    let none = gather(&["otlp-file", "--in", file, "--out-dir", out_text, "--service", "other"]);
    assert_eq!(none.code, Some(1), "{}", none.stderr);
    fs::write(folder.path().join("bad.jsonl"), "{}\n{\"a\":,}\n").unwrap();
    let bad = folder.path().join("bad.jsonl");
    let bad = gather(&["otlp-file", "--in", bad.to_str().unwrap(), "--out-dir", out_text]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.stderr.contains("bad.jsonl: line 2 is no JSON"), "{}", bad.stderr);
    let missing = gather(&["otlp-file", "--in", "/does/not/exist", "--out-dir", out_text]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("/does/not/exist"), "{}", missing.stderr);
}

/// An answer to `curl`, which is JSON.
fn curl(method: &str, url: &str, body: &str) -> Value {
    let answer = curl_with(&["-X", method, "-H", "Content-Type: application/x-ndjson", url], body);
    serde_json::from_slice(&answer).unwrap()
}

fn curl_with(arguments: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut child = Command::new("curl")
        .args(["-sS", "--data-binary", "@-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body.as_ref()).unwrap();
    child.wait_with_output().unwrap().stdout
}

fn base64(number: u128) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(number.to_be_bytes())
}
