//! One request: a recorded answer, the real host's, or none.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use weir_replay::{
    message::{Kind, Message, Reader},
    mock::{named_host, origin_form},
    target::{Target, split_port},
    wire::{self, Outgoing},
};
use weir_rrpair::text::lossless;

use super::{
    serve::{Outcome, Seen, Server, Way, refusal},
    wire::Client,
};
use crate::clock;

/// Bytes of a real host's answer that the results keep.
const KEPT_BYTES: usize = 1 << 20;

impl Server {
    /// Answers a request and says whether the connection can be used for another one.
    pub(super) async fn answer(
        &self,
        client: &mut Client,
        way: &Way,
        tls: bool,
        request: Message,
    ) -> io::Result<bool> {
        let started = Instant::now();
        let mut seen = Seen {
            outcome: Outcome::Miss,
            at: clock::now(),
            took: Duration::ZERO,
            target: target(way, tls, &request),
            request: None,
            recorded: None,
            response: None,
            status: None,
            why: None,
            error: None,
        };
        let goes_on = self.give(client, &request, &mut seen, started).await;
        seen.took = started.elapsed();
        if let Err(error) = &goes_on {
            seen.error.get_or_insert_with(|| format!("the client went away: {error}"));
        }
        seen.request = Some(request);
        self.tell(seen).await;
        goes_on
    }

    async fn give(
        &self,
        client: &mut Client,
        request: &Message,
        seen: &mut Seen,
        started: Instant,
    ) -> io::Result<bool> {
        let said = request.head.first("host").and_then(|host| std::str::from_utf8(host).ok());
        let hosts = [Some(seen.target.host.as_str()), said];
        let recorded =
            hosts.iter().flatten().find_map(|host| self.mocks.answer(host, request)).cloned();
        if let Some(recorded) = recorded
            && let Some(mut answer) = wire::answer(&recorded)
        {
            seen.outcome = Outcome::Hit;
            seen.status = u16::try_from(answer.status).ok();
            let wait = self.timing.after(Duration::from_millis(recorded.duration));
            seen.recorded = Some(Box::new(recorded));
            tokio::time::sleep_until((started + wait).into()).await;
            let line = request.request_line();
            if line.is_some_and(|line| line.version == b"1.0") {
                answer.without_chunks();
            }
            let goes_on = request.persists && !answer.closes();
            let to_head = line.is_some_and(|line| line.method == b"HEAD");
            client.send(&answer.into_bytes(to_head)).await?;
            return Ok(goes_on);
        }
        let differs = hosts.iter().flatten().map(|host| self.mocks.differs_in(host, request));
        let differs = differs.into_iter().find(|names| !names.is_empty());
        seen.why = differs.map(|names| {
            format!("the most alike recorded request differs in {}", names.join(", "))
        });
        if self.passes_through {
            seen.outcome = Outcome::PassThrough;
            return self.pass(client, request, seen).await;
        }
        let why = seen.why.take().unwrap_or_else(|| "nothing is recorded of this host".to_owned());
        seen.status = Some(404);
        client.send(&refusal("404 Not Found", &format!("no recorded answer: {why}"))).await?;
        seen.error = Some(why);
        Ok(false)
    }

    /// Sends the request to its real host and the answer back as it comes.
    async fn pass(
        &self,
        client: &mut Client,
        request: &Message,
        seen: &mut Seen,
    ) -> io::Result<bool> {
        let mut real = match self.reach(&seen.target).await {
            Ok(real) => real,
            Err(error) => {
                let error = format!("cannot connect to {}: {error}", seen.target);
                seen.status = Some(502);
                client.send(&refusal("502 Bad Gateway", &error)).await?;
                seen.error = Some(error);
                return Ok(false);
            }
        };
        let bytes = passed_on(request, &seen.target).to_bytes();
        let (mut from_real, mut to_real) = tokio::io::split(&mut real);
        let writing = async {
            let written = to_real.write_all(&bytes).await;
            if written.is_ok() {
                to_real.flush().await.ok(); // its failure shows in the answer
            }
        };
        let to_head = request.request_line().is_some_and(|line| line.method == b"HEAD");
        let mut reader = Reader::new(Kind::Response { to_head }, KEPT_BYTES);
        let reading = relay(&mut from_real, client, &mut reader);
        let ((), relayed) = tokio::join!(writing, reading);
        match relayed {
            Ok(()) => {}
            Err(Broken::Client(error)) => return Err(error),
            Err(Broken::Real(error)) => {
                let untouched = reader.is_untouched();
                let error = format!("{} gave no whole answer: {error}", seen.target);
                if untouched {
                    seen.status = Some(502);
                    client.send(&refusal("502 Bad Gateway", &error)).await?;
                }
                seen.error = Some(error);
                return Ok(false);
            }
        }
        let response = reader.take();
        seen.status = response.as_ref().and_then(Message::status);
        if seen.status == Some(101) {
            // Another protocol from here on, until either side ends it.
            tokio::io::copy_bidirectional(&mut client.stream, &mut real).await.ok();
        }
        let goes_on = response.as_ref().is_some_and(|response| response.persists);
        seen.response = response;
        Ok(goes_on && request.persists)
    }
}

enum Broken {
    Client(io::Error),
    Real(io::Error),
}

async fn relay(
    real: &mut (impl tokio::io::AsyncRead + Unpin),
    client: &mut Client,
    reader: &mut Reader,
) -> Result<(), Broken> {
    let mut buffer = vec![0; 16 * 1024];
    while !reader.is_complete() {
        let count = real.read(&mut buffer).await.map_err(Broken::Real)?;
        if count == 0 {
            return reader.end().map_err(|error| Broken::Real(io::Error::other(error)));
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        let taken = reader.feed(bytes).map_err(|error| Broken::Real(io::Error::other(error)))?;
        client.send(bytes.get(..taken).unwrap_or_default()).await.map_err(Broken::Client)?;
    }
    Ok(())
}

/// Where a request goes.
fn target(way: &Way, tls: bool, request: &Message) -> Target {
    match way {
        Way::Fixed(target) => target.clone(),
        Way::Tunnel(target) => Target { tls, ..target.clone() },
        Way::Proxy => {
            let named = request.request_line().and_then(|line| named_host(line.target));
            let (tls, authority) =
                named.unwrap_or_else(|| (tls, request.head.first("host").unwrap_or_default()));
            let authority = lossless(authority).0;
            let (host, port) = split_port(&authority);
            let own = if tls { 443 } else { 80 };
            let port = port.and_then(|port| port.parse().ok()).unwrap_or(own);
            Target { tls, host: host.to_owned(), port }
        }
    }
}

/// The request as a client without a proxy would have sent it.
fn passed_on(request: &Message, target: &Target) -> Outgoing {
    let mut outgoing = Outgoing::from_message(request);
    if let Some(line) = request.request_line() {
        let path = origin_form(line.target);
        let slash: &[u8] = if path.starts_with(b"?") { b"/" } else { b"" };
        let start = [line.method, b" ", slash, path, b" HTTP/", line.version].concat();
        outgoing.head.set_start(&start);
    }
    for name in ["Proxy-Connection", "Proxy-Authorization", "Expect"] {
        outgoing.head.remove(name);
    }
    if outgoing.head.first("host").is_none() {
        outgoing.head.push_first("Host", target.authority().as_bytes());
    }
    outgoing
}
