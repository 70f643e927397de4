//! Pairs beside the recorded ones that they answer anew.

use std::{collections::HashMap, io::Write, process::ExitCode};

use serde_json::{Value, json};
use weir_replay::compare::{Answer, Change, Volatile, changes};
use weir_rrpair::{RrPair, Uuid};

use super::CompareCommand;
use crate::{
    explain::Output,
    snapshot::read::{Place, records},
    style::{Style, Tone},
    visible::shortened,
};

/// Pairs that are shown.
const SHOWN: usize = 50;

/// A pair with the one that it answers anew.
struct Joined<'a> {
    recorded: &'a (Place, RrPair),
    observed: &'a (Place, RrPair),
    changes: Vec<Change>,
}

impl Joined<'_> {
    fn is_equal(&self) -> bool {
        self.recorded.1.status == self.observed.1.status && self.changes.is_empty()
    }
}

impl CompareCommand {
    pub(super) fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        let mut all = Vec::new();
        for directory in &self.input {
            all.extend(records(directory)?);
        }
        let (joined, alone) = self.join(&all);
        let differing = joined.iter().filter(|joined| !joined.is_equal()).count();
        match self.output {
            Output::Json => {
                let pairs: Vec<_> = joined.iter().map(document).collect();
                let document = json!({ "pairs": pairs, "equal": joined.len() - differing,
                    "different": differing, "unpaired": alone });
                writeln!(out, "{document:#}")?;
            }
            Output::Pretty => pretty(&joined, differing, alone, out, style)?,
        }
        out.flush()?;
        Ok(ExitCode::from(u8::from(differing > 0 || joined.is_empty())))
    }

    /// Joins by `refUuid`; the second value counts those whose recorded pair is not there.
    fn join<'a>(&self, all: &'a [(Place, RrPair)]) -> (Vec<Joined<'a>>, usize) {
        let by_uuid: HashMap<Uuid, &(Place, RrPair)> =
            all.iter().map(|read| (read.1.uuid, read)).collect();
        let (mut joined, mut alone) = (Vec::new(), 0);
        for observed in all {
            let Some(reference) = observed.1.tags.value("refUuid") else { continue };
            match Uuid::parse(reference).and_then(|uuid| by_uuid.get(&uuid)) {
                Some(recorded) => {
                    let changes = changes(answer(&recorded.1), answer(&observed.1));
                    joined.push(Joined { recorded, observed, changes });
                }
                None => alone += 1,
            }
        }
        if self.normalize {
            let mut volatile = Volatile::default();
            for one in &joined {
                volatile.learn_shapes(&endpoint(one), &one.changes);
            }
            for one in &mut joined {
                let endpoint = endpoint(one);
                one.changes.retain(|change| !volatile.holds(&endpoint, change));
            }
        }
        joined.sort_by_key(|one| (one.recorded.1.ts, one.recorded.1.uuid.0));
        (joined, alone)
    }
}

fn endpoint(one: &Joined<'_>) -> String {
    format!("{} {}", one.recorded.1.command, one.recorded.1.location)
}

fn answer(record: &RrPair) -> Answer<'_> {
    let response = record.http.as_ref().and_then(|http| http.res.as_ref());
    let whole = response.filter(|response| !response.extra.contains_key("bodyBytes"));
    Answer {
        status: record.status.parse().unwrap_or_default(),
        codings: response.and_then(|r| r.headers.first("Content-Encoding")).unwrap_or_default(),
        body: whole.map(|response| response.body.0.as_slice()),
    }
}

fn document(one: &Joined<'_>) -> Value {
    let changes = one.changes.iter().map(|change| {
        json!({ "kind": change.kind.as_str(), "location": change.location,
            "baseline": change.baseline, "candidate": change.candidate })
    });
    json!({
        "uuid": one.recorded.1.uuid.to_string(),
        "recorded": one.recorded.0.to_string(), "observed": one.observed.0.to_string(),
        "method": one.recorded.1.command, "url": one.recorded.1.location,
        "recordedStatus": one.recorded.1.status, "observedStatus": one.observed.1.status,
        "match": one.is_equal(), "bodyChanges": changes.collect::<Vec<_>>(),
    })
}

fn pretty(
    joined: &[Joined<'_>],
    differing: usize,
    alone: usize,
    out: &mut impl Write,
    style: Style,
) -> anyhow::Result<()> {
    for one in joined.iter().filter(|one| !one.is_equal()).take(SHOWN) {
        let (recorded, observed) = (&one.recorded.1.status, &one.observed.1.status);
        let status = if recorded == observed {
            shortened(recorded, 20)
        } else {
            format!("{} → {}", shortened(recorded, 20), shortened(observed, 20))
        };
        writeln!(out, "{}  {}", shortened(&endpoint(one), 160), style.paint(Tone::Bad, status))?;
        for change in one.changes.iter().take(5) {
            let value = |value: &Option<String>| {
                value.as_deref().map_or_else(|| "nothing".to_owned(), |text| shortened(text, 60))
            };
            let (a, b) = (value(&change.baseline), value(&change.candidate));
            writeln!(out, "  {}: {a} → {b}", shortened(&change.location, 80))?;
        }
    }
    if differing > SHOWN {
        writeln!(out, "({} more differ; see -o json)", differing - SHOWN)?;
    }
    let tone = if differing == 0 { Tone::Good } else { Tone::Bad };
    let equal = style.paint(tone, format!("{} of {}", joined.len() - differing, joined.len()));
    writeln!(out, "equal: {equal}")?;
    if alone > 0 {
        writeln!(out, "{alone} name a recorded pair that is not here: give its directory, too")?;
    }
    if joined.is_empty() && alone == 0 {
        writeln!(out, "no pair has the tag refUuid: there is nothing to compare")?;
    }
    Ok(())
}
