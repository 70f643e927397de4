//! Pages by time, and the nanoseconds that are larger than a page.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{line, query::Cell};
use crate::gather::{
    client::{Client, RequestError},
    filter::FilterOptions,
    window::Window,
    writer::{Enough, Feed, Page},
};

/// Lines in the first page; later ones aim at [`PAGE_BYTES`].
const FIRST_PAGE: usize = 500;
/// Loki's `max_entries_limit_per_query`.
const MAX_PAGE: usize = 5_000;
/// Below the 4 MiB that Loki's parts send each other at once.
const PAGE_BYTES: usize = 2 << 20;

const SECOND: u64 = 1_000_000_000;
/// What is asked at once; Loki limits it (`max_query_length`).
const FIRST_SPAN: u64 = 86_400 * SECOND;
const MAX_SPAN: u64 = 16 * FIRST_SPAN;
const MIN_SPAN: u64 = 60 * SECOND;

/// One search.
pub(super) struct Search {
    pub(super) client: Arc<Client>,
    pub(super) logql: String,
    pub(super) filters: FilterOptions,
    pub(super) window: Window,
    pub(super) limit: Option<u64>,
    /// Everything from this nanosecond on is there already.
    pub(super) cursor: Option<u64>,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Streams(Vec<Stream>),
    Vector(Vec<Sample>),
    Matrix(IgnoredAny),
    Scalar(IgnoredAny),
}

#[derive(Deserialize)]
struct Stream {
    stream: Map<String, Value>,
    values: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Sample {
    value: (f64, String),
}

/// A line in its place.
struct Entry {
    time: u64,
    line: String,
    labels: Arc<Map<String, Value>>,
}

/// Why there are no lines.
enum Refused {
    /// Fewer lines may be asked for at once.
    TooMuch(anyhow::Error),
    /// A shorter time may be asked for at once.
    TooLong(anyhow::Error),
    Failed(anyhow::Error),
}

impl Search {
    /// Gives every line to `feed`, newest first.
    pub(super) async fn run(&self, feed: Feed) -> anyhow::Result<()> {
        // A count that fails (a window of more days than Loki allows) only means less to check.
        let total = self.count().await.inspect_err(|error| tracing::debug!("no count: {error:#}"));
        if let Ok(total) = total {
            feed.progress.set_total(total);
        }
        if self.fetch(&feed).await? == Err(Enough) {
            return Ok(());
        }
        let (received, resumed) = (feed.progress.received(), self.cursor.is_some());
        // More may come while it is gathered, less not.
        if let Ok(total) = total {
            ensure!(received >= total || resumed, "it counts {total} lines and gave {received}");
        }
        Ok(())
    }

    async fn fetch(&self, feed: &Feed) -> anyhow::Result<Result<(), Enough>> {
        let start = self.window.start.0;
        let mut end = self.cursor.unwrap_or_else(|| self.window.end.0.saturating_add(1));
        let mut span = FIRST_SPAN;
        let wanted = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MAX_PAGE);
        let mut size = FIRST_PAGE.min(wanted.max(100));
        while end > start {
            let from = start.max(end.saturating_sub(span));
            let (entries, bytes) = match self.page(&self.logql, (from, end), size).await {
                Ok(page) => page,
                Err(Refused::TooMuch(_)) if size > 1 => {
                    size /= 2;
                    continue;
                }
                Err(Refused::TooLong(_)) if span > MIN_SPAN => {
                    span /= 2;
                    continue;
                }
                Err(Refused::TooMuch(error) | Refused::TooLong(error) | Refused::Failed(error)) => {
                    return Err(error);
                }
            };
            let count = entries.len();
            let last = entries.last().map(|entry| entry.time);
            match last {
                Some(last) if count >= size => {
                    let newer: Vec<_> =
                        entries.into_iter().take_while(|entry| entry.time > last).collect();
                    // The last nanosecond may be there in part: once more with the next page.
                    end = if newer.is_empty() { last } else { last + 1 };
                    let given = if newer.is_empty() {
                        self.nanosecond(last, size, feed).await?
                    } else {
                        self.give(newer, Some(end), feed).await
                    };
                    if given == Err(Enough) {
                        return Ok(Err(Enough));
                    }
                }
                _ => {
                    end = from;
                    if self.give(entries, Some(end), feed).await == Err(Enough) {
                        return Ok(Err(Enough));
                    }
                    if count == 0 {
                        span = (span * 2).min(MAX_SPAN);
                    }
                }
            }
            let fitting = PAGE_BYTES.checked_div(bytes / count.max(1)).unwrap_or(MAX_PAGE);
            size = fitting.clamp(2, MAX_PAGE).min(size * 2).max(2);
        }
        Ok(Ok(()))
    }

    /// Gives all lines of a nanosecond that does not fit into a page.
    async fn nanosecond(
        &self,
        time: u64,
        size: usize,
        feed: &Feed,
    ) -> anyhow::Result<Result<(), Enough>> {
        let mut size = size.max(2);
        let mut cells = Cell::all().to_vec();
        while let Some(cell) = cells.pop() {
            let logql = cell.narrow(&self.logql);
            match self.page(&logql, (time, time + 1), size).await {
                Ok((entries, _)) if entries.len() < size => {
                    if self.give(entries, None, feed).await == Err(Enough) {
                        return Ok(Err(Enough));
                    }
                }
                Ok(_) => match cell.divide() {
                    Some(halves) => cells.extend(halves),
                    None => bail!(
                        "{size} or more lines of nanosecond {time} have the same uuid or none: \
                         Loki cannot give them all"
                    ),
                },
                Err(Refused::TooMuch(_)) if size > 2 => {
                    size /= 2;
                    cells.push(cell);
                }
                Err(Refused::TooMuch(error) | Refused::TooLong(error) | Refused::Failed(error)) => {
                    return Err(error);
                }
            }
        }
        Ok(self.give(Vec::new(), Some(time), feed).await)
    }

    async fn give(
        &self,
        entries: Vec<Entry>,
        cursor: Option<u64>,
        feed: &Feed,
    ) -> Result<(), Enough> {
        feed.progress.add_received(entries.len() as u64);
        let mut page = Page { pairs: Vec::new(), cursor: cursor.map(Value::from) };
        for Entry { time, line, labels } in entries {
            match line::pair(&line, &labels, time) {
                None => feed.progress.add_foreign(1),
                Some(pair) if self.filters.patterns_match(&pair.body) => page.pairs.push(pair),
                Some(_) => {}
            }
        }
        feed.send(page).await
    }

    /// The newest `size` lines from the first nanosecond to before the second, newest first, and
    /// how many bytes they took.
    async fn page(
        &self,
        logql: &str,
        (from, end): (u64, u64),
        size: usize,
    ) -> Result<(Vec<Entry>, usize), Refused> {
        let asked = format!(
            "/loki/api/v1/query_range?query={}&start={from}&end={end}&limit={size}&direction=backward",
            encoded(logql)
        );
        let text = self.client.request(Method::GET, &asked, None).await;
        let text = text.map_err(|error| self.refused(error))?;
        let answer = read(&text).map_err(Refused::Failed)?;
        let Data::Streams(mut streams) = answer.data else {
            let error = anyhow::anyhow!("the query gives numbers, not lines");
            return Err(Refused::Failed(error));
        };
        // So that lines of one moment always come in the same order.
        streams.sort_by_cached_key(|stream| Value::Object(stream.stream.clone()).to_string());
        let mut entries = Vec::new();
        for Stream { stream, values } in streams {
            let labels = Arc::new(stream);
            for (time, line) in values {
                let time = time.parse().context("a line's time is no number");
                let time = time.map_err(Refused::Failed)?;
                entries.push(Entry { time, line, labels: Arc::clone(&labels) });
            }
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.time));
        Ok((entries, text.len()))
    }

    fn refused(&self, error: RequestError) -> Refused {
        let (code, said) = match &error {
            RequestError::Status { status, body } => {
                (status.as_u16(), String::from_utf8_lossy(body).into_owned())
            }
            _ => (0, String::new()),
        };
        let says = |text: &str| said.contains(text);
        let too_much = matches!(error, RequestError::TooLarge)
            || says("ResourceExhausted")
            || says("max entries limit")
            || says("larger than max");
        let too_long = says("time range exceeds the limit");
        let hint = match (&error, code) {
            (RequestError::Connection(_), _) => " (hint: is Loki there?)",
            (_, 401 | 403) if says("no org id") => " (hint: set --org-id)",
            (_, 401 | 403) => " (hint: set --user and LOKI_PASSWORD, or LOKI_BEARER_TOKEN)",
            (_, 404) => " (hint: --loki-url is the address before /loki/api)",
            _ => "",
        };
        let error = anyhow::Error::new(error).context(format!("ask {}", self.client.base()));
        let error = anyhow::anyhow!("{error:#}{hint}");
        match (too_much, too_long) {
            (true, _) => Refused::TooMuch(error),
            (_, true) => Refused::TooLong(error),
            _ => Refused::Failed(error),
        }
    }

    /// How many lines match, but for the last millisecond of the window, where more may come.
    pub(super) async fn count(&self) -> anyhow::Result<u64> {
        let (start, end) = (self.window.start.0, self.window.end.0);
        let length_ms = (end.saturating_add(1) - start) / 1_000_000; // Loki counts no finer
        ensure!(length_ms > 0 && start > 0, "the window is too short to be counted");
        // A range excludes its first moment and includes its last.
        let last = start - 1 + length_ms * 1_000_000;
        let query = format!("sum(count_over_time({} [{length_ms}ms]))", self.logql);
        let asked = format!("/loki/api/v1/query?query={}&time={last}", encoded(&query));
        let text = self.client.request(Method::GET, &asked, None).await;
        let text = text.map_err(|error| match self.refused(error) {
            Refused::TooMuch(error) | Refused::TooLong(error) | Refused::Failed(error) => error,
        })?;
        match read(&text)?.data {
            Data::Vector(samples) => samples
                .first()
                .map_or(Ok(0), |sample| sample.value.1.parse().context("its count is no number")),
            _ => bail!("it answers something else than a count"),
        }
    }

    /// Names of the labels in the window.
    pub(super) async fn labels(&self) -> anyhow::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Labels {
            #[serde(default)]
            data: Vec<String>,
        }
        let (start, end) = (self.window.start.0, self.window.end.0);
        let asked = format!("/loki/api/v1/labels?start={start}&end={end}");
        let text = self.client.request(Method::GET, &asked, None).await?;
        Ok(serde_json::from_slice::<Labels>(&text)?.data)
    }
}

fn read(text: &[u8]) -> anyhow::Result<Answer> {
    serde_json::from_slice(text).context("its answer is no query result")
}

fn encoded(query: &str) -> String {
    utf8_percent_encode(query, NON_ALPHANUMERIC).to_string()
}
