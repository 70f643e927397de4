//! Pages of a point in time, sliced and merged.

use std::{cmp::Reverse, collections::VecDeque, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use super::{document, path, query};
use crate::{
    gather::{
        client::{Client, RequestError},
        filter::FilterOptions,
        writer::{Enough, Feed, Page},
    },
    receiver::Pair,
};

/// Documents in the first page; later ones aim at [`PAGE_BYTES`].
const FIRST_PAGE: usize = 500;
/// Elasticsearch's `index.max_result_window`.
const MAX_PAGE: usize = 10_000;
const PAGE_BYTES: usize = 8 << 20;
/// Records that are handed on at once.
const BATCH: usize = 500;

/// One search.
#[derive(Clone)]
pub(super) struct Search {
    pub(super) client: Arc<Client>,
    pub(super) index: String,
    pub(super) query: Value,
    pub(super) filters: FilterOptions,
    pub(super) slices: usize,
    pub(super) limit: Option<u64>,
    /// The time, as it is sorted by, to go on from; everything newer is there already.
    pub(super) cursor: Option<Value>,
}

#[derive(Deserialize)]
struct Answer {
    pit_id: Option<String>,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    total: Option<Total>,
    hits: Vec<StoredHit>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct StoredHit {
    #[serde(rename = "_source")]
    source: Option<Map<String, Value>>,
    sort: (i64, i64),
}

/// A document in its place: time and, among those of one time, its number.
struct Hit {
    time: i64,
    number: i64,
    pair: Option<Pair>,
}

impl Search {
    /// Gives every document to `feed`, newest first.
    pub(super) async fn run(self, feed: Feed) -> anyhow::Result<()> {
        let opening = path(&self.index, &format!("/_pit?keep_alive={}", super::KEEP_ALIVE));
        let opened = self.client.request(Method::POST, &opening, None).await;
        let opened = opened.map_err(|error| self.explain(error))?;
        let opened: Value = serde_json::from_slice(&opened).context("its answer is no JSON")?;
        let pit = opened.get("id").and_then(Value::as_str);
        let pit = pit
            .context("it gives no point in time; Elasticsearch 7.12 or newer is needed")?
            .to_owned();
        let fetched = self.fetch(&pit, &feed).await;
        // It would end by itself; a failure to end it changes nothing for the user.
        let closing = json!({ "id": pit });
        self.client.request(Method::DELETE, "/_pit", Some(&closing)).await.ok();
        fetched
    }

    fn explain(&self, error: RequestError) -> anyhow::Error {
        let hint = match &error {
            RequestError::Status { status, .. } => match status.as_u16() {
                401 => "set --user and ES_PASSWORD, or ES_API_KEY",
                403 => "the user needs the privilege `read` on the index",
                404 => "see GET /_cat/indices for the names there are, and set --index",
                _ => "",
            },
            RequestError::Connection(_) => "is Elasticsearch there?",
            RequestError::TooLarge => "",
        };
        let error = anyhow::Error::new(error).context(format!("ask {}", self.client.base()));
        if hint.is_empty() { error } else { anyhow::anyhow!("{error:#} (hint: {hint})") }
    }

    async fn fetch(&self, pit: &str, feed: &Feed) -> anyhow::Result<()> {
        let total = self.total(pit).await?;
        feed.progress.set_total(total);
        // More slices than pages would only cost.
        let wanted = self.limit.map_or(total, |limit| limit.min(total));
        let slices = if wanted <= FIRST_PAGE as u64 { 1 } else { self.slices };
        let mut tasks = JoinSet::new();
        let mut streams = Vec::new();
        for number in 0..slices {
            let (pages, waiting) = mpsc::channel(1);
            let slice =
                Slice { search: self.clone(), pit: pit.to_owned(), place: (number, slices) };
            tasks.spawn(slice.run(pages));
            streams.push(Stream { pages: waiting, hits: VecDeque::new() });
        }
        let merged = self.merge(streams, feed).await;
        if merged == Err(Enough) {
            return Ok(()); // the slices end with their tasks
        }
        while let Some(ended) = tasks.join_next().await {
            ended.context("a page's task ended early")??;
        }
        let received = feed.progress.received();
        ensure!(
            received == total || self.cursor.is_some(),
            "it counts {total} documents and gave {received}"
        );
        Ok(())
    }

    /// How many documents match, exactly.
    async fn total(&self, pit: &str) -> anyhow::Result<u64> {
        let mut body = query::page(pit, &self.query, (0, 1), 0, None);
        if let Some(body) = body.as_object_mut() {
            body.insert("track_total_hits".into(), true.into());
        }
        let (answer, _) = self.search(&body).await?;
        Ok(answer.hits.total.context("its answer holds no total")?.value)
    }

    async fn search(&self, body: &Value) -> anyhow::Result<(Answer, usize)> {
        let asked = "/_search?allow_partial_search_results=false";
        let text = self.client.request(Method::POST, asked, Some(body)).await;
        let text = text.map_err(|error| match &error {
            RequestError::TooLarge => anyhow::Error::new(error),
            _ => self.explain(error),
        })?;
        let answer: Answer =
            serde_json::from_slice(&text).context("its answer is no search result")?;
        if answer.timed_out || answer.shards.failed > 0 {
            bail!("the search is incomplete: {} shards failed", answer.shards.failed);
        }
        Ok((answer, text.len()))
    }

    /// Hands the documents of all slices on in one order.
    async fn merge(&self, mut streams: Vec<Stream>, feed: &Feed) -> Result<(), Enough> {
        let mut page = Page::default();
        loop {
            for stream in &mut streams {
                stream.fill().await;
            }
            let heads = streams.iter().enumerate();
            let next = heads.filter_map(|(at, stream)| Some((stream.hits.front()?, at)));
            let next = next.min_by_key(|(hit, _)| (Reverse(hit.time), hit.number));
            let Some((_, at)) = next else { break };
            let Some(hit) = streams.get_mut(at).and_then(|stream| stream.hits.pop_front()) else {
                break;
            };
            feed.progress.add_received(1);
            page.cursor = Some(hit.time.into());
            match hit.pair {
                None => feed.progress.add_foreign(1),
                Some(pair) if self.filters.patterns_match(&pair.body) => page.pairs.push(pair),
                Some(_) => {}
            }
            if page.pairs.len() == BATCH {
                feed.send(std::mem::take(&mut page)).await?;
            }
        }
        feed.send(page).await
    }
}

/// What comes from one slice.
struct Stream {
    pages: mpsc::Receiver<Vec<Hit>>,
    hits: VecDeque<Hit>,
}

impl Stream {
    /// Waits until there is a document, or none will come.
    async fn fill(&mut self) {
        while self.hits.is_empty() {
            match self.pages.recv().await {
                Some(page) => self.hits = page.into(),
                None => return,
            }
        }
    }
}

/// One of the slices that a search is made in.
struct Slice {
    search: Search,
    pit: String,
    place: (usize, usize),
}

impl Slice {
    async fn run(mut self, pages: mpsc::Sender<Vec<Hit>>) -> anyhow::Result<()> {
        let limit = self.search.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let most = limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let mut size = FIRST_PAGE.min(most);
        // Inclusive: no document has the number -1.
        let mut after = self.search.cursor.as_ref().map(|time| json!([time, -1]));
        loop {
            let body = query::page(&self.pit, &self.search.query, self.place, size, after.as_ref());
            let (answer, bytes) = match self.search.search(&body).await {
                Err(error) if size > 1 && is_too_large(&error) => {
                    size /= 2;
                    continue;
                }
                answer => answer?,
            };
            if let Some(pit) = answer.pit_id {
                self.pit = pit;
            }
            let count = answer.hits.hits.len();
            let Some(last) = answer.hits.hits.last().map(|hit| hit.sort) else { return Ok(()) };
            after = Some(json!([last.0, last.1]));
            let hits = answer.hits.hits.into_iter().map(read).collect();
            if pages.send(hits).await.is_err() || count < size {
                return Ok(());
            }
            let fitting = PAGE_BYTES / (bytes / count).max(1);
            size = fitting.clamp(10, MAX_PAGE).min(most);
        }
    }
}

fn is_too_large(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<RequestError>(), Some(RequestError::TooLarge))
}

fn read(hit: StoredHit) -> Hit {
    let (time, number) = hit.sort;
    Hit { time, number, pair: hit.source.and_then(document::pair) }
}
