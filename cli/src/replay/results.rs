//! The directory of a replay's results: what was answered, as records, and the verdict.

use std::{collections::BTreeSet, fs, io, path::Path, sync::OnceLock};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use weir_replay::{message::Message, observed};
use weir_rrpair::{
    Direction, RrPair,
    json::{object_to_compact_ascii, to_map},
    snapshot::host_directory,
};

use super::{
    load::Traffic,
    outcome::{Baseline, Outcome},
    output,
};
use crate::snapshot::{random_uuid, write_whole};

const VERDICT: &str = "replay-verdict.json";

pub(super) struct Results<'a> {
    pub(super) directory: &'a Path,
    pub(super) traffic: &'a Traffic,
    pub(super) outcome: &'a Outcome,
}

impl Results<'_> {
    pub(super) fn write(&self) -> io::Result<()> {
        fs::create_dir_all(self.directory)?;
        for verdict in &self.outcome.verdicts {
            let Some(item) = self.traffic.items.get(verdict.item) else { continue };
            let answer = self.outcome.first.get(verdict.item).and_then(OnceLock::get);
            let record = answered(&item.record, answer, verdict.matches);
            let document = to_map(&record);
            let folder = self.directory.join(host_directory(&document));
            fs::create_dir_all(&folder)?;
            let text = object_to_compact_ascii(&document);
            write_whole(&folder.join(format!("{}.json", record.uuid)), text.as_bytes())?;
        }
        let verdicts = self.outcome.verdicts.iter();
        let verdicts: Vec<_> =
            verdicts.filter_map(|verdict| output::verdict(self.traffic, verdict)).collect();
        let document = format!("{:#}", json!({ "pairs": verdicts }));
        write_whole(&self.directory.join(VERDICT), document.as_bytes())?;
        let report = format!("{:#}", output::document(self.traffic, self.outcome));
        write_whole(&self.directory.join("report.json"), report.as_bytes())
    }
}

/// The recorded pair with the answer that came; `refUuid` names the recorded one.
fn answered(recorded: &RrPair, answer: Option<&Message>, matches: bool) -> RrPair {
    let mut record = recorded.clone();
    record.uuid = random_uuid();
    record.direction = Direction::In;
    record.tags.0.retain(|(key, _)| key != "refUuid" && key != "match" && key != "source");
    record.tags.push("source", "generator");
    record.tags.push("refUuid", recorded.uuid.to_string());
    record.tags.push("match", if matches { "true" } else { "false" });
    record.status =
        answer.and_then(Message::status).map(|s| s.to_string()).unwrap_or_default().into();
    if let Some(http) = &mut record.http {
        http.res = answer.map(observed::response);
    }
    record
}

/// Reads the verdict of an earlier replay.
pub(super) fn read_baseline(path: &Path) -> anyhow::Result<Baseline> {
    let file = if path.is_dir() { path.join(VERDICT) } else { path.to_owned() };
    let reading = || format!("read the baseline {}", file.display());
    let text = fs::read(&file).with_context(reading)?;
    let document: Value = serde_json::from_slice(&text).with_context(reading)?;
    let Some(pairs) = document.get("pairs").and_then(Value::as_array) else {
        bail!("{}: it is no replay-verdict.json: it has no `pairs`", reading());
    };
    let wrong = pairs.iter().filter(|pair| pair.get("match") == Some(&Value::Bool(false)));
    let uuids = wrong.filter_map(|pair| pair.get("uuid")?.as_str().map(str::to_owned));
    Ok(Baseline { mismatches: uuids.collect::<BTreeSet<_>>() })
}
