//! `weir replay`: recorded requests, byte for byte, against another address.

mod connection;
mod load;
mod outcome;
mod output;
mod results;
mod tally;
mod user;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use weir_replay::{condition::Condition, target::Against};

use self::{
    load::Traffic,
    outcome::{Ended, evaluate},
    results::Results,
    user::User,
};
use crate::{explain::Output, run::time, signals::StopSignals, snapshot, style::Style, tls};

/// Send recorded requests again and compare the answers.
///
/// Sends the requests that the recorded service answered (direction IN), as their bytes were, in
/// the order in which they were recorded, each recorded connection on one of its own. Tokens and
/// ids that the server gives anew are carried into later requests. Status and body of each answer
/// are compared with the recorded ones; values that are new every time are left out and listed.
///
/// Exit status: 0 done, 1 a --fail-if condition is true, 2 it could not be done or no request was
/// answered, 3 there is a mismatch that the --baseline does not have.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct ReplayCommand {
    /// A directory that `weir gather` or `weir collect` wrote.
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    input: PathBuf,
    /// Where requests go: [service=][http://|https://][host][:port]; what is left out stays as
    /// recorded. The first that fits a request's service counts.
    #[arg(long, value_name = "[SERVICE=]ADDRESS", required = true)]
    test_against: Vec<Against>,
    /// Send everything this many times.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Users at the same time; each sends everything.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    vus: u16,
    /// Send everything again and again for this time, such as 30s or 5m.
    #[arg(long = "for", value_name = "TIME", value_parser = time, conflicts_with = "times")]
    duration: Option<Duration>,
    /// Send the new address in the Host header.
    #[arg(long)]
    rewrite_host: bool,
    /// Send everything once before, uncounted, to learn which values are new every time.
    #[arg(long)]
    learn: bool,
    /// Compare status codes alone.
    #[arg(long)]
    ignore_body_changes: bool,
    /// Give up on an answer after this time.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    timeout: Duration,
    /// End with status 1 when this is true, such as 'requests.result-match-pct < 100'.
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Condition>,
    /// `replay-verdict.json` of an earlier replay, or its directory: a mismatch that is not in it
    /// ends with status 3.
    #[arg(long, value_name = "PATH")]
    baseline: Option<PathBuf>,
    /// PEM file of the authorities to trust in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Form of the report on stdout.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Directory for the results; unless told, `results/replayed-TIME` in the input.
    #[arg(long, value_name = "DIR", conflicts_with = "no_out")]
    out: Option<PathBuf>,
    /// Write no results.
    #[arg(long)]
    no_out: bool,
}

impl ReplayCommand {
    /// The report goes to `out`, everything else to `messages`.
    ///
    /// # Errors
    ///
    /// When there is nothing to send, or input or results cannot be read or written.
    pub fn run(
        self,
        out: &mut impl Write,
        messages: &mut impl Write,
        style: Style,
    ) -> anyhow::Result<ExitCode> {
        let baseline = self.baseline.as_deref().map(results::read_baseline).transpose()?;
        let traffic = Arc::new(Traffic::load(&self.input, &self.test_against, self.rewrite_host)?);
        if traffic.items.is_empty() {
            bail!("nothing to send in {}: {}", self.input.display(), traffic.left_out);
        }
        writeln!(messages, "sending {} requests to {}", traffic.items.len(), traffic.targets())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(self.replay(Arc::clone(&traffic)))?;
        let outcome = evaluate(&traffic, ended, self.ignore_body_changes, baseline.as_ref());

        let directory = self.results_directory();
        if let Some(directory) = &directory {
            Results { directory, traffic: &traffic, outcome: &outcome }
                .write()
                .with_context(|| format!("write results to {}", directory.display()))?;
        }
        let shown = match self.output {
            Output::Pretty => output::pretty(&traffic, &outcome, out, style),
            Output::Json => writeln!(out, "{:#}", output::document(&traffic, &outcome)),
        };
        match shown {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        if let Some(directory) = &directory {
            writeln!(messages, "results in {}", directory.display())?;
        }
        let unlearnt = outcome.differing_in_values();
        if unlearnt > 0 && !self.learn {
            writeln!(
                messages,
                "hint: {unlearnt} answers differ in values alone; --learn finds those that are new every time"
            )?;
        }
        self.exit_code(&outcome, messages)
    }

    async fn replay(&self, traffic: Arc<Traffic>) -> anyhow::Result<Ended> {
        let uses_tls = traffic.items.iter().any(|item| item.target.tls);
        let tls = Arc::new(tls::config(uses_tls, self.ca_file.as_deref())?);
        let mut signals = StopSignals::catch().context("catch signals")?;
        let mut ended = Ended::new(&traffic);
        let user = |times, first| User {
            traffic: Arc::clone(&traffic),
            tls: Arc::clone(&tls),
            timeout: self.timeout,
            ignore_bodies: self.ignore_body_changes,
            first,
            times,
            deadline: None,
        };
        if self.learn {
            tokio::select! {
                learnt = Box::pin(user(1, Arc::clone(&ended.learnt)).run()) => ended.learn(learnt),
                () = signals.recv() => bail!("interrupted while learning"),
            }
        }
        let started = Instant::now();
        let mut users = tokio::task::JoinSet::new();
        for _ in 0..self.vus {
            let deadline = self.duration.map(|duration| started + duration);
            let first = Arc::clone(&ended.first);
            users.spawn(User { deadline, ..user(self.times, first) }.run());
        }
        loop {
            tokio::select! {
                next = users.join_next() => match next {
                    Some(seen) => ended.add(seen.context("a user's task ended early")?),
                    None => break,
                },
                () = signals.recv() => bail!("interrupted"),
            }
        }
        ended.elapsed = started.elapsed();
        Ok(ended)
    }

    fn results_directory(&self) -> Option<PathBuf> {
        let usual = || snapshot::results_directory(&self.input, "replayed");
        (!self.no_out).then(|| self.out.clone().unwrap_or_else(usual))
    }

    fn exit_code(
        &self,
        outcome: &outcome::Outcome,
        messages: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let report = &outcome.report;
        let value = |condition: &Condition| report.metric(report.all(), &condition.metric);
        for condition in &self.fail_if {
            let Some(value) = value(condition).filter(|value| condition.holds(*value)) else {
                continue;
            };
            writeln!(messages, "failed: {condition} (it is {value:.2})")?;
            return Ok(ExitCode::from(1));
        }
        if outcome.nobody_answers() {
            writeln!(messages, "no request was answered: is --test-against right?")?;
            return Ok(ExitCode::from(2));
        }
        let new = outcome.verdicts.iter().filter(|verdict| verdict.is_new).count();
        if new > 0 {
            writeln!(messages, "{new} mismatches that the baseline does not have")?;
            return Ok(ExitCode::from(3));
        }
        Ok(ExitCode::SUCCESS)
    }
}
