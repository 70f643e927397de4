//! `weir explain`: what failing requests have in common that passing ones lack.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use weir_explain::{Explanation, Outcome, explain};
use weir_rrpair::RrPair;

use crate::{
    gather::Pattern,
    snapshot::{self, read::Place},
    style::{Style, Tone},
    visible::{Visible, shortened},
};

/// Say what tells the failing requests of each route from those that pass.
///
/// Compares what the requests say: parameters, path, headers, body, time. A request failed when
/// it had no response, an error of its protocol, or a status 5xx.
///
/// Exit status: 0 shown (or nothing fails), 1 there is no RRPair, 2 the input cannot be read.
#[derive(Args, Debug)]
pub struct ExplainCommand {
    /// A directory that `weir collect` or `weir gather` wrote.
    #[arg(long = "in", value_name = "DIR")]
    input: PathBuf,
    /// Statuses that count as failures instead, such as '4..|5..'.
    #[arg(long, value_name = "REGEX", value_parser = Pattern::parse)]
    status: Option<Pattern>,
    /// Form of the output.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Form of an output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Pretty,
    Json,
}

impl ExplainCommand {
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        let read = snapshot::read::records(&self.input)?;
        if read.is_empty() {
            writeln!(out, "no RRPairs in {}", Visible(&self.input.to_string_lossy()))?;
            return Ok(ExitCode::from(1));
        }
        let records = read.iter().map(|(_, record)| record);
        let explained = explain(records, |record| self.outcome(record));
        let written = match self.output {
            Output::Pretty => pretty(&explained, &read, out, style),
            Output::Json => {
                let explained: Vec<_> = explained.iter().map(|one| document(one, &read)).collect();
                writeln!(out, "{:#}", Value::Array(explained))
            }
        };
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    fn outcome(&self, record: &RrPair) -> Outcome {
        let status = record.status.as_ref();
        let server = status.len() == 3 && status.starts_with('5');
        let failed = self.status.as_ref().map_or_else(
            || status.is_empty() || status.starts_with("ERR") || server || grpc_failed(record),
            |pattern| pattern.matches(status),
        );
        if failed { Outcome::Failed } else { Outcome::Passed }
    }
}

/// gRPC says in a trailer what HTTP calls a success.
fn grpc_failed(record: &RrPair) -> bool {
    let response = record.http.as_ref().and_then(|http| http.res.as_ref());
    let status = response.and_then(|response| response.trailers.first("Grpc-Status"));
    status.is_some_and(|status| status != "0")
}

fn pretty(
    explained: &[Explanation],
    read: &[(Place, RrPair)],
    out: &mut impl Write,
    style: Style,
) -> io::Result<()> {
    if explained.is_empty() {
        return writeln!(out, "none of {} requests failed", read.len());
    }
    for (place, one) in explained.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        let route = shortened(&one.route.to_string(), 200);
        let service = shortened(&one.route.service, 60);
        let all = one.failures + one.passes;
        write!(out, "{} {route} of {service}: ", one.route.direction)?;
        let failing = format!("{} of {all} fail", one.failures);
        writeln!(out, "{} ({})", style.paint(Tone::Bad, failing), statuses(one))?;
        for reason in &one.reasons {
            // Its text holds no byte that a terminal obeys.
            writeln!(out, "  {}", style.paint(Tone::Marked, reason))?;
            if let Some((place, record)) = read.get(reason.example) {
                writeln!(out, "    e.g. {}", shortened(&example(record), 160))?;
                writeln!(out, "         {}", Visible(&place.to_string()))?;
            }
        }
        if one.passes == 0 {
            writeln!(out, "  every request fails: nothing to compare with")?;
        } else if one.reasons.is_empty() {
            writeln!(out, "  nothing in the requests tells failures from passes")?;
        } else if one.unexplained > 0 {
            writeln!(out, "  {} more failures with nothing in common", one.unexplained)?;
        }
    }
    out.flush()
}

fn example(record: &RrPair) -> String {
    match &record.http {
        Some(http) if !http.req.uri.is_empty() => http.req.uri.clone(),
        _ => record.location.clone(),
    }
}

/// `29 × 500, 1 × no response`
fn statuses(one: &Explanation) -> String {
    let statuses = one.statuses.iter().map(|(status, count)| {
        let status = if status.is_empty() { "no response" } else { status };
        format!("{count} × {}", shortened(status, 40))
    });
    statuses.collect::<Vec<_>>().join(", ")
}

fn document(one: &Explanation, read: &[(Place, RrPair)]) -> Value {
    let route = &one.route;
    let reasons = one.reasons.iter().map(|reason| {
        json!({
            "text": reason.to_string(), "failures": reason.failures,
            "ofFailures": reason.of_failures, "passes": reason.passes,
            "ofPasses": reason.of_passes, "weak": reason.weak,
            "example": read.get(reason.example).map(|(place, _)| place.to_string()),
        })
    });
    json!({
        "route": {
            "direction": route.direction, "service": route.service, "host": route.host,
            "command": route.command, "path": route.path,
        },
        "failures": one.failures, "passes": one.passes, "statuses": one.statuses,
        "reasons": reasons.collect::<Vec<_>>(), "unexplained": one.unexplained,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(number: u32, uri: &str, status: &str) -> Value {
        json!({
            "msgType": "rrpair", "direction": "IN", "service": "rocket", "command": "GET",
            "location": "/api/rocket", "status": status,
            "ts": format!("2026-09-01T10:00:{:02}Z", number % 60),
            "http": { "req": { "method": "GET", "url": "/api/rocket", "uri": uri } },
        })
    }

    fn run(pairs: &[Value], output: Output) -> (String, ExitCode) {
        let folder = tempfile::tempdir().unwrap();
        for (number, pair) in pairs.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{number:03}.json")), pair.to_string())
                .unwrap();
        }
        let input = folder.path().to_owned();
        let mut out = Vec::new();
        let code = ExplainCommand { input, status: None, output }.run(&mut out, Style::PLAIN);
        (String::from_utf8(out).unwrap(), code.unwrap())
    }

    #[test]
    fn the_del_is_named() {
        let pass = (0..88).map(|n| pair(n, &format!("/api/rocket?id=falcon-{n}"), "200"));
        let fail = (0..30).map(|n| pair(n, &format!("/api/rocket?id=falcon-{n}%7F"), "500"));
        let pairs: Vec<_> = pass.chain(fail).collect();
        let (text, _) = run(&pairs, Output::Pretty);
        let expected = "\
IN GET /api/rocket of rocket: 30 of 118 fail (30 × 500)
  30 of 30 failures end `id` with 0x7f (DEL), 0 of 88 passes do
    e.g. /api/rocket?id=falcon-0%7F
";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.lines().count(), 4);
        let (text, _) = run(&pairs, Output::Json);
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document[0]["reasons"][0]["failures"], 30);
        assert_eq!(document[0]["unexplained"], 0);
    }

    #[test]
    fn what_cannot_be_explained_is_said_so() {
        let (text, _) = run(&[pair(1, "/api/rocket", "500")], Output::Pretty);
        assert!(text.contains("every request fails: nothing to compare with"), "{text}");
        let (text, _) = run(&[pair(1, "/a", "200")], Output::Pretty);
        assert_eq!(text, "none of 1 requests failed\n");
        let (text, code) = run(&[], Output::Pretty);
        assert!(text.starts_with("no RRPairs in "));
        assert_eq!(code, ExitCode::from(1));
    }
}
