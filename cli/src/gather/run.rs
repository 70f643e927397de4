//! One gather from its start to its last message, whatever the store.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Map, Value};
use std::process::ExitCode;
use tokio::sync::mpsc;
use weir_rrpair::Timestamp;

use super::{
    CommonOptions,
    progress::{self, Progress, grouped},
    resume::Unfinished,
    window::{Moment, Window},
    writer::{Feed, Writer, Written},
};
use crate::{
    clock,
    signals::StopSignals,
    snapshot::{Numbers, Order, Snapshot, SnapshotConfig, Summary},
    visible::Visible,
};

/// Pages between the store and the disk.
const WAITING_PAGES: usize = 4;

/// The store, or the way to it, failed: exit status 1.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) anyhow::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Failed {}

/// In which order a store gives its records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Given {
    NewestFirst,
    /// As objects are listed.
    Listed,
}

/// What is gathered, and from where it goes on.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) window: Window,
    pub(super) cursor: Option<Value>,
    unfinished: Unfinished,
    resumed: bool,
    now: Timestamp,
}

/// What a source says of itself in `snapshot.json`.
pub(super) struct About {
    pub(super) tool: &'static str,
    pub(super) source: &'static str,
    pub(super) keys: Map<String, Value>,
    pub(super) given: Given,
}

impl CommonOptions {
    /// The window, from the options or from the gather that is resumed. `question` is everything
    /// that is asked but for the window.
    /// Without --start it begins at `start`.
    pub(super) fn plan(&self, question: Value, start: Moment) -> anyhow::Result<Plan> {
        let now = clock::now();
        if self.resume {
            let unfinished = Unfinished::read(&self.out_dir, &question)?;
            let (window, cursor) = (unfinished.window(), unfinished.cursor.clone());
            return Ok(Plan { window, cursor, unfinished, resumed: true, now });
        }
        let window = Window::new(self.start.unwrap_or(start), self.end, now)?;
        let unfinished = Unfinished::new(crate::snapshot::random_uuid(), question, window);
        Ok(Plan { window, cursor: None, unfinished, resumed: false, now })
    }

    fn numbers(&self, given: Given) -> Numbers {
        match (given, self.order) {
            (_, None) | (Given::NewestFirst, Some(Order::Newest)) => Numbers::Arrival,
            (Given::NewestFirst, Some(Order::Oldest)) => Numbers::ReverseArrival,
            (Given::Listed, Some(order)) => Numbers::Time(order),
        }
    }

    /// Records to write; 0 is all.
    pub(super) fn limit(&self) -> Option<u64> {
        Some(self.limit).filter(|limit| *limit > 0)
    }

    fn snapshot(&self, plan: &Plan, about: About) -> anyhow::Result<Snapshot> {
        let config = SnapshotConfig {
            out_dir: self.out_dir.clone(),
            numbers: self.numbers(about.given),
            time_range: Some((plan.window.start, plan.window.end)),
            tool: about.tool,
            source: about.source,
            source_keys: about.keys,
            created_at: plan.now,
        };
        let id = plan.unfinished.id()?;
        if plan.resumed {
            let reopened = Snapshot::reopen(config, id);
            return reopened.context("read the snapshot that the earlier gather wrote");
        }
        Ok(Snapshot::with_id(config, id))
    }

    /// Runs `source` until it ends, a signal comes or the limit is reached, writes what it gives,
    /// and says how it went.
    pub(super) async fn gather<F>(
        &self,
        plan: Plan,
        about: About,
        messages: &mut impl Write,
        source: impl FnOnce(Feed) -> F,
    ) -> anyhow::Result<ExitCode>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let snapshot = self.snapshot(&plan, about)?;
        let progress = Progress::default();
        let before = snapshot.pairs();
        progress.add_written(before);
        let mut signals = StopSignals::catch().context("catch signals")?;
        let (pages, waiting) = mpsc::channel(WAITING_PAGES);
        let writer = Writer {
            snapshot,
            out_dir: self.out_dir.clone(),
            limit: self.limit(),
            progress: progress.clone(),
            unfinished: plan.unfinished,
        };
        let writer = thread::spawn(move || writer.run(waiting));
        let fetched = {
            let source = source(Feed { pages, progress: progress.clone() });
            let fetching = async {
                tokio::select! {
                    fetched = source => Some(fetched),
                    () = signals.recv() => None,
                }
            };
            self.watched(fetching, &progress, before, messages).await?
        };
        signals.exit_on_next();
        let written = tokio::task::spawn_blocking(move || writer.join());
        let written = written.await?.map_err(|_cause| io::Error::other("the writer panicked"));
        let Written { snapshot, limited } =
            written?.with_context(|| format!("write to {}", self.out_dir.display()))?;
        let summary = tokio::task::spawn_blocking(move || snapshot.finish()).await?;
        let summary = summary.context("finish the snapshot: number its records")?;
        self.report(Ending { fetched, limited, summary }, &progress, messages)
    }

    /// Shows progress while `fetching` runs.
    async fn watched<T>(
        &self,
        fetching: impl Future<Output = T>,
        progress: &Progress,
        before: u64,
        messages: &mut impl Write,
    ) -> io::Result<T> {
        let started = Instant::now();
        let terminal = io::stderr().is_terminal();
        let every = if terminal { Duration::from_millis(200) } else { Duration::from_secs(10) };
        let mut ticks = tokio::time::interval(every);
        ticks.tick().await; // the first one is now
        tokio::pin!(fetching);
        loop {
            tokio::select! {
                fetched = &mut fetching => {
                    progress::clear(terminal && !self.quiet, messages)?;
                    return Ok(fetched);
                }
                _ = ticks.tick(), if !self.quiet => {
                    let line = progress.line(before, started.elapsed());
                    progress::show(&line, terminal, messages)?;
                }
            }
        }
    }

    fn report(
        &self,
        ending: Ending,
        progress: &Progress,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let Ending { fetched, limited, summary } = ending;
        let foreign = progress.foreign();
        if foreign > 0 {
            writeln!(messages, "{} documents are no RRPairs; left out", grouped(foreign))?;
        }
        let complete = matches!(fetched, Some(Ok(())));
        if let Some(summary) = &summary {
            report_written(summary, &self.out_dir, messages)?;
        }
        match fetched {
            Some(Err(error)) if !limited => {
                if summary.is_some() {
                    writeln!(
                        messages,
                        "hint: not all was gathered; go on with the same command and --resume"
                    )?;
                }
                return Err(Failed(error).into());
            }
            None if !limited => {
                let further = if summary.is_some() {
                    "; go on with the same command and --resume"
                } else {
                    "; nothing written"
                };
                writeln!(messages, "stopped early{further}")?;
                return Ok(ExitCode::from(1));
            }
            _ => {}
        }
        let Some(summary) = summary else {
            writeln!(messages, "no traffic matched filter; nothing written.")?;
            let hint =
                progress.take_hint().unwrap_or_else(|| "widen the window with --start".into());
            writeln!(messages, "hint: {}", Visible(&hint))?;
            return Ok(ExitCode::from(1));
        };
        if limited {
            let of = progress.total().map(|total| format!(" of {} that match", grouped(total)));
            let of = of.unwrap_or_default();
            writeln!(messages, "stopped at --limit {}{of}", grouped(summary.pairs))?;
        }
        debug_assert!(complete || limited);
        Unfinished::remove(&self.out_dir).context("end the gather")?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Ending {
    /// `None` when a signal came.
    fetched: Option<anyhow::Result<()>>,
    limited: bool,
    summary: Option<Summary>,
}

/// The closing lines of a gather script (contract §4.3).
pub(crate) fn report_written(
    summary: &Summary,
    out_dir: &Path,
    out: &mut impl Write,
) -> io::Result<()> {
    let shown = |path: &Path| Visible(&path.to_string_lossy()).to_string();
    writeln!(out, "wrote {} RRPairs to {}", summary.pairs, shown(&summary.directory))?;
    for (host, pairs) in &summary.hosts {
        writeln!(out, "  {pairs:>7}  {host}")?;
    }
    writeln!(out)?;
    writeln!(out, "replay with:  proxymock mock --in {}", shown(out_dir))
}
