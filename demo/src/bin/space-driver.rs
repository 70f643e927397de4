//! Sends the demo's list of requests through the gateway and writes down what it sent and got.
//!
//! It opens its connections and makes one request on each (so that the gateway's own connections
//! exist too), prints `warm` and waits for a line on its standard input. What is captured
//! afterwards happens on connections that are older than the capture.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use weir_demo::exchange::{self, Exchange, HOP_HEADER, ID_HEADER, Journal};
use weir_demo::http1::{Pieces, collect};
use weir_demo::requests::{self, Planned};

const WORKERS: usize = 8;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("tie to the parent process")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gateway, journal] = arguments.as_slice() else {
        anyhow::bail!("usage: space-driver GATEWAY JOURNAL");
    };
    let gateway: SocketAddr = gateway.parse().context("parse gateway address")?;
    let journal = Arc::new(Journal::create(Path::new(journal))?);

    let mut workers: Vec<Worker> = Vec::new();
    for _ in 0..WORKERS {
        workers.push(Worker::connect(gateway).await?);
    }
    let together = Arc::new(Barrier::new(WORKERS));
    let mut warming = JoinSet::new();
    for (at, mut worker) in workers.into_iter().enumerate() {
        let together = Arc::clone(&together);
        warming.spawn(async move {
            together.wait().await;
            worker.warm(at).await?;
            Ok::<_, anyhow::Error>(worker)
        });
    }
    let mut workers = Vec::new();
    while let Some(warmed) = warming.join_next().await {
        workers.push(warmed.context("join worker")??);
    }
    say("warm")?;
    let stdin = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    stdin.await.context("join reader")?.context("read standard input")?;

    let list = requests::list();
    let total = list.len();
    let mut shares: Vec<Vec<(usize, Planned)>> = vec![Vec::new(); WORKERS];
    for (at, planned) in list.into_iter().enumerate() {
        shares[at % WORKERS].push((at + 1, planned));
    }
    let mut running = JoinSet::new();
    for (mut worker, share) in workers.into_iter().zip(shares) {
        let journal = Arc::clone(&journal);
        running.spawn(async move {
            for (number, planned) in share {
                journal.write(&worker.send(format!("req-{number:04}"), planned).await?)?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.context("join worker")??;
    }
    say(&format!("sent {total} requests"))
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("write to standard output")
}

/// One keep-alive connection.
struct Worker {
    connection: SendRequest<Pieces>,
    host: String,
}

impl Worker {
    async fn connect(gateway: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(gateway).await.context("connect to the gateway")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        let (connection, driving) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("begin")?;
        tokio::spawn(driving);
        Ok(Self { connection, host: gateway.to_string() })
    }

    async fn warm(&mut self, at: usize) -> anyhow::Result<()> {
        let planned = requests::warm_up();
        self.send(format!("warm-{at}"), planned).await.map(drop)
    }

    async fn send(&mut self, id: String, planned: Planned) -> anyhow::Result<Exchange> {
        let mut request = Request::builder()
            .method(planned.method)
            .uri(planned.target.as_str())
            .header("host", &self.host)
            .header("user-agent", "space-driver/1")
            .header(ID_HEADER, &id)
            .header(HOP_HEADER, "0");
        for (name, value) in &planned.headers {
            request = request.header(*name, *value);
        }
        let body = match planned.chunk_bytes {
            Some(chunk_bytes) => Pieces::chunked(planned.body.clone(), chunk_bytes),
            None => Pieces::whole(planned.body.clone()),
        };
        let request = request.body(body).context("make request")?;
        self.connection.ready().await.context("wait for the connection")?;
        let response = self.connection.send_request(request).await;
        let (head, body) = response.with_context(|| format!("send {id}"))?.into_parts();
        let body = collect(body).await.with_context(|| format!("receive {id}"))?;
        anyhow::ensure!(
            head.status == planned.status,
            "{id}: {} {} answered {}, not {}",
            planned.method,
            planned.target,
            head.status,
            planned.status
        );
        Ok(Exchange {
            id,
            hop: 0,
            server: "gateway".to_owned(),
            method: planned.method.to_owned(),
            target: planned.target,
            request_body: exchange::Bytes(planned.body),
            status: head.status.as_u16(),
            response_body: exchange::Bytes(body.to_vec()),
            probe: planned.probe,
        })
    }
}
