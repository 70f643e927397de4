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
};

use super::{
    connection::{BUFFER_BYTES, Connection, NoAnswer},
    load::{Item, Traffic},
    tally::{First, Tally},
};

pub(super) struct User {
    pub(super) traffic: Arc<Traffic>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) timeout: Duration,
    pub(super) times: u32,
    pub(super) ignore_bodies: bool,
    /// The first answer to each request, of all users.
    pub(super) first: First,
    /// When to end; `times` does not count then.
    pub(super) deadline: Option<Instant>,
}

/// Open connections by lane, and what they all read through.
struct Pool {
    open: HashMap<usize, Connection>,
    buffer: Box<[u8]>,
}

impl User {
    pub(super) async fn run(self) -> Tally {
        let mut tally = Tally::new(Arc::clone(&self.first), self.ignore_bodies);
        let mut pool = Pool { open: HashMap::new(), buffer: vec![0; BUFFER_BYTES].into() };
        let mut round = 0;
        while self.goes_on(round) {
            pool.open.clear();
            let mut carried = Carried::default();
            for (number, item) in self.traffic.items.iter().enumerate() {
                if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return tally;
                }
                let (latency, answer) = self.send(item, &mut pool, &mut carried, &mut tally).await;
                tally.add(number, item, latency, answer);
            }
            round += 1;
        }
        tally
    }

    fn goes_on(&self, round: u32) -> bool {
        match self.deadline {
            Some(deadline) => Instant::now() < deadline,
            None => round < self.times,
        }
    }

    async fn send(
        &self,
        item: &Item,
        pool: &mut Pool,
        carried: &mut Carried,
        tally: &mut Tally,
    ) -> (Duration, Result<Message, NoAnswer>) {
        let mut changed = None;
        if let Some(request) = item.carrier.as_ref().filter(|_| !carried.is_empty()) {
            let mut request = request.clone();
            tally.carried += carried.apply(&mut request);
            changed = Some(request.to_bytes());
        }
        let bytes = changed.as_deref().unwrap_or(&item.bytes);
        let started = Instant::now();
        let answer = tokio::time::timeout(self.timeout, self.exchange(item, bytes, pool)).await;
        let answer = answer.unwrap_or(Err(NoAnswer::Timeout(self.timeout)));
        let latency = started.elapsed();
        if let (Ok(message), Some(head)) = (&answer, &item.minting_head) {
            let recorded = Minting { head, body: item.recorded_body() };
            let observed = Minting { head: &message.head, body: &message.body };
            carried.learn(&self.traffic.sent, recorded, observed);
        }
        (latency, answer)
    }

    /// On the connection that stands for the recorded one.
    async fn exchange(
        &self,
        item: &Item,
        bytes: &[u8],
        pool: &mut Pool,
    ) -> Result<Message, NoAnswer> {
        let Pool { open, buffer } = pool;
        let mut connection = match open.remove(&item.lane) {
            Some(connection) => connection,
            None => Connection::open(&item.target, &self.tls).await?,
        };
        let answer = match connection.exchange(bytes, item.to_head, buffer).await {
            // The server had ended it while it was idle: nobody has seen the request.
            Err(NoAnswer::Closed) if connection.is_used => {
                connection = Connection::open(&item.target, &self.tls).await?;
                connection.exchange(bytes, item.to_head, buffer).await
            }
            answer => answer,
        }?;
        if answer.persists && !item.is_last {
            open.insert(item.lane, connection);
        }
        Ok(answer)
    }
}
