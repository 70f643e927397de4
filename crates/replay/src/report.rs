//! Figures of a replay (contract §5.3).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::condition::METRICS;

/// Name of the row of all endpoints.
pub const ALL: &str = "-ALL-";

/// How one replayed request went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// No answer.
    Failed,
    /// The answer was not the recorded one.
    Differed,
    Matched,
}

/// Counts and latencies of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    total: u64,
    failed: u64,
    matched: u64,
    /// Of answered requests, in microseconds; sorted when it is read.
    latencies: Vec<u32>,
}

impl Figures {
    fn add(&mut self, outcome: Outcome, latency: Duration) {
        self.total += 1;
        self.matched += u64::from(outcome == Outcome::Matched);
        if outcome == Outcome::Failed {
            self.failed += 1;
        } else {
            self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// Requests sent.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Requests answered as recorded.
    pub fn matched(&self) -> u64 {
        self.matched
    }
}

/// Figures by endpoint.
#[derive(Clone, Debug, Default)]
pub struct Report {
    endpoints: BTreeMap<(String, String), Figures>,
    all: Figures,
    elapsed: Duration,
}

impl Report {
    /// The figures of `samples` (method, path, outcome, latency), which took `elapsed` together.
    pub fn new<'a>(
        samples: impl IntoIterator<Item = (&'a str, &'a str, Outcome, Duration)>,
        elapsed: Duration,
    ) -> Self {
        let mut report = Self { elapsed, ..Self::default() };
        for (method, path, outcome, latency) in samples {
            let endpoint = (method.to_owned(), path.to_owned());
            report.endpoints.entry(endpoint).or_default().add(outcome, latency);
            report.all.add(outcome, latency);
        }
        for figures in report.endpoints.values_mut().chain([&mut report.all]) {
            figures.latencies.sort_unstable();
        }
        report
    }

    /// All endpoints together.
    pub fn all(&self) -> &Figures {
        &self.all
    }

    /// Method and path with their figures, the most requests first.
    pub fn endpoints(&self) -> Vec<(&str, &str, &Figures)> {
        let mut rows: Vec<_> =
            self.endpoints.iter().map(|((method, path), f)| (&**method, &**path, f)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.2.total));
        rows
    }

    /// A metric by its name in [`METRICS`]; latencies in milliseconds. Without a request every
    /// metric is 0.
    #[expect(clippy::cast_precision_loss, reason = "for people and comparisons")]
    pub fn metric(&self, figures: &Figures, name: &str) -> Option<f64> {
        let Figures { total, failed, matched, latencies } = figures;
        let percent =
            |part: u64| if *total == 0 { 0.0 } else { part as f64 * 100.0 / *total as f64 };
        let seconds = self.elapsed.as_secs_f64();
        let per_second = if seconds > 0.0 { *total as f64 / seconds } else { 0.0 };
        Some(match name {
            "requests.total" => *total as f64,
            "requests.succeeded" => (total - failed) as f64,
            "requests.failed" => *failed as f64,
            "requests.response-pct" => percent(total - failed),
            "requests.result-match-pct" => percent(*matched),
            "requests.per-second" => per_second,
            "requests.per-minute" => per_second * 60.0,
            "latency.avg" if latencies.is_empty() => 0.0,
            "latency.avg" => {
                let sum: u64 = latencies.iter().map(|latency| u64::from(*latency)).sum();
                sum as f64 / latencies.len() as f64 / 1000.0
            }
            "latency.min" => percentile(latencies, 0),
            "latency.max" => percentile(latencies, 100),
            _ => percentile(latencies, name.strip_prefix("latency.p")?.parse().ok()?),
        })
    }

    /// The report as a document: `endpoints`, the last of which is all of them.
    pub fn to_json(&self) -> Value {
        let row = |method: &str, url: &str, figures: &Figures| {
            let mut groups: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
            for name in METRICS {
                let (group, metric) = name.split_once('.').unwrap_or((name, ""));
                let value = self.metric(figures, name).unwrap_or_default();
                // Microseconds are what was measured; more digits would be noise.
                let value = (value * 1000.0).round() / 1000.0;
                groups.entry(group).or_default().insert(metric.to_owned(), json!(value));
            }
            json!({ "method": method, "url": url, "metrics": groups })
        };
        let endpoints = self.endpoints().into_iter().map(|(m, p, figures)| row(m, p, figures));
        let all = row("", ALL, &self.all);
        json!({ "endpoints": endpoints.chain([all]).collect::<Vec<_>>() })
    }
}

/// The smallest latency that at least `percent` of all are at or below, in milliseconds.
fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |latency| f64::from(*latency) / 1000.0)
}
