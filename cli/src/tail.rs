//! `weir tail`: RRPairs as they come in, in a terminal, and written nowhere.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_rrpair::json::object_to_compact_ascii;

use crate::{
    browse::question::Question,
    receiver::{Batch, Receiver, ReceiverConfig, Stored},
    run::time,
    signals::StopSignals,
    style::Style,
    view::View,
};

/// Requests that wait for the terminal before senders are held back.
const WAITING_BATCHES: usize = 64;

/// Show RRPairs as they come in over OTLP. Nothing is written.
///
/// Give an Exporter, or an exporter of your own collector, this address. Prints the lines of
/// `weir collect`, or the documents, one a line. Ends at SIGINT, SIGTERM, after --for, or after
/// --limit pairs.
///
/// Exit status: 0 pairs were shown, 1 none came that the filter selects, 2 it could not listen.
#[derive(Args, Debug)]
pub struct TailCommand {
    /// Where OTLP/gRPC is received; port 0 lets the system choose.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4317")]
    listen_grpc: String,
    /// Where OTLP/HTTP is received (protobuf or JSON, POST /v1/logs).
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4318")]
    listen_http: String,
    /// Show only what this selects; it says the same as in the filter box of `weir web`: words,
    /// such as 'status:5xx service:shop', CEL, or the reference's query language.
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// What is printed of each pair.
    #[arg(long, short, value_enum, default_value_t)]
    output: Form,
    /// End after this many pairs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// End after this time, such as 30s or 5m.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// Largest request in bytes, also after decompression.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_request_bytes: usize,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    #[default]
    Lines,
    /// The documents, one a line: JSONL, which every command reads.
    Json,
}

/// Prints what it is told to.
struct Shower<W> {
    out: W,
    style: Style,
    question: Question,
    form: Form,
    limit: Option<u64>,
    shown: u64,
}

impl TailCommand {
    /// Runs until told to end. What it says of itself goes to stderr, so that stdout holds the
    /// pairs alone.
    ///
    /// # Errors
    ///
    /// When a port cannot be used, or the filter is none.
    pub fn run(self, out: impl Write + Send + 'static, style: Style) -> anyhow::Result<ExitCode> {
        let question =
            Question::parse(&self.filter).map_err(|fault| anyhow::anyhow!("--filter: {fault}"))?;
        let shower =
            Shower { out, style, question, form: self.output, limit: self.limit, shown: 0 };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("start the runtime")?;
        let shown = runtime.block_on(self.tail(shower))?;
        Ok(ExitCode::from(u8::from(shown == 0)))
    }

    async fn tail<W: Write + Send + 'static>(&self, shower: Shower<W>) -> anyhow::Result<u64> {
        let config = ReceiverConfig {
            grpc: self.listen_grpc.clone(),
            http: self.listen_http.clone(),
            max_request_bytes: self.max_request_bytes,
        };
        let receiver = Receiver::bind(&config).await?;
        let mut signals = StopSignals::catch().context("catch signals")?;
        let mut messages = io::stderr();
        writeln!(messages, "listening for OTLP/gRPC on {}", receiver.grpc_address())?;
        writeln!(messages, "listening for OTLP/HTTP on {}", receiver.http_address())?;
        let stop = CancellationToken::new();
        let (batches, waiting) = mpsc::channel(WAITING_BATCHES);
        let done = stop.clone();
        let showing = tokio::task::spawn_blocking(move || {
            let shown = shower.show(waiting);
            done.cancel(); // the limit is reached, or nobody reads any more
            shown
        });
        let receiving = tokio::spawn(receiver.serve(batches, stop.clone()));
        tokio::select! {
            () = signals.recv() => {}
            () = sleep(self.time) => {}
            () = stop.cancelled() => {}
        }
        signals.exit_on_next();
        stop.cancel();
        receiving.await.context("receive")?;
        showing.await.context("show")?.context("print a pair")
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

impl<W: Write> Shower<W> {
    /// Shows pairs until the channel is closed or the limit is reached; how many these were.
    fn show(mut self, mut batches: mpsc::Receiver<Batch>) -> io::Result<u64> {
        while let Some(batch) = batches.blocking_recv() {
            let shown = self.batch(&batch);
            batch.reply.send(Ok(Stored::default())).ok(); // whoever went away does not wait
            match shown {
                Ok(()) if self.is_full() => break,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.shown)
    }

    fn batch(&mut self, batch: &Batch) -> io::Result<()> {
        for pair in batch.pairs.iter().filter(|pair| self.question.selects(&pair.body)) {
            if self.limit.is_some_and(|limit| self.shown >= limit) {
                break;
            }
            match self.form {
                Form::Lines => writeln!(self.out, "{}", View::new(&pair.body).line(self.style))?,
                Form::Json => writeln!(self.out, "{}", object_to_compact_ascii(&pair.body))?,
            }
            self.shown += 1;
        }
        self.out.flush()
    }

    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.shown >= limit)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::sync::oneshot;

    use super::*;
    use crate::receiver::Pair;

    fn pair(number: u32, status: &str) -> Pair {
        let body = json!({
            "direction": "IN", "service": "shop", "status": status, "command": "GET",
            "ts": "2026-09-01T10:00:00.000000000Z", "location": format!("/{number}"),
            "http": { "req": { "method": "GET", "url": format!("/{number}"), "uri": format!("/{number}"), "host": "h" },
                "res": { "statusCode": status.parse::<u32>().unwrap() } },
        });
        let Value::Object(body) = body else { unreachable!() };
        Pair { body, time_ns: 0 }
    }

    fn show(filter: &str, form: Form, limit: Option<u64>) -> (u64, String) {
        let (sender, batches) = mpsc::channel(4);
        let mut replies = Vec::new();
        for pairs in [vec![pair(1, "200"), pair(2, "500")], vec![pair(3, "503")]] {
            let (reply, answer) = oneshot::channel();
            sender.try_send(Batch { pairs, reply }).unwrap();
            replies.push(answer);
        }
        drop(sender);
        let question = Question::parse(filter).unwrap();
        let mut out = Vec::new();
        let shower = Shower { out: &mut out, style: Style::PLAIN, question, form, limit, shown: 0 };
        let shown = shower.show(batches).unwrap();
        assert_eq!(replies[0].try_recv().unwrap(), Ok(Stored::default()), "senders are answered");
        (shown, String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_kind_of_filter_selects_what_is_shown() {
        assert_eq!(show("", Form::Lines, None).0, 3);
        assert_eq!(show("status:5xx !503", Form::Lines, None).0, 1);
        assert_eq!(show("http.res.statusCode >= 500", Form::Lines, None).0, 2);
        assert_eq!(show("(status IS \"503\")", Form::Lines, None).0, 1);
        assert!(Question::parse("status ==").is_err());
    }

    #[test]
    fn documents_come_one_a_line_and_no_more_than_wanted() {
        let (shown, text) = show("", Form::Json, Some(2));
        assert_eq!((shown, text.lines().count()), (2, 2));
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["location"], "/1");
    }
}
