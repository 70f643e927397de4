use serde_json::json;

use super::*;

fn pair(number: u8) -> Map<String, Value> {
    let document = json!({
        "msgType": "rrpair", "ts": format!("2026-09-01T10:00:{number:02}.000000000Z"),
        "l7protocol": "http", "duration": 0, "uuid": "AAAAAAAAAAAAAAAAAAAAAA==", "direction": "IN",
        "service": "a", "command": "GET", "location": "/", "status": "200",
        "http": { "req": { "url": "/", "uri": "/", "method": "GET", "host": "a" } },
    });
    document.as_object().unwrap().clone()
}

fn line(number: u8) -> String {
    Value::Object(pair(number)).to_string()
}

#[test]
fn all_three_forms_are_read_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("results")).unwrap();
    write("a.json", line(1));
    write("b.jsonl", format!("{}\n\n{}\r\n{{\"other\":1}}\n{}", line(2), line(3), line(4)));
    write("c.md", markdown::write(&pair(5)).unwrap());
    write("notes.md", "# Notes\n".into());
    write("results/d.json", line(9));
    let read = records(folder.path()).unwrap();
    let seconds: Vec<_> = read
        .iter()
        .map(|(_, record)| record.ts.to_string().get(17..19).unwrap().to_owned())
        .collect();
    assert_eq!(seconds, ["01", "02", "03", "04", "05"]);
    for (number, (place, _)) in (1..).zip(&read) {
        assert_eq!(place.read().unwrap(), pair(number), "{place}");
    }
    let places: Vec<_> =
        read.iter().map(|(place, _)| place.below(folder.path()).to_string()).collect();
    assert_eq!(places, ["a.json", "b.jsonl:1", "b.jsonl:3", "b.jsonl:5", "c.md"]);
    let names: Vec<_> =
        read.iter().map(|(place, _)| place.below(folder.path()).json_file()).collect();
    let names: Vec<_> = names.iter().map(|name| name.to_str().unwrap()).collect();
    assert_eq!(names, ["a.json", "b-000001.json", "b-000003.json", "b-000005.json", "c.json"]);
    assert_eq!(documents(folder.path()).unwrap().count(), 7);
}

#[test]
fn what_is_damaged_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let error = format!("{:#}", records(folder.path()).unwrap_err());
        fs::remove_file(&file).unwrap();
        error.strip_prefix(&format!("{}/", folder.path().display())).unwrap().to_owned()
    };
    assert_eq!(
        refused("a.jsonl", b"{}\n{\n"),
        "a.jsonl:2: half a JSON document: it ends at line 2, column 0"
    );
    assert_eq!(
        refused("a.json", b"{"),
        "a.json: half a JSON document: it ends at line 1, column 1"
    );
    assert_eq!(refused("a.md", b"\xff"), "a.md: not UTF-8 text");
    let open = refused("a.md", b"### REQUEST ###\n```\n");
    assert_eq!(open, "a.md: the block that begins at line 2 has no end");
    let missing = folder.path().join("none");
    let error = format!("{:#}", records(&missing).unwrap_err());
    assert!(error.starts_with(&format!("read the directory {}", missing.display())), "{error}");
}
