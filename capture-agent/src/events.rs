//! Process events, read ahead of being handled: what a process became since an event says whether
//! that event is still worth a decision.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
};

use aya::maps::{MapData, RingBuf};
use weir_abi::{ProcessEvent, ProcessEventKind};

use crate::process::Born;

/// Read ahead at once: about as many as the ring holds.
const MAX_EVENTS: usize = 8192;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) head: ProcessEvent,
    /// Of an exec: what is known of the process when it is over already.
    pub(crate) born: Option<Box<Born>>,
}

/// Those that are read and not handled, in order.
#[derive(Default)]
pub(crate) struct Events {
    waiting: VecDeque<Event>,
    /// How many of them decide about a process anew, by its id.
    decisive: HashMap<u32, u32>,
}

impl Events {
    /// Takes over what the kernel side has told, as far as there is room.
    pub(crate) fn read<T: Borrow<MapData>>(&mut self, ring: &mut RingBuf<T>) {
        while self.waiting.len() < MAX_EVENTS
            && let Some(item) = ring.next()
        {
            self.push(parse(&item));
        }
    }

    /// The next one to handle.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let event = self.waiting.pop_front()?;
        if is_decisive(&event.head)
            && let Some(count) = self.decisive.get_mut(&event.head.tgid)
        {
            *count -= 1;
            if *count == 0 {
                self.decisive.remove(&event.head.tgid);
            }
        }
        Some(event)
    }

    /// Whether a decision about this process is still to come.
    pub(crate) fn goes_on(&self, pid: u32) -> bool {
        self.decisive.contains_key(&pid)
    }

    fn push(&mut self, event: Event) {
        if is_decisive(&event.head) {
            *self.decisive.entry(event.head.tgid).or_default() += 1;
        }
        self.waiting.push_back(event);
    }
}

fn is_decisive(event: &ProcessEvent) -> bool {
    let kind = ProcessEventKind::from_u32(event.kind);
    matches!(kind, Some(ProcessEventKind::Exec | ProcessEventKind::Listen))
}

/// A record of the ring: a [`ProcessEvent`], or a [`weir_abi::ExecEvent`].
fn parse(bytes: &[u8]) -> Event {
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_ne_bytes)
    };
    let head = ProcessEvent {
        time_ns: 0,
        kind: word(8),
        tgid: word(12),
        parent: word(16),
        port: word(20),
    };
    let start_ns = bytes.get(24..32).and_then(|bytes| bytes.try_into().ok());
    let name = bytes.get(36..96).map(|name| name.split(|&byte| byte == 0).next());
    let born = start_ns.zip(name.flatten()).map(|(start_ns, name)| {
        Box::new(Born {
            pid: head.tgid,
            parent: head.parent,
            in_parents_groups: word(32) == 1,
            start_ns: u64::from_ne_bytes(start_ns),
            name: String::from_utf8_lossy(name).into_owned(),
        })
    });
    Event { head, born }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: ProcessEventKind, tgid: u32) -> Event {
        let head = ProcessEvent { time_ns: 0, kind: kind as u32, tgid, parent: 1, port: 0 };
        Event { head, born: None }
    }

    #[test]
    fn a_fork_is_outdated_while_the_exec_after_it_waits() {
        let mut events = Events::default();
        events.push(event(ProcessEventKind::Fork, 7));
        events.push(event(ProcessEventKind::Exec, 7));
        events.push(event(ProcessEventKind::Exec, 7));
        events.push(event(ProcessEventKind::Fork, 8));
        let first = events.next().map(|event| event.head.kind);
        assert_eq!(first, Some(ProcessEventKind::Fork as u32));
        assert!(events.goes_on(7) && !events.goes_on(8));
        events.next();
        assert!(events.goes_on(7), "one more");
        events.next();
        assert!(!events.goes_on(7) && events.decisive.is_empty());
    }

    #[test]
    fn an_event_is_read_field_by_field() {
        let mut bytes = vec![0; 8];
        for word in [1_u32, 42, 7, 8080] {
            bytes.extend(word.to_ne_bytes());
        }
        let Event { head: ProcessEvent { kind, tgid, parent, port, .. }, born } = parse(&bytes);
        assert_eq!((kind, tgid, parent, port, born), (1, 42, 7, 8080, None));
        assert_eq!(parse(&bytes[..10]).head.tgid, 0);
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend(1_u32.to_ne_bytes());
        bytes.extend(b"curl\0");
        bytes.resize(96, b'x');
        let expected = Born {
            pid: 42,
            parent: 7,
            in_parents_groups: true,
            start_ns: 5,
            name: "curl".to_owned(),
        };
        assert_eq!(parse(&bytes).born.as_deref(), Some(&expected));
    }
}
