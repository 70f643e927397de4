//! One user: sends all requests in order, one after the other.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ClientConfig;
use weir_replay::{
    carry::{Carried, Minting},
    message::Message,
    target::Target,
};

use super::{
    connection::{Connection, NoAnswer},
    load::{Item, Traffic},
};

pub(super) struct User {
    pub(super) traffic: Arc<Traffic>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) timeout: Duration,
    pub(super) times: u32,
    /// When to end; `times` does not count then.
    pub(super) deadline: Option<Instant>,
}

/// How one request went.
pub(super) struct Seen {
    /// Place in the traffic.
    pub(super) item: usize,
    pub(super) latency: Duration,
    pub(super) answer: Result<Message, String>,
    /// Values put in place of recorded ones.
    pub(super) carried: usize,
}

type Pool = HashMap<(usize, Target), Connection>;

impl User {
    pub(super) async fn run(self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut round = 0;
        while self.goes_on(round) {
            let mut pool = Pool::new();
            let mut carried = Carried::default();
            for (number, item) in self.traffic.items.iter().enumerate() {
                if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return seen;
                }
                seen.push(self.send(number, item, &mut pool, &mut carried).await);
            }
            round += 1;
        }
        seen
    }

    fn goes_on(&self, round: u32) -> bool {
        match self.deadline {
            Some(deadline) => Instant::now() < deadline,
            None => round < self.times,
        }
    }

    async fn send(
        &self,
        number: usize,
        item: &Item,
        pool: &mut Pool,
        carried: &mut Carried,
    ) -> Seen {
        let mut request = item.request.clone();
        let replaced = carried.apply(&mut request);
        let bytes = request.to_bytes();
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout, self.exchange(item, &bytes, pool)).await;
        let answer = answer.unwrap_or(Err(NoAnswer::Timeout(self.timeout)));
        let latency = started.elapsed();
        if let Ok(message) = &answer {
            let response = item.record.http.as_ref().and_then(|http| http.res.as_ref());
            let body = response.map(|response| response.body.0.as_slice()).unwrap_or_default();
            let recorded = Minting { head: &item.answer_head, body };
            let observed = Minting { head: &message.head, body: &message.body };
            carried.learn(&self.traffic.sent, recorded, observed);
        }
        let answer = answer.map_err(|error| error.to_string());
        Seen { item: number, latency, answer, carried: replaced }
    }

    /// On the connection that stands for the recorded one.
    async fn exchange(
        &self,
        item: &Item,
        bytes: &[u8],
        pool: &mut Pool,
    ) -> Result<Message, NoAnswer> {
        let key = (item.connection, item.target.clone());
        let mut connection = match pool.remove(&key) {
            Some(connection) => connection,
            None => Connection::open(&item.target, &self.tls).await?,
        };
        let answer = match connection.exchange(bytes, item.to_head).await {
            // The server had ended it while it was idle: nobody has seen the request.
            Err(NoAnswer::Closed) if connection.is_used => {
                connection = Connection::open(&item.target, &self.tls).await?;
                connection.exchange(bytes, item.to_head).await
            }
            answer => answer,
        }?;
        if answer.persists && !item.is_last {
            pool.insert(key, connection);
        }
        Ok(answer)
    }
}
