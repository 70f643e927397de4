//! Figures for the time line and the charts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::browse::index::{Index, Name, Row};

/// Lanes of the time line, and lines of a chart; the smallest beyond these are one.
const MOST_SERVICES: usize = 12;
/// Rows of the table of endpoints.
const MOST_ENDPOINTS: usize = 50;

/// One lane of the time line.
#[derive(Debug, Serialize)]
pub(super) struct Lane {
    pub service: String,
    /// Column, pairs below 400, pairs of 400 to 499, failing pairs, longest duration in ms.
    pub cells: Vec<[u64; 5]>,
}

/// Which column a time falls in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub from_us: u64,
    pub to_us: u64,
    pub count: u64,
}

impl Columns {
    fn of(self, time_us: u64) -> Option<u64> {
        if time_us < self.from_us || time_us > self.to_us {
            return None;
        }
        let span = (self.to_us - self.from_us).max(1);
        let column = u128::from(time_us - self.from_us) * u128::from(self.count) / u128::from(span);
        Some(u64::try_from(column).unwrap_or(0).min(self.count.saturating_sub(1)))
    }
}

/// Lanes by service, most pairs first.
pub(super) fn lanes<'a>(
    index: &Index,
    rows: impl Iterator<Item = &'a Row>,
    columns: Columns,
) -> Vec<Lane> {
    let mut services: BTreeMap<Name, BTreeMap<u64, [u64; 4]>> = BTreeMap::new();
    for row in rows {
        let Some(column) = columns.of(row.time_us) else { continue };
        let cell = services.entry(row.service).or_default().entry(column).or_default();
        let [good, warned, failed, longest] = cell;
        match class(index, row) {
            2 => *failed += 1,
            1 => *warned += 1,
            _ => *good += 1,
        }
        *longest = (*longest).max(row.duration_ms);
    }
    let mut services: Vec<_> = services.into_iter().collect();
    let pairs = |cells: &BTreeMap<u64, [u64; 4]>| {
        cells.values().map(|[good, warned, failed, _]| good + warned + failed).sum::<u64>()
    };
    services.sort_by_key(|(service, cells)| {
        (std::cmp::Reverse(pairs(cells)), index.text(*service).to_owned())
    });
    let rest = services.split_off(services.len().min(MOST_SERVICES));
    let mut lanes: Vec<Lane> = services
        .into_iter()
        .map(|(service, cells)| Lane {
            service: index.text(service).to_owned(),
            cells: list(cells),
        })
        .collect();
    if !rest.is_empty() {
        let service = format!("{} more", rest.len());
        let mut all: BTreeMap<u64, [u64; 4]> = BTreeMap::new();
        for (column, [good, warned, failed, longest]) in
            rest.into_iter().flat_map(|(_, cells)| cells)
        {
            let cell = all.entry(column).or_default();
            *cell = [cell[0] + good, cell[1] + warned, cell[2] + failed, cell[3].max(longest)];
        }
        lanes.push(Lane { service, cells: list(all) });
    }
    lanes
}

fn list(cells: BTreeMap<u64, [u64; 4]>) -> Vec<[u64; 5]> {
    cells.into_iter().map(|(column, [a, b, c, d])| [column, a, b, c, d]).collect()
}

/// 0 as it should be, 1 the client's fault, 2 failed.
pub(super) fn class(index: &Index, row: &Row) -> u8 {
    if row.failed {
        return 2;
    }
    u8::from(index.text(row.status).starts_with('4'))
}

/// Counts and latencies of a group of pairs.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub name: String,
    /// HTTP method; empty for a service.
    pub method: String,
    pub count: usize,
    pub failed: usize,
    pub p50: u64,
    pub p90: u64,
    pub p95: u64,
    pub p99: u64,
    pub max: u64,
}

/// What the charts show.
#[derive(Debug, Serialize)]
pub(super) struct Charts {
    pub services: Vec<Group>,
    pub endpoints: Vec<Group>,
    /// How many endpoints there are, also those that the list leaves out.
    pub endpoint_count: usize,
    /// Status and pairs, most first.
    pub statuses: Vec<(String, usize)>,
}

pub(super) fn charts<'a>(index: &Index, rows: impl Iterator<Item = &'a Row>) -> Charts {
    let mut services: BTreeMap<Name, Durations> = BTreeMap::new();
    let mut endpoints: BTreeMap<(Name, String), Durations> = BTreeMap::new();
    let mut statuses: BTreeMap<Name, usize> = BTreeMap::new();
    for row in rows {
        services.entry(row.service).or_default().add(row);
        endpoints.entry((row.command, route(&row.target))).or_default().add(row);
        *statuses.entry(row.status).or_default() += 1;
    }
    let service = |(name, durations): (Name, Durations)| {
        durations.group(index.text(name).to_owned(), String::new())
    };
    let endpoint = |((method, route), durations): ((Name, String), Durations)| {
        durations.group(route, index.text(method).to_owned())
    };
    let mut services: Vec<_> = services.into_iter().map(service).collect();
    let mut endpoints: Vec<_> = endpoints.into_iter().map(endpoint).collect();
    for groups in [&mut services, &mut endpoints] {
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    }
    services.truncate(MOST_SERVICES);
    let endpoint_count = endpoints.len();
    endpoints.truncate(MOST_ENDPOINTS);
    let mut statuses: Vec<_> = statuses
        .into_iter()
        .map(|(status, count)| (index.text(status).to_owned(), count))
        .collect();
    statuses.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Charts { services, endpoints, endpoint_count, statuses }
}

#[derive(Debug, Default)]
struct Durations {
    all: Vec<u64>,
    failed: usize,
}

impl Durations {
    fn add(&mut self, row: &Row) {
        self.all.push(row.duration_ms);
        self.failed += usize::from(row.failed);
    }

    fn group(mut self, name: String, method: String) -> Group {
        self.all.sort_unstable();
        let at = |percent| crate::show::nearest_rank(&self.all, percent);
        Group {
            name,
            method,
            count: self.all.len(),
            failed: self.failed,
            p50: at(50),
            p90: at(90),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }
}

/// The path without what tells one object from another: `/orders/17` is `/orders/:id`.
fn route(target: &str) -> String {
    let Some(path) = target.split(['?', '#']).next().filter(|path| path.starts_with('/')) else {
        return target.chars().take(80).collect();
    };
    let parts = path.split('/').map(|part| if is_id(part) { ":id" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Digits alone, or hexadecimal digits and hyphens long enough for a hash or a UUID.
fn is_id(part: &str) -> bool {
    let digits = |byte: u8| byte.is_ascii_digit();
    let hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (!part.is_empty() && part.bytes().all(digits))
        || (part.len() >= 16 && part.bytes().all(hex) && part.bytes().any(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_leaves_out_ids_and_the_query() {
        assert_eq!(route("/orders/17?x=1"), "/orders/:id");
        assert_eq!(route("/u/6f1b2c3d-0000-4000-8000-1234567890ab/cart"), "/u/:id/cart");
        assert_eq!(route("/v1/deadbeef"), "/v1/deadbeef");
        assert_eq!(route("SELECT 1"), "SELECT 1");
    }

    #[test]
    fn the_ends_of_the_range_fall_into_the_first_and_last_column() {
        let columns = Columns { from_us: 100, to_us: 200, count: 10 };
        assert_eq!(
            [99, 100, 150, 200, 201].map(|time| columns.of(time)),
            [None, Some(0), Some(5), Some(9), None]
        );
        let instant = Columns { from_us: 5, to_us: 5, count: 4 };
        assert_eq!(instant.of(5), Some(0));
    }
}
