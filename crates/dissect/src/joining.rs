//! A connection older than its capture: who asks and where messages begin is not known yet.

use weir_abi::{Direction, Role};

use crate::{
    detect,
    event::UndecodableReason,
    head::{
        RequestHead, ResponseHead,
        kind::{HeadKind, Start},
    },
    http1::requests_between,
    limits::Limits,
    place::Place,
};

/// Runs that may pass before the connection counts as one of an unknown protocol.
const MAX_RUNS: u32 = 16;

/// Waits for a run that begins with a start line, which tells both.
#[derive(Debug)]
pub(crate) struct Joining {
    /// Expected positions of ingress and egress.
    pub(crate) next: [u64; 2],
    /// First bytes of the run at hand, as long as they may become a start line.
    held: Option<Held>,
    last_run: Option<u32>,
    runs: u32,
    /// Exchanges that vanished, if requests lie in even runs, and if they lie in odd ones.
    vanished: [u64; 2],
    skipped_bytes: u64,
}

pub(crate) struct Held {
    pub(crate) place: Place,
    pub(crate) bytes: Vec<u8>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} bytes)", self.bytes.len())
    }
}

/// What a record made certain.
pub(crate) enum Found {
    Nothing,
    /// The held bytes begin an HTTP/1 message; the rest of the record follows.
    Http1 {
        role: Role,
        held: Held,
        vanished: u64,
    },
    Opaque(UndecodableReason),
}

impl Joining {
    pub(crate) fn new() -> Self {
        Self {
            next: [0; 2],
            held: None,
            last_run: None,
            runs: 0,
            vanished: [0; 2],
            skipped_bytes: 0,
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes.len())
    }

    /// Takes a data record that is not a repetition. Also says how many of its bytes are in
    /// what was found.
    pub(crate) fn data(&mut self, place: Place, bytes: &[u8], limits: &Limits) -> (usize, Found) {
        self.arrive(place);
        self.next[place.direction as usize] = place.position.saturating_add(bytes.len() as u64);
        if self.runs > MAX_RUNS {
            return (0, Found::Opaque(UndecodableReason::UnknownProtocol));
        }
        if place.begins_run {
            self.held = Some(Held { place, bytes: Vec::new() });
        }
        let Some(held) = &mut self.held else {
            self.skip(bytes.len());
            return (bytes.len(), Found::Nothing);
        };
        let line_end = memchr::memchr(b'\n', bytes);
        let taken = line_end.map_or(bytes.len(), |end| end + 1);
        if held.bytes.len() + taken > limits.max_head_bytes {
            self.drop_held();
            self.skip(bytes.len());
            return (bytes.len(), Found::Nothing);
        }
        held.bytes.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if detect::is_tls_record(&held.bytes) {
            return (taken, Found::Opaque(UndecodableReason::Tls));
        }
        match judge(&held.bytes, line_end.is_some()) {
            Ok(Some(asking)) => (taken, self.found(asking)),
            Ok(None) => (taken, Found::Nothing),
            Err(reason @ UndecodableReason::Http2) => (taken, Found::Opaque(reason)),
            Err(_) => {
                self.drop_held();
                self.skip(bytes.len() - taken);
                (bytes.len(), Found::Nothing)
            }
        }
    }

    /// Takes a hole record that is not a repetition.
    pub(crate) fn hole(&mut self, place: Place, length: u64) {
        self.arrive(place);
        self.drop_held();
        self.next[place.direction as usize] = place.position.saturating_add(length);
    }

    /// Exchanges that vanished when `run` is the last one and requests lie in even runs.
    pub(crate) fn vanished_until(&self, run: u32) -> u64 {
        let last = self.last_run.map_or(-1, i64::from);
        self.vanished[0].saturating_add(requests_between(last, i64::from(run), 0))
    }

    /// No record came.
    pub(crate) fn is_silent(&self) -> bool {
        self.last_run.is_none()
    }

    /// Bytes that were not used.
    pub(crate) fn take_skipped(&mut self) -> u64 {
        self.drop_held();
        std::mem::take(&mut self.skipped_bytes)
    }

    /// Takes note of gaps and turns.
    fn arrive(&mut self, place: Place) {
        if place.position > self.next[place.direction as usize] {
            self.drop_held();
        }
        let (run, last) = (i64::from(place.run), self.last_run.map_or(-1, i64::from));
        if run <= last {
            return;
        }
        self.drop_held();
        for (vanished, parity) in self.vanished.iter_mut().zip([0, 1]) {
            *vanished = vanished.saturating_add(requests_between(last, run - 2, parity));
        }
        self.last_run = Some(place.run);
        self.runs += 1;
    }

    fn found(&mut self, asks: bool) -> Found {
        let Some(held) = self.held.take() else { return Found::Nothing };
        let asking = if asks { held.place.direction } else { held.place.direction.opposite() };
        let role = match asking {
            Direction::Ingress => Role::Server,
            Direction::Egress => Role::Client,
        };
        let odd = (held.place.run & 1 == 1) == asks;
        Found::Http1 { role, vanished: self.vanished[usize::from(odd)], held }
    }

    fn drop_held(&mut self) {
        if let Some(held) = self.held.take() {
            self.skip(held.bytes.len());
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.skipped_bytes = self.skipped_bytes.saturating_add(bytes as u64);
    }
}

/// Whether a run that begins with `first` begins with a request (true) or a response;
/// `None` when that takes more bytes.
///
/// # Errors
/// It begins with neither.
fn judge(first: &[u8], complete_line: bool) -> Result<Option<bool>, UndecodableReason> {
    let (request, response) = (RequestHead::start(first), ResponseHead::start(first));
    if let (Start::Impossible(reason), Start::Impossible(_)) = (request, response) {
        return if detect::may_be_tls_record(first) { Ok(None) } else { Err(reason) };
    }
    if !complete_line {
        return Ok(None);
    }
    let line = first.strip_suffix(b"\n").unwrap_or(first);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if ResponseHead::check_line(line).is_ok() {
        return Ok(Some(false));
    }
    if let Start::Impossible(reason) = request {
        return Err(reason);
    }
    RequestHead::check_line(line).map(|()| Some(true))
}
