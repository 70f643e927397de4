//! From a directory to requests in the order in which they were recorded.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    path::Path,
};

use weir_replay::{
    carry::{Minting, Sent, sends_any},
    compare::{Answer, Change, changes},
    head::Head,
    target::{Against, Target},
    wire::{self, Outgoing},
};
use weir_rrpair::{Direction, RrPair};

use crate::snapshot;

/// One request to send.
pub(super) struct Item {
    pub(super) record: RrPair,
    /// The request as it goes out, unless it carries what the server has minted anew.
    pub(super) bytes: Vec<u8>,
    /// Its parts, when it may carry such values.
    pub(super) carrier: Option<Outgoing>,
    pub(super) target: Target,
    /// Method and path, as the report groups by.
    pub(super) endpoint: String,
    /// Number of the recorded connection together with the target.
    pub(super) lane: usize,
    /// No later request is on that lane.
    pub(super) is_last: bool,
    pub(super) to_head: bool,
    /// Head of the recorded answer, when later requests send values that this answer mints.
    pub(super) minting_head: Option<Head>,
}

/// Everything that is sent.
pub(super) struct Traffic {
    pub(super) items: Vec<Item>,
    pub(super) sent: Sent,
    pub(super) left_out: LeftOut,
}

/// Records that are not sent, by reason.
#[derive(Default)]
pub(super) struct LeftOut(pub(super) BTreeMap<String, usize>);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is no RRPair");
        }
        let reasons: Vec<_> =
            self.0.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
        f.write_str(&reasons.join(", "))
    }
}

impl Item {
    /// The recorded answer's body.
    pub(super) fn recorded_body(&self) -> &[u8] {
        let response = self.record.http.as_ref().and_then(|http| http.res.as_ref());
        response.map(|response| response.body.0.as_slice()).unwrap_or_default()
    }

    /// The recorded answer, to be compared with.
    pub(super) fn answer(&self) -> Answer<'_> {
        let response = self.record.http.as_ref().and_then(|http| http.res.as_ref());
        let cut = self.record.tags.value("truncated").is_some_and(|side| side != "request");
        let cut = cut || response.is_some_and(|response| response.extra.contains_key("bodyBytes"));
        let codings = response.and_then(|response| response.headers.first("Content-Encoding"));
        Answer {
            status: self.record.status.parse().unwrap_or_default(),
            codings: codings.unwrap_or_default(),
            body: response.filter(|_| !cut).map(|response| response.body.0.as_slice()),
        }
    }
}

impl Traffic {
    pub(super) fn load(
        directory: &Path,
        against: &[Against],
        rewrite_host: bool,
    ) -> anyhow::Result<Self> {
        let mut records: Vec<_> =
            snapshot::read::records(directory)?.into_iter().map(|(_, record)| record).collect();
        records.sort_by_key(|record| (record.ts, record.uuid.0));
        let mut traffic =
            Self { items: Vec::new(), sent: Sent::default(), left_out: LeftOut::default() };
        let mut lanes = Lanes::default();
        for record in records {
            match item(record, against, rewrite_host, &mut lanes) {
                Ok(item) => traffic.items.push(item),
                Err(reason) => *traffic.left_out.0.entry(reason).or_default() += 1,
            }
        }
        let mut seen = BTreeSet::new();
        for item in traffic.items.iter_mut().rev() {
            item.is_last = seen.insert(item.lane);
        }
        traffic.find_carriers();
        Ok(traffic)
    }

    /// Most requests carry nothing and most answers mint nothing that is sent later: those are
    /// told here, once.
    fn find_carriers(&mut self) {
        for request in self.items.iter().filter_map(|item| item.carrier.as_ref()) {
            self.sent.note(request);
        }
        let mut minted = HashSet::new();
        for item in &mut self.items {
            let head = Head::from_raw(&wire::response(&item.record, true).unwrap_or_default());
            let values = self.sent.minted_by(Minting { head: &head, body: item.recorded_body() });
            let values: Vec<_> = values.collect();
            item.minting_head = (!values.is_empty()).then_some(head);
            minted.extend(values);
        }
        for item in &mut self.items {
            item.carrier = item.carrier.take().filter(|request| sends_any(request, &minted));
        }
    }

    /// Where requests go, for people.
    pub(super) fn targets(&self) -> String {
        let targets: BTreeSet<_> = self.items.iter().map(|item| &item.target).collect();
        let shown: Vec<_> = targets.iter().take(5).map(ToString::to_string).collect();
        let more = if targets.len() > shown.len() { " and more" } else { "" };
        format!("{}{more}", shown.join(", "))
    }

    /// What differs between recorded answers to the same request.
    pub(super) fn recorded_twice(&self) -> Vec<(String, Vec<Change>)> {
        let mut first: HashMap<&[u8], &Item> = HashMap::new();
        let mut found = Vec::new();
        for item in &self.items {
            let other = *first.entry(&item.bytes).or_insert(item);
            if !std::ptr::eq(other, item) && other.record.status == item.record.status {
                found.push((item.endpoint.clone(), changes(other.answer(), item.answer())));
            }
        }
        found
    }
}

/// Numbers of connections and lanes.
#[derive(Default)]
struct Lanes {
    connections: HashMap<(String, u64), usize>,
    lanes: HashMap<(usize, Target), usize>,
}

impl Lanes {
    fn of(&mut self, record: &RrPair, target: &Target) -> usize {
        let connection = match &record.netinfo {
            Some(netinfo) => {
                (record.tags.value("k8sAppPodName").unwrap_or_default().to_owned(), netinfo.id)
            }
            // Nobody says which: those of one client share one.
            None => (record.session.clone().unwrap_or_default(), 0),
        };
        let count = self.connections.len();
        let connection = *self.connections.entry(connection).or_insert(count);
        let count = self.lanes.len();
        *self.lanes.entry((connection, target.clone())).or_insert(count)
    }
}

fn item(
    record: RrPair,
    against: &[Against],
    rewrite_host: bool,
    lanes: &mut Lanes,
) -> Result<Item, String> {
    if record.direction == Direction::Out {
        return Err("a call that the service makes (direction OUT)".to_owned());
    }
    let mut request = wire::request(&record).map_err(|reason| reason.to_string())?;
    let target = against.iter().find_map(|against| against.apply(&record));
    let target =
        target.ok_or_else(|| format!("no --test-against for the service {}", record.service))?;
    if rewrite_host {
        request.head.set("Host", target.authority().as_bytes());
    }
    Ok(Item {
        lane: lanes.of(&record, &target),
        endpoint: format!("{} {}", record.command, record.location),
        bytes: request.to_bytes(),
        carrier: Some(request),
        target,
        is_last: false,
        to_head: record.command == "HEAD",
        minting_head: None,
        record,
    })
}
