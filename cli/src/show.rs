//! `weir show`: what a snapshot directory holds, at a glance.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::{Map, Value};

use crate::{
    snapshot,
    style::Style,
    table::{Align, Table},
    view::{View, Way, tone},
    visible::shortened,
};

/// Show the services, status codes and latencies of a snapshot directory.
///
/// Exit status: 0 shown, 1 there is no RRPair in it, 2 it cannot be read.
#[derive(Args, Debug)]
pub struct ShowCommand {
    /// A directory that `weir collect` or a gather script wrote, or one inside it.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The same, as other commands name it.
    #[arg(long = "in", value_name = "DIR", conflicts_with = "directory")]
    input: Option<PathBuf>,
    /// List the failing requests too: status 5xx, an error, or no response. Control characters
    /// are shown.
    #[arg(long)]
    failing: bool,
}

/// Durations in milliseconds by direction, service and status.
type Groups = BTreeMap<(Way, String, String), Vec<u64>>;

#[derive(Debug, Default)]
struct Contents {
    groups: Groups,
    /// Sort key (time, then path by order of reading) and line of each failing pair.
    failing: Vec<(String, String)>,
    /// Files that are no RRPairs.
    others: usize,
}

impl ShowCommand {
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        let contents = self.read(style)?;
        let shown = self.write(&contents, out, style);
        match shown {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        Ok(if contents.groups.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    fn directory(&self) -> &Path {
        self.input.as_deref().unwrap_or(&self.directory)
    }

    fn read(&self, style: Style) -> anyhow::Result<Contents> {
        let mut contents = Contents::default();
        for document in snapshot::read::documents(self.directory())? {
            match document?.1 {
                Ok(Some(body)) => contents.add(&body, style),
                _ => contents.others += 1,
            }
        }
        contents.failing.sort();
        Ok(contents)
    }

    fn write(&self, contents: &Contents, out: &mut impl Write, style: Style) -> io::Result<()> {
        if contents.groups.is_empty() {
            writeln!(
                out,
                "no RRPairs in {}",
                shortened(&self.directory().to_string_lossy(), 4096)
            )?;
            return out.flush();
        }
        table(&contents.groups).write(style, out)?;
        if self.failing {
            writeln!(out)?;
            writeln!(out, "failing requests: {}", contents.failing.len())?;
            for (_, line) in &contents.failing {
                writeln!(out, "{line}")?;
            }
        }
        if contents.others > 0 {
            writeln!(out, "({} files are no RRPairs)", contents.others)?;
        }
        out.flush()
    }
}

impl Contents {
    fn add(&mut self, body: &Map<String, Value>, style: Style) {
        let view = View::new(body);
        let key = (view.way(), view.service().to_owned(), view.status().to_owned());
        self.groups.entry(key).or_default().push(view.duration_ms());
        if view.failed() {
            let time = view.time().map(|time| time.to_string()).unwrap_or_default();
            self.failing.push((time, view.line(style)));
        }
    }
}

fn table(groups: &Groups) -> Table<7> {
    let mut table = Table::new([
        ("DIRECTION", Align::Left),
        ("SERVICE", Align::Left),
        ("STATUS", Align::Left),
        ("COUNT", Align::Right),
        ("P50 MS", Align::Right),
        ("P95 MS", Align::Right),
        ("MAX MS", Align::Right),
    ]);
    for ((way, service, status), durations) in groups {
        let mut durations = durations.clone();
        durations.sort_unstable();
        let percentile = |percent| nearest_rank(&durations, percent).to_string();
        let shown_status = if status.is_empty() { "no response" } else { status };
        table.push([
            way.label().into(),
            shortened(service, 40).into(),
            crate::table::Cell::toned(shortened(shown_status, 40), tone(status)),
            durations.len().to_string().into(),
            percentile(50).into(),
            percentile(95).into(),
            percentile(100).into(),
        ]);
    }
    table
}

/// The smallest value that at least `percent` of all are at or below.
pub(crate) fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(documents: &[Value], failing: bool) -> (String, ExitCode) {
        let folder = tempfile::tempdir().unwrap();
        for (number, document) in documents.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{number}.json")), document.to_string())
                .unwrap();
        }
        let mut out = Vec::new();
        let command = ShowCommand { directory: folder.path().to_owned(), input: None, failing };
        let code = command.run(&mut out, Style::PLAIN).unwrap();
        (String::from_utf8(out).unwrap(), code)
    }

    fn pair(direction: &str, service: &str, status: &str, duration: u64) -> Value {
        json!({
            "direction": direction, "service": service, "status": status, "duration": duration,
            "ts": "2026-09-01T10:00:00.000000000Z", "command": "GET",
            "http": { "req": { "host": "h", "uri": "/api/rocket?id=a%7F" } },
        })
    }

    #[test]
    fn pairs_are_counted_by_direction_service_and_status() {
        let mut documents: Vec<_> = (1..=20).map(|ms| pair("IN", "rocket", "200", ms)).collect();
        documents.push(pair("IN", "rocket", "500", 7));
        documents.push(pair("OUT", "rocket", "", 0));
        documents.push(json!({ "something": "else" }));
        let (text, code) = show(&documents, false);
        assert_eq!(code, ExitCode::SUCCESS);
        let expected = "\
DIRECTION  SERVICE  STATUS       COUNT  P50 MS  P95 MS  MAX MS
IN         rocket   200             20      10      19      20
IN         rocket   500              1       7       7       7
OUT        rocket   no response      1       0       0       0
(1 files are no RRPairs)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn failing_requests_are_listed_with_their_del() {
        let (text, _) = show(&[pair("IN", "a", "200", 1), pair("IN", "a", "500", 1)], true);
        let line = text.lines().last().unwrap();
        assert!(text.contains("failing requests: 1\n"), "{text}");
        assert!(
            line.contains("h/api/rocket?id=a%7F  500") && line.ends_with("(%7F is \\x7f, DEL)")
        );
    }

    #[test]
    fn an_empty_directory_is_exit_1() {
        let (text, code) = show(&[], false);
        assert!(text.starts_with("no RRPairs in "));
        assert_eq!(code, ExitCode::from(1));
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_it() {
        let command = ShowCommand {
            directory: ".".into(),
            input: Some("/does/not/exist".into()),
            failing: false,
        };
        let error = command.run(&mut Vec::new(), Style::PLAIN).unwrap_err();
        assert!(format!("{error:#}").starts_with("read the directory /does/not/exist: "));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(nearest_rank(&[5], 50), 5);
        assert_eq!(nearest_rank(&[1, 9], 50), 1);
        assert_eq!(nearest_rank(&[1, 9], 95), 9);
        assert_eq!(nearest_rank(&[], 95), 0);
    }
}
