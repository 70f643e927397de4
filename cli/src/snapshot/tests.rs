use std::collections::BTreeMap;

use serde_json::json;

use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/contract/golden");
const ID: Uuid = Uuid(0x1111_1111_2222_4333_8444_5555_5555_5555_u128.to_be_bytes());

fn config(out_dir: &Path, order: Order) -> SnapshotConfig {
    SnapshotConfig {
        out_dir: out_dir.to_owned(),
        numbers: Numbers::Time(order),
        time_range: None,
        tool: "weir-collect",
        source: "otlp",
        source_keys: Map::new(),
        created_at: "2026-09-01T10:20:01Z".parse().unwrap(),
    }
}

fn object(document: Value) -> Map<String, Value> {
    match document {
        Value::Object(map) => map,
        _ => panic!("the test wants an object"),
    }
}

fn pair_of(body: Map<String, Value>) -> Pair {
    let ts: Timestamp = body["ts"].as_str().unwrap().parse().unwrap();
    Pair { body, time_ns: ts.0 }
}

/// A pair of one of two signatures, by its number.
fn numbered_pair(number: u8, url: &str, second: u8) -> Pair {
    pair_of(object(json!({
        "msgType": "rrpair",
        "ts": format!("2026-09-01T10:00:{second:02}Z"),
        "uuid": uuid_text(number),
        "http": { "req": { "host": "h" } },
        "signature": { "http:url": url, "instance": "OTk=" },
    })))
}

fn uuid_text(number: u8) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode([number; 16])
}

/// Relative path to text of every file below `directory`.
fn tree(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// `instance` of every record by file name, decoded.
fn instances(out_dir: &Path) -> BTreeMap<u8, String> {
    let mut found = BTreeMap::new();
    for path in record_files(out_dir).unwrap() {
        let record: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let uuid = Uuid::parse(path.file_stem().unwrap().to_str().unwrap()).unwrap();
        let instance = record["signature"]["instance"].as_str().unwrap();
        let text = match instance {
            "MA==" => "0",
            "MQ==" => "1",
            "Mg==" => "2",
            other => other,
        };
        found.insert(uuid.0[0], text.to_owned());
    }
    found
}

fn write_all(out_dir: &Path, order: Order, pairs: &[Pair]) -> Option<Summary> {
    let mut snapshot = Snapshot::with_id(config(out_dir, order), ID);
    for pair in pairs {
        snapshot.write(pair).unwrap();
    }
    snapshot.finish().unwrap()
}

#[test]
fn the_golden_records_give_the_golden_tree() {
    let golden = tree(&Path::new(GOLDEN).join("snapshot-tree"));
    let metadata = Path::new(".metadata/snapshot.json");
    let mut pairs: Vec<Pair> = golden
        .iter()
        .filter(|(path, _)| *path != metadata)
        .map(|(_, text)| pair_of(object(serde_json::from_str(text).unwrap())))
        .collect();
    // Two golden records share their time; the one that the gather lists first is the newer.
    pairs.sort_by_key(|pair| {
        std::cmp::Reverse(pair.body["signature"]["instance"].as_str().unwrap().to_owned())
    });

    let out = tempfile::tempdir().unwrap();
    let summary = write_all(out.path(), Order::Newest, &pairs).unwrap();
    assert_eq!(summary.pairs, 6);
    let mut written = tree(out.path());
    let mut golden = golden;
    let ours: Value = serde_json::from_str(&written.remove(metadata).unwrap()).unwrap();
    let theirs: Value = serde_json::from_str(&golden.remove(metadata).unwrap()).unwrap();
    assert_eq!(written, golden);
    for key in ["id", "analysisStatus", "rrpairCount", "createdAt"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(ours["name"], "weir-collect-11111111");
    assert_eq!(ours["source"], "otlp");
    assert_eq!(
        ours["timeRange"],
        json!({ "start": "2026-09-01T10:15:30.000250Z", "end": "2026-09-01T10:16:00.700000Z" })
    );
}

#[test]
fn the_newest_pair_is_instance_zero_whatever_came_first() {
    let out = tempfile::tempdir().unwrap();
    let pairs = [
        numbered_pair(1, "/a", 20),
        numbered_pair(2, "/a", 10),
        numbered_pair(3, "/b", 5),
        numbered_pair(4, "/a", 30),
    ];
    write_all(out.path(), Order::Newest, &pairs);
    let expected = [(1, "1"), (2, "2"), (3, "0"), (4, "0")];
    assert_eq!(instances(out.path()), expected.map(|(n, i)| (n, i.to_owned())).into());
}

#[test]
fn the_oldest_pair_is_instance_zero_when_asked() {
    let out = tempfile::tempdir().unwrap();
    let pairs =
        [numbered_pair(1, "/a", 20), numbered_pair(2, "/a", 10), numbered_pair(3, "/a", 30)];
    write_all(out.path(), Order::Oldest, &pairs);
    let expected = [(1, "1"), (2, "0"), (3, "2")];
    assert_eq!(instances(out.path()), expected.map(|(n, i)| (n, i.to_owned())).into());
}

#[test]
fn a_run_that_crashes_leaves_every_pair_numbered_by_arrival() {
    let out = tempfile::tempdir().unwrap();
    let mut snapshot = Snapshot::with_id(config(out.path(), Order::Newest), ID);
    snapshot.write(&numbered_pair(1, "/a", 10)).unwrap();
    snapshot.write(&numbered_pair(2, "/a", 20)).unwrap();
    drop(snapshot); // no finish
    let expected = [(1, "0"), (2, "1")];
    assert_eq!(instances(out.path()), expected.map(|(n, i)| (n, i.to_owned())).into());
    assert!(out.path().join(".metadata/snapshot.json").exists());
}

#[test]
fn a_repeated_uuid_overwrites_its_file_and_counts_twice() {
    let out = tempfile::tempdir().unwrap();
    let pairs = [numbered_pair(1, "/a", 10), numbered_pair(1, "/a", 10)];
    let summary = write_all(out.path(), Order::Newest, &pairs).unwrap();
    assert_eq!(summary.pairs, 2);
    assert_eq!(summary.hosts, [("h".to_owned(), 2)]);
    assert_eq!(instances(out.path()), BTreeMap::from([(1, "0".to_owned())]));
}

#[test]
fn a_pair_without_a_uuid_gets_a_name_of_its_own() {
    let out = tempfile::tempdir().unwrap();
    let mut pair = numbered_pair(1, "/a", 10);
    pair.body.insert("uuid".into(), "short".into());
    write_all(out.path(), Order::Newest, &[pair.clone(), pair]);
    assert_eq!(record_files(out.path()).unwrap().len(), 2);
}

#[test]
fn a_pair_without_a_signature_gets_no_instance() {
    let out = tempfile::tempdir().unwrap();
    let mut pair = numbered_pair(1, "/a", 10);
    pair.body.shift_remove("signature");
    write_all(out.path(), Order::Newest, &[pair]);
    let path = record_files(out.path()).unwrap().pop_first().unwrap();
    let record: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(record.get("signature"), None);
}

#[test]
fn hosts_are_counted_most_first() {
    let out = tempfile::tempdir().unwrap();
    let on = |number: u8, host: &str| {
        let mut pair = numbered_pair(number, "/a", 10);
        pair.body.insert("http".into(), json!({ "req": { "host": host } }));
        pair
    };
    let pairs = [on(1, "b"), on(2, "a"), on(3, "c"), on(4, "c")];
    let hosts = write_all(out.path(), Order::Newest, &pairs).unwrap().hosts;
    assert_eq!(hosts, [("c".to_owned(), 2), ("a".to_owned(), 1), ("b".to_owned(), 1)]);
}

#[test]
fn nothing_is_on_disk_before_the_first_pair() {
    let out = tempfile::tempdir().unwrap();
    assert_eq!(write_all(out.path(), Order::Newest, &[]), None);
    assert_eq!(tree(out.path()), BTreeMap::new());
}

#[test]
fn no_host_leads_out_of_the_snapshot() {
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("out");
    let mut pair = numbered_pair(1, "/a", 10);
    for host in ["..", "../../x", "/etc", ".", "a/../../b"] {
        pair.body.insert("http".into(), json!({ "req": { "host": host } }));
        write_all(&out, Order::Newest, &[pair.clone()]).unwrap();
    }
    let inside = out.join(format!("snapshot-{ID}"));
    for path in tree(parent.path()).into_keys() {
        let path = parent.path().join(path);
        assert!(
            path.parent().unwrap().parent() == Some(&inside)
                || path == out.join(".metadata/snapshot.json"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn two_runs_into_one_directory_stand_side_by_side() {
    let out = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut snapshot = Snapshot::new(config(out.path(), Order::Newest));
        snapshot.write(&numbered_pair(1, "/a", 10)).unwrap();
        snapshot.finish().unwrap();
    }
    assert_eq!(record_files(out.path()).unwrap().len(), 2);
}
