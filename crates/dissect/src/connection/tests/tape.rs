//! Records as the kernel side writes them, and what becomes of them.

use weir_abi::{Direction, HoleReason, Role};

use crate::{Connection, Event, Exchange, Limits, Place};

pub(super) const IN: Direction = Direction::Ingress;
pub(super) const OUT: Direction = Direction::Egress;

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) direction: Direction,
    pub(super) position: u64,
    pub(super) run: u32,
    pub(super) begins_run: bool,
    pub(super) time_ns: u64,
    pub(super) payload: Payload,
}

#[derive(Clone, Debug)]
pub(super) enum Payload {
    Data(Vec<u8>),
    Hole(u64, HoleReason),
}

/// A conversation, recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    pub(super) records: Vec<Record>,
    positions: [u64; 2],
    last: Option<(Direction, u32)>,
}

impl Tape {
    /// One call that moved `bytes`.
    pub(super) fn data(mut self, direction: Direction, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref().to_vec();
        self.push(direction, bytes.len() as u64, Payload::Data(bytes));
        self
    }

    /// One call that moved bytes without a copy.
    pub(super) fn hole(mut self, direction: Direction, length: u64, reason: HoleReason) -> Self {
        self.push(direction, length, Payload::Hole(length, reason));
        self
    }

    /// One call whose record the ring had no room for.
    pub(super) fn dropped(mut self, direction: Direction, bytes: impl AsRef<[u8]>) -> Self {
        self = self.data(direction, bytes);
        self.records.pop();
        self
    }

    fn push(&mut self, direction: Direction, length: u64, payload: Payload) {
        let run = match self.last {
            None => 0,
            Some((before, run)) => run + u32::from(before != direction),
        };
        let begins_run = self.last != Some((direction, run));
        self.last = Some((direction, run));
        let position = self.positions[direction as usize];
        self.positions[direction as usize] += length;
        let time_ns = 1000 * (u64::from(run) + 1);
        self.records.push(Record { direction, position, run, begins_run, time_ns, payload });
    }

    pub(super) fn last_run(&self) -> u32 {
        self.last.map_or(0, |(_, run)| run)
    }

    /// All events, with a close record at the end.
    pub(super) fn play(&self, role: Role) -> Vec<Event> {
        self.play_within(role, Limits::default())
    }

    pub(super) fn play_within(&self, role: Role, limits: Limits) -> Vec<Event> {
        let mut player = Player::new(role, limits);
        for record in &self.records {
            player.feed(record);
        }
        player.close(self);
        player.events
    }

    /// All events, without a close record.
    pub(super) fn play_unfinished(&self, role: Role) -> Vec<Event> {
        let mut player = Player::new(role, Limits::default());
        for record in &self.records {
            player.feed(record);
        }
        player.connection.finish(u64::MAX, &mut |event| player.events.push(event));
        player.events
    }
}

pub(super) struct Player {
    pub(super) connection: Connection,
    pub(super) events: Vec<Event>,
    limits: Limits,
}

impl Player {
    pub(super) fn new(role: Role, limits: Limits) -> Self {
        Self { connection: Connection::new(role, limits), events: Vec::new(), limits }
    }

    pub(super) fn feed(&mut self, record: &Record) {
        let Record { direction, position, run, begins_run, time_ns, ref payload } = *record;
        let place = Place { direction, position, run, begins_run, time_ns };
        let mut sink = |event| self.events.push(event);
        match payload {
            Payload::Data(bytes) => {
                self.connection.data(place, bytes, &mut sink);
            }
            Payload::Hole(length, reason) => {
                self.connection.hole(place, *length, *reason, &mut sink);
            }
        }
        assert!(self.connection.held_bytes() <= self.limits.max_held_bytes());
    }

    pub(super) fn close(&mut self, tape: &Tape) {
        let mut sink = |event| self.events.push(event);
        let [ingress_end, egress_end] = tape.positions;
        let run = tape.last_run();
        self.connection.close(ingress_end, egress_end, run, u64::MAX, &mut sink);
    }

    /// As [`Self::close`], from a kernel side that does not know where ingress ended.
    pub(super) fn close_without_ingress_end(&mut self, tape: &Tape) {
        let mut sink = |event| self.events.push(event);
        let (egress_end, run) = (tape.positions[OUT as usize], tape.last_run());
        self.connection.close(0, egress_end, run, u64::MAX, &mut sink);
    }
}

/// The exchanges among events.
pub(super) fn exchanges(events: &[Event]) -> Vec<&Exchange> {
    let mut exchanges = Vec::new();
    for event in events {
        if let Event::Exchange(exchange) = event {
            exchanges.push(&**exchange);
        }
    }
    exchanges
}

/// One line per event, with the captured text: for fixtures of our own alone.
pub(super) fn transcript(events: &[Event]) -> String {
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(event: &Event) -> String {
    let Event::Exchange(exchange) = event else { return format!("{event:?}") };
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut words = Vec::new();
    if let Some(request) = &exchange.request {
        words.extend([text(request.head.method()), text(request.head.target())]);
        words.extend(rest(request));
    }
    words.push("->".to_owned());
    if let Some(response) = &exchange.response {
        words.extend([response.head.status.to_string(), text(response.head.reason())]);
        words.extend(rest(response));
    }
    if exchange.interim_responses > 0 {
        words.push(format!("interim={}", exchange.interim_responses));
    }
    if let Some(half) = exchange.half {
        words.push(format!("half={half}"));
    }
    words.join(" ")
}

fn rest<Head>(message: &crate::Message<Head>) -> Vec<String> {
    let body = &message.body;
    let mut words = Vec::new();
    if body.original_bytes > 0 || body.cut {
        words.push(format!("[{}]", body.kept.escape_ascii()));
    }
    if body.kept.len() as u64 != body.original_bytes {
        words.push(format!("of {}", body.original_bytes));
    }
    if body.missing_bytes > 0 {
        words.push(format!("missing {}", body.missing_bytes));
    }
    if body.cut {
        words.push("cut".to_owned());
    }
    for (name, value) in message.trailers.iter() {
        words.push(format!("{}: {}", name.escape_ascii(), value.escape_ascii()));
    }
    if !message.defects.is_empty() {
        words.push(format!("{:?}", message.defects));
    }
    words
}
