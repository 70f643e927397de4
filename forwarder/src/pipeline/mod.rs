//! From the events of dissected connections to encoded records in the exporters' queues.

mod budget;
mod facts;
mod outbox;
mod policies;
mod router;

use std::{sync::Arc, time::Duration};

use weir_abi::Role;
use weir_dissect::{
    Event, Exchange,
    record::{self, Stamp},
};
use weir_plan::{CapturePlan, ObjectKey, PolicyPlan};
use weir_rrpair::{Raw, Redacted, RrPair, model::Text};

use self::router::{Router, Target};
pub(crate) use self::{
    facts::Facts,
    outbox::{ActiveExporter, Outbox},
    policies::Passage,
    router::{CaptureSet, Side},
};
use crate::{
    attribution::Workload,
    export::is_marked,
    ledger::{CaptureCounts, NodeCounts, TlsNews},
    queue::ShedReason,
};

/// The plan as the reader carries it out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Active {
    /// Grows with each plan.
    pub(crate) version: u64,
    pub(crate) captures: Vec<CapturePlan>,
    pub(crate) exporters: Vec<ActiveExporter>,
    pub(crate) policies: Vec<PolicyPlan>,
}

/// Counts that the reader writes and the ledger reads.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) node: NodeCounts,
    /// Every capture since the start.
    pub(crate) captures: Vec<(ObjectKey, CaptureCounts)>,
}

impl Book {
    /// Place of the capture's counts.
    fn page(&mut self, key: &ObjectKey) -> usize {
        let known = self.captures.iter().position(|(known, _)| known == key);
        known.unwrap_or_else(|| {
            self.captures.push((key.clone(), CaptureCounts::default()));
            self.captures.len() - 1
        })
    }
}

/// What is the same for all records of this forwarder.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: String,
    /// `proxyVersion` of records.
    pub(crate) version: Text,
    /// Random; the records' ids are derived from it.
    pub(crate) nonce: [u8; 16],
}

/// The reader's part of all exporters' pipelines.
#[derive(Debug)]
pub(crate) struct Pipeline {
    identity: Identity,
    router: Router,
    outboxes: Vec<Outbox>,
    stamp: Stamp,
    /// Time of export of the records that are being made.
    observed_ns: u64,
    /// Bytes of the record at hand, when several exporters take it.
    encoded: Vec<u8>,
    /// Targets that want the record at hand, by their place in its set.
    wanting: Vec<usize>,
}

impl Pipeline {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            stamp: Stamp { sequence: 0, nonce: identity.nonce },
            identity,
            router: Router::default(),
            outboxes: Vec::new(),
            observed_ns: 0,
            encoded: Vec::new(),
            wanting: Vec::new(),
        }
    }

    /// Takes a new plan over, between two drains.
    pub(crate) fn apply(&mut self, active: &Active, book: &mut Book, now_ns: u64) {
        self.outboxes = active.exporters.iter().cloned().map(Outbox::new).collect();
        self.router.apply(active, book, now_ns);
    }

    /// Once a second.
    pub(crate) fn tick(&mut self, book: &mut Book, now_ns: u64, elapsed: Duration) {
        self.router.tick(book, now_ns, elapsed);
    }

    /// Before a drain: time of export of the records to come.
    pub(crate) const fn observe(&mut self, observed_ns: u64) {
        self.observed_ns = observed_ns;
    }

    /// After a drain: hands over to the queues.
    pub(crate) fn flush(&mut self) {
        self.outboxes.iter_mut().for_each(Outbox::flush);
    }

    /// Changes whenever an answer of [`Pipeline::route`] may have changed.
    pub(crate) const fn generation(&self) -> u64 {
        self.router.generation()
    }

    /// The captures of `workload` that want this side of a connection.
    pub(crate) fn route(&mut self, workload: &Workload, side: Side) -> Option<Arc<CaptureSet>> {
        self.router.route(workload, side, &mut self.outboxes)
    }

    /// Takes one event of the connection with these facts.
    pub(crate) fn event(&mut self, facts: &mut Facts, event: Event, book: &mut Book) {
        let role = match &event {
            Event::Exchange(exchange) => exchange.role,
            _ => facts.role(),
        };
        if matches!(event, Event::Exchange(_)) && facts.captures(role).next().is_none() {
            book.node.unwanted_pairs += 1;
            return;
        }
        if let Event::Exchange(exchange) = &event
            && is_marked(exchange)
        {
            book.node.own_pairs += 1;
            return;
        }
        book.node.decoded.note(&event);
        for set in facts.captures(role) {
            for page in self.router.pages(&set.captures) {
                if let Some((_, counts)) = book.captures.get_mut(page) {
                    counts.decoded.note(&event);
                }
            }
        }
        if let Event::Exchange(exchange) = event {
            self.exchange(facts, *exchange, book);
        }
    }

    /// Takes news of the encrypted connection with these facts.
    pub(crate) fn tls(&mut self, facts: &Facts, news: TlsNews, book: &mut Book) {
        book.node.decoded.tls.note(news);
        for set in facts.captures(facts.role()) {
            for page in self.router.pages(&set.captures) {
                if let Some((_, counts)) = book.captures.get_mut(page) {
                    counts.decoded.tls.note(news);
                    let service = &facts.workload.service;
                    counts.tls_containers.note(service, facts.cgroup_id, news);
                }
            }
        }
    }

    fn exchange(&mut self, facts: &mut Facts, exchange: Exchange, book: &mut Book) {
        let Some(set) = facts.captures(exchange.role).next().cloned() else { return };
        let message_bytes = message_bytes(&exchange);
        let (clock, server) = (facts.clock(), exchange.role == Role::Server);
        let origin = facts.origin(&self.identity, server);
        self.stamp.sequence += 1;
        let Some(Raw(pair)) = record::raw(exchange, origin, self.stamp, |ns| clock.wall(ns)) else {
            // A response alone; it was counted as such.
            return;
        };
        let session = (pair.session.as_deref(), &pair.uuid);
        let outboxes = &mut self.outboxes;
        let kept = self.router.decide(&set, session, message_bytes, book, outboxes);
        let Some(kept) = kept else { return };
        self.deliver(&kept, pair, book);
    }

    /// Filters the record as it is for each exporter, then redacts it once for all that have
    /// the same policies.
    fn deliver(&mut self, kept: &CaptureSet, pair: RrPair, book: &mut Book) {
        self.wanting.clear();
        for (index, target) in kept.targets.iter().enumerate() {
            if let Some(outbox) = self.outboxes.get_mut(target.place)
                && outbox.wants(target.route, &pair)
            {
                self.wanting.push(index);
            }
        }
        let mut pair = Some(pair);
        while let Some(first) = self.wanting.first().and_then(|index| kept.targets.get(*index)) {
            let alike = |index: &usize| {
                kept.targets.get(*index).is_some_and(|target| target.passage.is(&first.passage))
            };
            let group: Vec<usize> = self.wanting.iter().copied().filter(alike).collect();
            self.wanting.retain(|index| !group.contains(index));
            let last = self.wanting.is_empty();
            let Some(raw) = (if last { pair.take() } else { pair.clone() }) else { return };
            let passed = pass(&first.passage, Raw(raw), book);
            self.encoded.clear();
            for index in &group {
                let Some(Target { place, route, .. }) = kept.targets.get(*index) else { continue };
                let Some(outbox) = self.outboxes.get_mut(*place) else { continue };
                match &passed {
                    Ok(record) => outbox.offer(
                        *route,
                        record,
                        self.observed_ns,
                        &mut self.encoded,
                        group.len() > 1,
                    ),
                    Err(reason) => outbox.shed(*route, *reason),
                }
            }
        }
    }
}

/// The record as it may leave, or why it may not.
fn pass(passage: &Passage, raw: Raw, book: &mut Book) -> Result<Redacted, ShedReason> {
    let counts = &mut book.node.redaction;
    match passage {
        Passage::Open => Ok(weir_dlp::unrestricted(raw)),
        Passage::Closed => Err(ShedReason::PolicyMissing),
        Passage::Through(redactor) => {
            counts.records += 1;
            match redactor.redact(raw) {
                Ok(outcome) => {
                    counts.modified += u64::from(outcome.modified);
                    for (category, hits) in outcome.hits {
                        *counts.values.entry(category).or_default() += hits;
                    }
                    Ok(outcome.record)
                }
                Err(error) => {
                    tracing::error!(%error, "record given up");
                    counts.failed += 1;
                    Err(ShedReason::RedactionFailed)
                }
            }
        }
    }
}

/// Bytes of both messages as far as they are kept.
fn message_bytes(exchange: &Exchange) -> u64 {
    let request = exchange
        .request
        .as_ref()
        .map_or(0, |message| message.head.lines.raw().len() + message.body.kept.len());
    let response = exchange
        .response
        .as_ref()
        .map_or(0, |message| message.head.lines.raw().len() + message.body.kept.len());
    (request + response) as u64
}
