//! What the page asks for, as JSON. Times are microseconds since the epoch: a double holds
//! those exactly.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLockReadGuard},
};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    server::Server,
    sums::{self, Columns},
};
use crate::browse::{
    index::{Index, Row},
    marks::Mark,
    question::{Mode, Selection},
};

/// Most rows, and most columns, of an answer.
const MOST: usize = 2_000;

type Answer<T> = Result<Json<T>, (StatusCode, String)>;

/// What is asked: the filter's text and a range of time, its ends included.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    filter: String,
    from: u64,
    to: u64,
    sort: Sort,
    descending: bool,
    offset: usize,
    limit: usize,
    columns: u64,
    /// Only failing pairs after (or before) the row of this place are looked for.
    failed_after: Option<usize>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            filter: String::new(),
            from: 0,
            to: u64::MAX,
            sort: Sort::default(),
            descending: false,
            offset: 0,
            limit: 200,
            columns: 300,
            failed_after: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Time,
    Duration,
    Size,
    Status,
}

/// A selection with the index that it is of.
struct Found<'a> {
    index: RwLockReadGuard<'a, Index>,
    mode: Mode,
    rows: Vec<u32>,
}

impl Found<'_> {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter_map(|&number| self.index.get(number))
    }
}

fn read(server: &Server) -> RwLockReadGuard<'_, Index> {
    server.index.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `answer` on the selection, away from the runtime: an expression reads every file. A
/// filter that is wrong is an answer too, `{"fault": …}`: people are wrong while they type, and
/// a status of failure would be noise in the browser's console.
async fn ask<T: Serialize>(
    server: Arc<Server>,
    asked: Asked,
    answer: impl FnOnce(Found<'_>, &Asked) -> T + Send + 'static,
) -> Answer<Value> {
    let work = move || {
        let index = read(&server);
        let Selection { mode, rows } = match server.answers.of(&index, &asked.filter) {
            Ok(selection) => selection,
            Err(fault) => return Ok(json!({ "fault": fault })),
        };
        let in_range = |number: &u32| {
            let time = index.get(*number).map_or(0, |row| row.time_us);
            (asked.from..=asked.to).contains(&time)
        };
        let rows = rows.iter().copied().filter(in_range).collect();
        let found = Found { index, mode, rows };
        serde_json::to_value(answer(found, &asked))
    };
    let failed = |error: &dyn ToString| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?;
    done.map(Json).map_err(|error| failed(&error))
}

pub(super) async fn state(State(server): State<Arc<Server>>) -> Json<Value> {
    let index = read(&server);
    let range = index.range();
    let marks: BTreeMap<_, _> = Mark::ALL.iter().map(|mark| (mark.word(), mark.text())).collect();
    Json(json!({
        "version": index.version,
        "pairs": index.len(),
        "others": index.others,
        "loaded": index.loaded,
        "follow": server.follow,
        "directory": server.directory.to_string_lossy(),
        "marks": marks,
        "range": range.map(|(from, to)| [from, to]),
    }))
}

#[derive(Debug, Serialize)]
pub(super) struct Page {
    mode: Mode,
    total: usize,
    failed: usize,
    offset: usize,
    rows: Vec<RowOut>,
}

#[derive(Debug, Serialize)]
struct RowOut {
    number: u32,
    time: u64,
    way: &'static str,
    service: String,
    method: String,
    host: String,
    target: String,
    status: String,
    class: u8,
    duration: u64,
    sent: usize,
    received: usize,
    marks: Vec<&'static str>,
}

pub(super) async fn rows(
    State(server): State<Arc<Server>>,
    Query(asked): Query<Asked>,
) -> Answer<Value> {
    ask(server, asked, |found, asked| {
        let Found { index, mode, rows: mut numbers } = found;
        let index = &*index;
        let key = |number: &u32| {
            index.get(*number).map_or(0, |row| match asked.sort {
                Sort::Time => row.time_us,
                Sort::Duration => row.duration_ms,
                Sort::Size => u64::try_from(row.sent + row.received).unwrap_or(u64::MAX),
                Sort::Status => index.text(row.status).parse().unwrap_or(u64::MAX),
            })
        };
        // Stable: rows that are alike stay in the order of time.
        match (asked.sort, asked.descending) {
            (Sort::Time, false) => {}
            (_, false) => numbers.sort_by_key(key),
            (_, true) => numbers.sort_by_key(|number| std::cmp::Reverse(key(number))),
        }
        let is_failed = |number: &u32| index.get(*number).is_some_and(|row| row.failed);
        let offset = match asked.failed_after {
            None => asked.offset,
            // The next failing one, from the start again after the last.
            Some(place) => {
                let after = numbers.iter().skip(place + 1).position(is_failed);
                let next = after.map(|more| place + 1 + more);
                next.or_else(|| numbers.iter().position(is_failed)).unwrap_or(place)
            }
        };
        let shown = numbers.iter().skip(offset).take(asked.limit.min(MOST));
        Page {
            mode,
            total: numbers.len(),
            failed: numbers.iter().filter(|number| is_failed(number)).count(),
            offset,
            rows: shown
                .filter_map(|&number| Some(out(index, number, index.get(number)?)))
                .collect(),
        }
    })
    .await
}

fn out(index: &Index, number: u32, row: &Row) -> RowOut {
    RowOut {
        number,
        time: row.time_us,
        way: row.way.label(),
        service: index.text(row.service).to_owned(),
        method: index.text(row.command).to_owned(),
        host: index.text(row.host).to_owned(),
        target: row.target.to_string(),
        status: index.text(row.status).to_owned(),
        class: sums::class(index, row),
        duration: row.duration_ms,
        sent: row.sent,
        received: row.received,
        marks: row.marks.iter().map(Mark::word).collect(),
    }
}

pub(super) async fn timeline(
    State(server): State<Arc<Server>>,
    Query(asked): Query<Asked>,
) -> Answer<Value> {
    ask(server, asked, |found, asked| {
        let (first, last) = found.index.range().unwrap_or_default();
        let from_us = asked.from.max(first);
        let to_us = asked.to.min(last).max(from_us);
        let most = u64::try_from(MOST).unwrap_or(u64::MAX);
        let columns = Columns { from_us, to_us, count: asked.columns.clamp(1, most) };
        let lanes = sums::lanes(&found.index, found.rows(), columns);
        json!({ "from": from_us, "to": to_us, "columns": columns.count, "lanes": lanes })
    })
    .await
}

pub(super) async fn charts(
    State(server): State<Arc<Server>>,
    Query(asked): Query<Asked>,
) -> Answer<Value> {
    ask(server, asked, |found, _| sums::charts(&found.index, found.rows())).await
}

/// The document of one pair, as it is in its file.
pub(super) async fn pair(
    State(server): State<Arc<Server>>,
    Path(number): Path<u32>,
) -> Answer<Value> {
    let (place, marks) = {
        let index = read(&server);
        let row =
            index.get(number).ok_or_else(|| (StatusCode::NOT_FOUND, "no such pair".to_owned()))?;
        let marks: Vec<_> = row
            .marks
            .iter()
            .map(|mark| json!({ "word": mark.word(), "text": mark.text() }))
            .collect();
        (row.place.clone(), marks)
    };
    let document =
        place.read().map_err(|error| (StatusCode::NOT_FOUND, format!("{place}: {error}")))?;
    let file = place.below(&server.directory).to_string();
    Ok(Json(json!({ "file": file, "marks": marks, "document": document })))
}
