//! What was asked and what became of it: a line each, the sums, and the results' directory.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use weir_replay::observed;
use weir_rrpair::{
    Direction, Http, RrPair,
    json::{object_to_compact_ascii, to_map},
    session, signature,
    snapshot::host_directory,
};

use super::serve::{Outcome, Seen};
use crate::{
    snapshot::{random_uuid, write_whole},
    style::{Style, Tone},
    table::{Align, Cell, Table},
    visible::shortened,
};

/// Rows that are shown.
const SHOWN: usize = 30;

impl Outcome {
    /// As in `responderMatch` (contract §1.1).
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::PassThrough => "PASSTHROUGH",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Hit => Tone::Good,
            Self::Miss => Tone::Bad,
            Self::PassThrough => Tone::Warning,
        }
    }
}

/// Counts by endpoint.
#[derive(Debug, Default)]
pub(super) struct Report {
    endpoints: BTreeMap<(String, String), Counts>,
    all: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hits: u64,
    misses: u64,
    passed: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, seen: &Seen) {
        match seen.outcome {
            Outcome::Hit => self.hits += 1,
            Outcome::Miss => self.misses += 1,
            Outcome::PassThrough => self.passed += 1,
        }
        self.failed += u64::from(seen.outcome != Outcome::Miss && seen.error.is_some());
    }

    fn total(self) -> u64 {
        self.hits + self.misses + self.passed
    }

    fn document(self) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let rate =
            if self.total() == 0 { 100.0 } else { self.hits as f64 * 100.0 / self.total() as f64 };
        json!({ "requests": {
            "total": self.total(), "hit": self.hits, "miss": self.misses,
            "passthrough": self.passed, "failed": self.failed, "hit-pct": rate,
        } })
    }
}

impl Report {
    pub(super) fn add(&mut self, seen: &Seen) {
        let (method, path) = method_and_path(seen);
        let endpoint = (method, format!("{}{path}", seen.target));
        self.endpoints.entry(endpoint).or_default().add(seen);
        self.all.add(seen);
    }

    /// Something got no answer.
    pub(super) fn is_bad(&self) -> bool {
        self.all.misses + self.all.failed > 0
    }

    pub(super) fn pretty(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        let mut table = Table::new([
            ("METHOD", Align::Left),
            ("HIT", Align::Right),
            ("MISS", Align::Right),
            ("PASSTHROUGH", Align::Right),
            ("ENDPOINT", Align::Left),
        ]);
        let mut rows: Vec<_> = self.endpoints.iter().collect();
        rows.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.misses, counts.total())));
        for ((method, url), counts) in rows.iter().take(SHOWN) {
            let toned = |count: u64, outcome: Outcome| match count {
                0 => Cell::toned("0", Tone::Faint),
                count => Cell::toned(count.to_string(), outcome.tone()),
            };
            table.push([
                shortened(method, 16).into(),
                toned(counts.hits, Outcome::Hit),
                toned(counts.misses, Outcome::Miss),
                toned(counts.passed, Outcome::PassThrough),
                shortened(url, 120).into(),
            ]);
        }
        if !rows.is_empty() {
            table.write(style, out)?;
        }
        if rows.len() > SHOWN {
            writeln!(out, "({} more endpoints; see -o json)", rows.len() - SHOWN)?;
        }
        let Counts { hits, misses, passed, failed } = self.all;
        writeln!(
            out,
            "{} requests: {hits} HIT, {misses} MISS, {passed} PASSTHROUGH",
            self.all.total()
        )?;
        if failed > 0 {
            writeln!(out, "{failed} could not be answered; see the lines above")?;
        }
        out.flush()
    }

    /// Named as the report of a replay (contract §5.3).
    pub(super) fn document(&self) -> Value {
        let endpoints = self.endpoints.iter().map(|((method, url), counts)| {
            json!({ "method": method, "url": url, "metrics": counts.document() })
        });
        let all = json!({ "method": "", "url": "-ALL-", "metrics": self.all.document() });
        json!({ "endpoints": endpoints.chain([all]).collect::<Vec<_>>() })
    }
}

fn method_and_path(seen: &Seen) -> (String, String) {
    let line = seen.request.as_ref().and_then(|request| observed::request(request, ""));
    line.map_or_else(
        || ("CONNECT".to_owned(), String::new()),
        |line| (line.method.into_owned(), line.url),
    )
}

/// One request, for people. Its query is not shown: it may hold secrets.
pub(super) fn line(seen: &Seen, out: &mut impl Write, style: Style) -> io::Result<()> {
    let (method, path) = method_and_path(seen);
    let outcome = style.paint(seen.outcome.tone(), seen.outcome.as_str());
    let status = seen.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let url = format!("{method} {}{path}", seen.target);
    let took = seen.took.as_millis();
    write!(out, "{outcome:<11} {status:>3} {took:>6} ms  {}", shortened(&url, 140))?;
    if let Some(error) = &seen.error {
        write!(out, "  {}", style.paint(Tone::Bad, shortened(error, 200)))?;
    }
    if let Some(why) = &seen.why {
        write!(out, "  ({})", shortened(why, 200))?;
    }
    writeln!(out)
}

/// A directory with one record for each request.
#[derive(Debug)]
pub(super) struct Results {
    directory: PathBuf,
    written: u64,
}

impl Results {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, written: 0 }
    }

    pub(super) fn write(&mut self, seen: &Seen) -> anyhow::Result<()> {
        let Some(record) = record(seen) else { return Ok(()) };
        let document = to_map(&record);
        let folder = self.directory.join(host_directory(&document));
        let file = folder.join(format!("{}.json", record.uuid));
        let text = object_to_compact_ascii(&document);
        fs::create_dir_all(&folder)
            .and_then(|()| write_whole(&file, text.as_bytes()))
            .with_context(|| format!("write {}", file.display()))?;
        self.written += 1;
        Ok(())
    }

    /// Adds the report, and says where it all is; `None` when there is nothing.
    pub(super) fn finish(self, report: &Report) -> anyhow::Result<Option<PathBuf>> {
        if self.written == 0 {
            return Ok(None);
        }
        let file = self.directory.join("report.json");
        write_whole(&file, format!("{:#}", report.document()).as_bytes())
            .with_context(|| format!("write {}", file.display()))?;
        Ok(Some(self.directory))
    }
}

/// The request as it came with the answer that it got. `None` for a tunnel.
fn record(seen: &Seen) -> Option<RrPair> {
    let request = observed::request(seen.request.as_ref()?, &seen.target.authority())?;
    let recorded = seen.recorded.as_deref();
    let response = match recorded {
        Some(recorded) => recorded.http.as_ref().and_then(|http| http.res.clone()),
        None => seen.response.as_ref().map(observed::response),
    };
    let mut record = RrPair {
        uuid: random_uuid(),
        ts: seen.at,
        direction: Direction::Out,
        duration: u64::try_from(seen.took.as_millis()).unwrap_or(u64::MAX),
        l7protocol: if seen.target.tls { "https" } else { "http" }.into(),
        is_tls: seen.target.tls,
        network_address: Some(format!("{}:{}", seen.target.host, seen.target.port)),
        command: request.method.clone(),
        location: request.url.clone(),
        status: seen.status.map(|status| status.to_string()).unwrap_or_default().into(),
        signature: Some(signature::of(&request)),
        ..RrPair::default()
    };
    if let Some(recorded) = recorded {
        record.service.clone_from(&recorded.service);
        record.resource.clone_from(&recorded.resource);
        record.cluster.clone_from(&recorded.cluster);
        record.namespace.clone_from(&recorded.namespace);
        record.tags.push("refUuid", recorded.uuid.to_string());
    } else {
        "undefined".clone_into(&mut record.service); // contract §1.1: of a local recording
    }
    record.tags.push("source", "responder");
    record.tags.push("match", seen.outcome.as_str());
    record.extra.insert("responderMatch".to_owned(), seen.outcome.as_str().into());
    let http = Http { req: request, res: response, ..Http::default() };
    record.session = session::of(&http);
    record.http = Some(http);
    Some(record)
}
