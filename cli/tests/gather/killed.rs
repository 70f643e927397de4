//! A gather that is killed half-way goes on where it was.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Asked, base64, es, fake, files, hit, records};

/// Two pages and a bit.
const TOTAL: i64 = 1_300;
const FIRST_PAGE: usize = 500;

/// Pages of an index as Elasticsearch gives them; after the first one `ready` says whether there
/// is another.
fn pages(ready: impl Fn() -> bool) -> impl Fn(&Asked) -> (u16, String) {
    move |asked: &Asked| {
        let after = asked.body["search_after"][1].as_i64();
        let size = usize::try_from(asked.body["size"].as_u64().unwrap_or(0)).unwrap();
        let whole = json!({ "timed_out": false, "_shards": { "failed": 0 } });
        let mut answer = whole;
        if asked.line.contains("_pit") {
            answer = json!({ "id": "p" });
        } else if size == 0 {
            answer["hits"] = json!({ "total": { "value": TOTAL }, "hits": [] });
        } else {
            while after.is_some() && !ready() {
                std::thread::sleep(Duration::from_millis(20));
            }
            // The time of the place is counted from the newest; -1 is before them all.
            let from = match asked.body["search_after"][0].as_i64() {
                Some(time) if after == Some(-1) => 1_000 - time,
                _ => after.map_or(0, |number| number + 1),
            };
            let hits: Vec<Value> = (from..TOTAL).take(size).map(document).collect();
            answer["hits"] = json!({ "hits": hits });
        }
        (200, answer.to_string())
    }
}

fn document(number: i64) -> Value {
    let uuid = base64(u128::try_from(number).unwrap() + 1);
    let body = json!({ "msgType": "rrpair", "uuid": uuid, "direction": "IN", "cluster": "dev",
        "http": { "req": { "host": "a" } }, "signature": { "http:url": "Lw==" } });
    hit(number, &body)
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_mins(1), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill_half_way(url: &str, out: &Path) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["gather", "es", "--slices", "1", "--es-url", url, "--out-dir"])
        .arg(out)
        .env_clear()
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the first page's files and the note of its place", || {
        out.join(".metadata/gather.json").exists() && records(out).len() >= FIRST_PAGE
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_gather_goes_on_where_it_was() {
    let is_ready = Arc::new(AtomicBool::new(false));
    let ready = Arc::clone(&is_ready);
    let url = fake(pages(move || ready.load(Ordering::Relaxed)));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    kill_half_way(&url, &out);
    is_ready.store(true, Ordering::Relaxed);
    assert_eq!(records(&out).len(), FIRST_PAGE);
    let mut entries = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = entries.find(|path| !path.ends_with(".metadata")).unwrap();

    let ended = es(&url, &out, &["--slices", "1", "--resume"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("wrote {TOTAL} RRPairs to ")), "{}", ended.stderr);
    assert!(ended.stderr.contains(snapshot.to_str().unwrap()), "the same snapshot");
    let found = records(&out);
    let each = |key: &str| {
        let values = found.iter().map(|record| record.pointer(key).unwrap().to_string());
        values.collect::<BTreeSet<_>>().len()
    };
    let total = usize::try_from(TOTAL).unwrap();
    assert_eq!((found.len(), each("/uuid"), each("/signature/instance")), (total, total, total));
    let metadata = files(&out.join(".metadata"));
    assert_eq!(metadata.len(), 1, "no trace of the interruption in {metadata:?}");
    let again = es(&url, &out, &["--resume"]);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    assert!(again.stderr.contains("nothing to resume"), "{}", again.stderr);
}
