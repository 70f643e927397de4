//! What the demo prints at its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::snapshot::{Direction, Record};

#[derive(Default)]
struct Row {
    statuses: BTreeMap<String, usize>,
    durations_ms: Vec<f64>,
}

/// Writes one line per service and direction: pairs by status, and latencies.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn services(out: &mut impl Write, records: &[Record]) -> io::Result<()> {
    let mut rows: BTreeMap<(&str, Direction), Row> = BTreeMap::new();
    for record in records {
        let row = rows.entry((&record.service, record.direction)).or_default();
        *row.statuses.entry(record.status.clone()).or_default() += 1;
        row.durations_ms.push(record.duration_ms);
    }
    writeln!(
        out,
        "{:<20} {:<3} {:>6} {:>8} {:>8} {:>8}  STATUS",
        "SERVICE", "", "PAIRS", "MEDIAN", "95 %", "LONGEST"
    )?;
    for ((service, direction), mut row) in rows {
        row.durations_ms.sort_by(f64::total_cmp);
        let statuses: Vec<String> =
            row.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        let [median, slow, longest] =
            [50, 95, 100].map(|percent| format!("{} ms", share(&row.durations_ms, percent)));
        writeln!(
            out,
            "{:<20} {:<3} {:>6} {median:>8} {slow:>8} {longest:>8}  {}",
            visible(service),
            direction.to_string(),
            row.durations_ms.len(),
            visible(&statuses.join(", "))
        )?;
    }
    Ok(())
}

/// The smallest value that `percent` percent of the sorted values do not exceed.
fn share(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Writes one request with every byte of its query visible, and what each place that saw it
/// noted: `pairs` are the records of one request.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn failure(out: &mut impl Write, pairs: &[&Record]) -> io::Result<()> {
    let Some(first) = pairs.first() else { return writeln!(out, "  no request failed") };
    writeln!(out, "  {} {}", visible(&first.method), visible(&first.target))?;
    for (name, value) in &first.query {
        writeln!(out, "  {} = \"{}\"", visible_bytes(name), visible_bytes(value))?;
    }
    for pair in pairs {
        let (direction, service) = (pair.direction.to_string(), visible(&pair.service));
        let (status, body) = (visible(&pair.status), visible_bytes(&pair.response_body.0));
        writeln!(out, "    {direction:<3} {service:<18} {status} {body}")?;
    }
    Ok(())
}

/// Text with its control characters spelled out: a captured byte never steers the terminal.
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                // Writing to a String cannot fail.
                write!(visible, "\\x{:02x}", u32::from(character)).ok();
            }
            _ if character.is_control() || is_format(character) => {
                visible.push_str(&character.escape_unicode().to_string());
            }
            _ => visible.push(character),
        }
    }
    visible
}

/// As [`visible`], with bytes that are no UTF-8 spelled out too.
pub fn visible_bytes(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&visible(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            write!(text, "\\x{byte:02x}").ok();
        }
    }
    text
}

/// Characters that change how others are shown, such as a reversed order.
fn is_format(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Bytes;

    fn record(service: &str, status: &str, duration_ms: f64) -> Record {
        Record {
            file: "a.json".into(),
            service: service.to_owned(),
            direction: Direction::In,
            id: "req-1".to_owned(),
            hop: Some(0),
            method: "GET".to_owned(),
            target: "/api/rocket?id=falcon-9%7F".to_owned(),
            query: vec![(b"id".to_vec(), b"falcon-9\x7f".to_vec())],
            request_body: Bytes::default(),
            status: status.to_owned(),
            response_body: Bytes(b"{\"error\":\"x\"}".to_vec()),
            duration_ms,
        }
    }

    #[test]
    fn the_table_counts_by_service_and_status() {
        let records = [record("b", "200", 1.0), record("b", "500", 9.0), record("a", "204", 0.0)];
        let mut out = Vec::new();
        services(&mut out, &records).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("a ") && lines[1].ends_with("204: 1"), "{text}");
        assert!(lines[2].ends_with("1 ms     9 ms     9 ms  200: 1, 500: 1"), "{text}");
    }

    #[test]
    fn the_del_of_the_failing_request_is_visible() {
        let mut out = Vec::new();
        failure(&mut out, &[&record("outerspace-server", "500", 1.0)]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("id = \"falcon-9\\x7f\""), "{text}");
        assert!(!text.contains('\u{7f}'));
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let shown = visible("a\u{1b}[31m\u{85}\u{202e}é\n");
        assert_eq!(shown, "a\\x1b[31m\\u{85}\\u{202e}é\\x0a");
    }

    #[test]
    fn bytes_that_are_no_text_are_spelled_out() {
        assert_eq!(visible_bytes(b"a\xff\x7f\xc3\xa9\xe2\x82"), "a\\xff\\x7fé\\xe2\\x82");
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(
            [50, 95, 100].map(|percent| share(&values, percent).to_string()),
            ["10", "19", "20"]
        );
        assert!(share(&[], 50).abs() < f64::EPSILON);
    }
}
