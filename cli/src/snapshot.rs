//! Snapshot directories (contract §4.3): one file per RRPair, by host, ready for
//! `proxymock mock --in`.
//!
//! Pairs are written as they come, each whole under its final name or not at all, so that a
//! crash loses nothing that was acknowledged by then. No `fsync`: what a power cut takes, it takes.

mod number;
pub(crate) mod read;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use weir_rrpair::{
    Timestamp, Uuid,
    json::{object_from_slice, object_to_compact_ascii},
    snapshot::{Metadata, host_directory, instance, uuid},
};

use self::number::Numbering;
pub use self::number::{Numbers, Order};
use crate::{clock, receiver::Pair};

/// What a snapshot says of itself, and where it goes.
#[derive(Clone, Debug)]
pub struct SnapshotConfig {
    /// The directory that `.metadata` and `snapshot-<uuid>` are made in.
    pub out_dir: PathBuf,
    /// How the pairs with one signature get their `instance`.
    pub numbers: Numbers,
    /// What `timeRange` says; without it the times of the first and the last pair.
    pub time_range: Option<(Timestamp, Timestamp)>,
    /// First part of the name, before the id's first eight characters.
    pub tool: &'static str,
    /// `source` in `snapshot.json`.
    pub source: &'static str,
    /// Keys of `snapshot.json` that only this source has.
    pub source_keys: Map<String, Value>,
    /// Start of the run: `createdAt`.
    pub created_at: Timestamp,
}

/// A snapshot that is being written.
#[derive(Debug)]
pub struct Snapshot {
    config: SnapshotConfig,
    id: Uuid,
    directory: PathBuf,
    hosts: Vec<Host>,
    host_numbers: HashMap<String, u32>,
    numbering: Numbering,
    pairs: u64,
    has_metadata: bool,
    /// Earliest and latest record time in nanoseconds.
    times: Option<(u64, u64)>,
    /// Pairs that an earlier run wrote.
    had: HashSet<Uuid>,
}

#[derive(Debug)]
struct Host {
    name: String,
    pairs: u64,
}

/// A finished snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// `<out-dir>/snapshot-<uuid>`.
    pub directory: PathBuf,
    /// RRPairs that came, a repeated one counted again.
    pub pairs: u64,
    /// RRPairs per host directory, most first.
    pub hosts: Vec<(String, u64)>,
}

impl Snapshot {
    /// A snapshot with a random id. Nothing is on disk before the first pair.
    pub fn new(config: SnapshotConfig) -> Self {
        Self::with_id(config, random_uuid())
    }

    /// A snapshot with this id.
    pub(crate) fn with_id(config: SnapshotConfig, id: Uuid) -> Self {
        let directory = config.out_dir.join(format!("snapshot-{id}"));
        Self {
            config,
            id,
            directory,
            hosts: Vec::new(),
            host_numbers: HashMap::new(),
            numbering: Numbering::default(),
            pairs: 0,
            has_metadata: false,
            times: None,
            had: HashSet::new(),
        }
    }

    /// A snapshot that was not finished, to go on with: its pairs are read and counted, the
    /// newest first.
    ///
    /// # Errors
    ///
    /// Those of the file system, and a file that is no record.
    pub(crate) fn reopen(config: SnapshotConfig, id: Uuid) -> io::Result<Self> {
        let mut snapshot = Self::with_id(config, id);
        let mut pairs = Vec::new();
        for path in record_files(&snapshot.directory)? {
            if path.extension().is_none_or(|ending| ending != "json") {
                continue; // not one that a snapshot wrote
            }
            let damaged = |error| io::Error::other(format!("{}: {error}", path.display()));
            let body = object_from_slice(&fs::read(&path)?).map_err(damaged)?;
            let name = path.file_stem().and_then(|name| Uuid::parse(name.to_str()?));
            let uuid = name.ok_or_else(|| {
                io::Error::other(format!("{}: its name is no UUID", path.display()))
            })?;
            let ts = body.get("ts").and_then(Value::as_str).and_then(|ts| ts.parse().ok());
            let time_ns = ts.unwrap_or_else(Timestamp::default).0;
            // The signature and the host are all that is needed again.
            let body =
                body.into_iter().filter(|(key, _)| key == "signature" || key == "http").collect();
            pairs.push((uuid, Pair { body, time_ns }));
        }
        pairs.sort_by_key(|(_, pair)| std::cmp::Reverse(pair.time_ns));
        for (uuid, pair) in pairs {
            let host = snapshot.host(&pair.body)?;
            let placed = snapshot.numbering.next(&pair);
            snapshot.count(host, uuid, &pair, placed);
            snapshot.had.insert(uuid);
        }
        Ok(snapshot)
    }

    /// Was it here before this run?
    pub(crate) fn had(&self, uuid: Uuid) -> bool {
        self.had.contains(&uuid)
    }

    /// RRPairs so far.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// Writes one pair. Its `instance` is its place in order of arrival until [`finish`]
    /// puts it right.
    ///
    /// [`finish`]: Self::finish
    ///
    /// # Errors
    ///
    /// Those of the file system; the pair should then be sent again.
    pub fn write(&mut self, pair: &Pair) -> io::Result<()> {
        let uuid = uuid(&pair.body).unwrap_or_else(random_uuid);
        let host = self.host(&pair.body)?;
        let placed = self.numbering.next(pair);
        let text = match placed.instance() {
            Some(ordinal) => {
                let mut numbered = pair.body.clone();
                instance::set(&mut numbered, ordinal);
                object_to_compact_ascii(&numbered)
            }
            None => object_to_compact_ascii(&pair.body),
        };
        write_whole(&self.file(host, uuid), text.as_bytes())?;

        self.count(host, uuid, pair, placed);
        if !self.has_metadata {
            self.write_metadata()?; // so that a crash later leaves a usable directory
            self.has_metadata = true;
        }
        Ok(())
    }

    /// A pair is on disk.
    fn count(&mut self, host: u32, uuid: Uuid, pair: &Pair, placed: number::Placed) {
        let may_change = self.config.numbers != Numbers::Arrival;
        self.numbering.placed(may_change.then_some((host, uuid)), placed);
        self.pairs += 1;
        if let Some(host) = self.hosts.get_mut(host as usize) {
            host.pairs += 1;
        }
        if pair.time_ns != 0 {
            let (first, last) = self.times.unwrap_or((pair.time_ns, pair.time_ns));
            self.times = Some((first.min(pair.time_ns), last.max(pair.time_ns)));
        }
    }

    /// Numbers the instances (contract §4.4) and writes the metadata. `None` when no pair
    /// came: then nothing was written.
    ///
    /// # Errors
    ///
    /// Those of the file system. All pairs are on disk even then, numbered by arrival.
    pub fn finish(self) -> io::Result<Option<Summary>> {
        if self.pairs == 0 {
            return Ok(None);
        }
        for ((host, uuid), ordinal) in self.numbering.changes(self.config.numbers) {
            renumber(&self.file(host, uuid), ordinal)?;
        }
        self.write_metadata()?;
        let mut hosts: Vec<_> =
            self.hosts.into_iter().map(|host| (host.name, host.pairs)).collect();
        hosts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(Some(Summary { directory: self.directory, pairs: self.pairs, hosts }))
    }

    /// Number of the pair's host directory, made when it is new.
    fn host(&mut self, body: &Map<String, Value>) -> io::Result<u32> {
        let name = host_directory(body);
        if let Some(number) = self.host_numbers.get(&name) {
            return Ok(*number);
        }
        fs::create_dir_all(self.directory.join(&name))?;
        let number = u32::try_from(self.hosts.len()).map_err(io::Error::other)?;
        self.hosts.push(Host { name: name.clone(), pairs: 0 });
        self.host_numbers.insert(name, number);
        Ok(number)
    }

    fn file(&self, host: u32, uuid: Uuid) -> PathBuf {
        let host = self.hosts.get(host as usize).map_or("", |host| &host.name);
        self.directory.join(host).join(format!("{uuid}.json"))
    }

    fn write_metadata(&self) -> io::Result<()> {
        let directory = self.config.out_dir.join(".metadata");
        fs::create_dir_all(&directory)?;
        let created_at = self.config.created_at;
        let (start, end) = match self.config.time_range {
            Some((start, end)) => (start.0, end.0),
            None => self.times.unwrap_or((created_at.0, created_at.0)),
        };
        let metadata = Metadata {
            id: self.id,
            tool: self.config.tool.to_owned(),
            source: self.config.source.to_owned(),
            source_keys: self.config.source_keys.clone(),
            start: Timestamp(start),
            end: Timestamp(end),
            records: self.pairs,
            created_at,
            created_by: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        write_whole(&directory.join("snapshot.json"), metadata.to_json().as_bytes())
    }
}

/// Every `*.json`, `*.jsonl` and `*.md` below `directory`, in the order of names; `.metadata` and other hidden
/// directories left out, and so are those named `results`, which hold what a replay or a mock
/// wrote (contract §5.1).
///
/// # Errors
///
/// Those of the file system.
pub fn record_files(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // `file_type` does not follow links: no way out of the directory, and no loop.
            let kind = entry.file_type()?;
            if kind.is_dir() && !hidden && entry.file_name() != "results" {
                open.push(entry.path());
            } else if kind.is_file() && !hidden && may_hold_records(&entry.path()) {
                found.insert(entry.path());
            }
        }
    }
    Ok(found)
}

fn may_hold_records(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ["json", "jsonl", "md"].iter().any(|one| ending == *one))
}

/// Writes beside the target and renames: a reader never sees half a file.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let renamed = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    if renamed.is_err() {
        fs::remove_file(&partial).ok(); // it may not exist; the first error is the one to report
    }
    renamed
}

fn renumber(path: &Path, ordinal: u64) -> io::Result<()> {
    let text = fs::read(path)?;
    let mut body = object_from_slice(&text).map_err(io::Error::other)?;
    instance::set(&mut body, ordinal);
    let record = object_to_compact_ascii(&body);
    if record.len() == text.len() {
        // In place: to replace a file by renaming makes ext4 flush it, milliseconds each.
        fs::OpenOptions::new().write(true).open(path)?.write_all(record.as_bytes())
    } else {
        write_whole(path, record.as_bytes())
    }
}

/// Where the results of a run over a directory go unless told: `results/<done>-TIME` in it.
pub(crate) fn results_directory(input: &Path, done: &str) -> PathBuf {
    let time = clock::now().to_string().replace(':', "-").replace('T', "_");
    input.join(format!("results/{done}-{time}"))
}

pub(crate) fn random_uuid() -> Uuid {
    Uuid(uuid::Uuid::new_v4().into_bytes())
}

#[cfg(test)]
#[path = "snapshot/tests.rs"]
mod tests;
