//! Of one forwarder: its `/ledger`.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;

use super::{Delivery, Line, Status};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The parts of a ledger that are shown. What a forwarder of another version says beyond them
/// is passed over.
#[derive(Deserialize)]
struct Ledger {
    captures: Vec<Capture>,
    exporters: Vec<Exporter>,
}

#[derive(Deserialize)]
struct Capture {
    key: String,
    counts: CaptureCounts,
    exporters: Vec<(String, Counts)>,
}

#[derive(Deserialize)]
struct CaptureCounts {
    decoded: Decoded,
    sampled: u64,
    over_budget: u64,
}

#[derive(Deserialize)]
struct Decoded {
    pairs: u64,
    responses_only: u64,
    lost_exchanges: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Counts {
    seen: u64,
    #[serde(default)]
    recovered: u64,
    filtered: u64,
    shed: BTreeMap<String, u64>,
    queued: u64,
    in_flight: u64,
    exported: u64,
    refused: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exporter {
    key: String,
    counts: Counts,
    queued_bytes: u64,
    queue_error: Option<String>,
    health: Health,
}

#[derive(Deserialize)]
struct Health {
    last_error: Option<String>,
}

/// Asks the forwarder at `address`.
pub(super) fn ask(address: &str) -> anyhow::Result<Status> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime
        .block_on(get(address))
        .with_context(|| format!("ask the forwarder at {address}"))?;
    read(&body).with_context(|| format!("understand the forwarder at {address}"))
}

async fn get(address: &str) -> anyhow::Result<Bytes> {
    let base =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let url = format!("{}/ledger", base.trim_end_matches('/'));
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let asked = async {
        let response = client.request(Request::get(url).body(Empty::new())?).await?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            bail!("it answers {}", head.status);
        }
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        Ok(body.map_err(|error| anyhow::anyhow!(error))?.to_bytes())
    };
    tokio::time::timeout(TIMEOUT, asked).await.context("no answer in time")?
}

fn read(body: &[u8]) -> anyhow::Result<Status> {
    let ledger: Ledger = serde_json::from_slice(body)?;
    let mut status = Status::default();
    for Capture { key, counts, exporters } in &ledger.captures {
        let undecodable =
            counts.decoded.lost_exchanges.values().sum::<u64>() + counts.decoded.responses_only;
        // What happened before a record reaches the exporters counts at each of them.
        let before = Line {
            capture: key.clone(),
            seen: undecodable + counts.sampled + counts.over_budget,
            sampled: counts.sampled,
            shed: counts.over_budget,
            undecodable,
            ..Line::default()
        };
        if exporters.is_empty() {
            let nowhere = counts.decoded.pairs - counts.sampled - counts.over_budget;
            // Nobody takes them: they were seen, and go nowhere.
            let (seen, shed) = (before.seen + nowhere, before.shed + nowhere);
            status.lines.push(Line { exporter: "none".to_owned(), seen, shed, ..before });
            continue;
        }
        status.lines.extend(exporters.iter().map(|(exporter, at)| Line {
            exporter: exporter.clone(),
            seen: before.seen + at.seen,
            recovered: at.recovered,
            exported: at.exported,
            filtered: at.filtered,
            shed: before.shed + at.shed.values().chain(at.refused.values()).sum::<u64>(),
            queued: at.queued + at.in_flight,
            ..before.clone()
        }));
    }
    for Exporter { key, counts, queued_bytes, queue_error, health } in ledger.exporters {
        let reasons = |what: &'static str, counts: BTreeMap<String, u64>| {
            counts.into_iter().map(move |(reason, n)| (format!("{what} ({reason})"), n))
        };
        let Counts { queued, in_flight, shed, refused, .. } = counts;
        status.deliveries.push(Delivery {
            exporter: key,
            queued: queued + in_flight,
            bytes: queued_bytes,
            given_up: reasons("shed", shed).chain(reasons("refused", refused)).collect(),
            error: health.last_error.or(queue_error),
        });
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_read_by_capture_and_exporter() {
        let counts = r#"{"seen": 10, "recovered": 2, "filtered": 1, "shed": {"disk_full": 2},
            "queued": 3, "in_flight": 1, "exported": 4, "refused": {"invalid": 1}, "later": 0}"#;
        let text = format!(
            r#"{{"node": {{}}, "kernel": {{}}, "captures": [{{"key": "n/c", "counts": {{
                "decoded": {{"pairs": 13, "responses_only": 1, "lost_exchanges": {{"gap": 2}}}},
                "sampled": 2, "over_budget": 1}}, "exporters": [["n/e", {counts}]]}}],
                "exporters": [{{"key": "n/e", "counts": {counts}, "queuedBytes": 700,
                "queueError": "no space", "health": {{"last_error": null}}}}]}}"#
        );
        let status = read(text.as_bytes()).unwrap();
        let [line] = &status.lines[..] else { panic!("{status:?}") };
        assert!(line.adds_up(), "{line:?}");
        let expected = Line {
            capture: "n/c".to_owned(),
            exporter: "n/e".to_owned(),
            seen: 16,
            recovered: 2,
            exported: 4,
            filtered: 1,
            sampled: 2,
            shed: 4,
            undecodable: 3,
            queued: 4,
        };
        assert_eq!(*line, expected);
        let [delivery] = &status.deliveries[..] else { panic!("{status:?}") };
        assert_eq!((delivery.queued, delivery.bytes), (4, 700));
        let given_up = [("shed (disk_full)".to_owned(), 2), ("refused (invalid)".to_owned(), 1)];
        assert_eq!(delivery.given_up, given_up);
        assert_eq!(delivery.error.as_deref(), Some("no space"));
    }

    #[test]
    fn the_ledger_of_this_version_is_understood() {
        let ledger = serde_json::to_vec(&weir_forwarder::LedgerSnapshot::default()).unwrap();
        assert_eq!(read(&ledger).unwrap(), Status::default());
    }
}
