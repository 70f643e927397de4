use serde_json::json;

use super::*;

fn line(document: Value) -> String {
    View::new(document.as_object().unwrap()).line(Style::PLAIN)
}

fn rocket(uri: &str) -> Value {
    json!({
        "ts": "2026-09-01T10:16:00.700000001Z", "direction": "IN", "service": "rocket-api",
        "command": "GET", "location": "/api/rocket", "status": "500", "duration": 12.0,
        "http": {
            "req": { "host": "rocket-api", "uri": uri },
            "res": { "statusCode": 500, "bodyBase64": "aGVsbG8=" },
        },
    })
}

#[test]
fn a_line_shows_what_happened() {
    assert_eq!(
        line(rocket("/api/rocket?id=1")),
        "10:16:00.700Z → IN   rocket-api        GET    rocket-api/api/rocket?id=1  500  12 ms  0 B → 5 B"
    );
}

#[test]
fn an_escaped_del_is_named() {
    let line = line(rocket("/api/rocket?id=falcon%7F"));
    assert!(line.contains("?id=falcon%7F  500"), "{line}");
    assert!(line.ends_with("(%7F is \\x7f, DEL)"), "{line}");
}

#[test]
fn a_raw_del_is_shown() {
    assert!(line(rocket("/api/rocket?id=falcon\x7f")).contains("?id=falcon\\x7f  500"));
}

#[test]
fn an_escape_sequence_in_any_field_reaches_no_terminal() {
    let evil = "\x1b[2J\r\n\u{9b}31m\u{202e}";
    let document = json!({
        "ts": evil, "direction": evil, "service": evil, "command": evil, "location": evil,
        "status": evil, "http": { "req": { "host": evil, "uri": evil } },
    });
    let line = line(document);
    assert!(!line.chars().any(|char| char.is_control() || char == '\u{202e}'), "{line}");
}

#[test]
fn colours_come_only_when_asked_for() {
    let document = rocket("/%7f");
    let view = View::new(document.as_object().unwrap());
    assert!(!view.line(Style::PLAIN).contains('\x1b'));
    assert!(view.line(Style::COLOURED).contains("\x1b[1;7;31m%7f\x1b[0m"));
}

#[test]
fn a_request_without_a_response_says_so_and_failed() {
    let mut document = rocket("/");
    document["status"] = "".into();
    assert!(View::new(document.as_object().unwrap()).failed());
    assert!(line(document).contains("  no response  "));
}

#[test]
fn a_statement_is_shown_in_place_of_a_path() {
    let line = line(json!({
        "direction": "OUT", "service": "orders-api", "command": "Query",
        "location": "SELECT 1", "status": "ERR:42P01", "postgres": {},
    }));
    assert!(line.contains("↗ OUT  orders-api        Query  SELECT 1  ERR:42P01"), "{line}");
}

#[test]
fn failures_are_the_servers_faults_and_missing_answers() {
    let failed = |status: &str| {
        let document = json!({ "status": status });
        View::new(document.as_object().unwrap()).failed()
    };
    assert!(failed("500") && failed("503") && failed("") && failed("ERR:42P01"));
    assert!(!failed("200") && !failed("404") && !failed("OK") && !failed("302"));
}

#[test]
fn a_very_long_uri_is_cut() {
    let line = line(rocket(&"/a".repeat(5_000)));
    assert!(line.chars().count() < 400 && line.contains('…'));
}

#[test]
fn base64_lengths_are_those_of_the_bytes() {
    assert_eq!(["", "aGVsbG8=", "aGVsbG8h", "YQ=="].map(decoded_length), [0, 5, 6, 1]);
}

#[test]
fn sizes_are_rounded_down() {
    let texts = [1023, 1024, 1536, 1_048_575, 1_572_864].map(|bytes| Size(bytes).to_string());
    assert_eq!(texts, ["1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.5 MiB"]);
}
