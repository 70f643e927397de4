//! What becomes of records that wait.

use super::{
    Connections,
    entry::{ASK_AGAIN_NS, Entry, State, Waiting},
};
use crate::pipeline::{Book, Pipeline};

impl Connections {
    /// True when records wait.
    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// After a drain: releases the records whose turn it is, and asks again whose the others
    /// are. `now_ns` is the kernel's monotonic time; what waited too long is let go.
    pub(crate) fn settle(&mut self, now_ns: u64, pipeline: &mut Pipeline, book: &mut Book) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|&id| {
            let Some(entry) = self.table.get_mut(&id) else { return false };
            let before = entry.held_bytes();
            let late = now_ns.saturating_sub(entry.seen_ns) >= ASK_AGAIN_NS;
            match &mut entry.state {
                State::Live(live) => {
                    if live.early_is_due || late {
                        live.release_early(pipeline, book);
                    }
                }
                State::Waiting(waiting) => {
                    let Waiting { unclaimed, held, .. } = &mut **waiting;
                    let opened_ns = unclaimed.first_seen_ns;
                    let claim = unclaimed.claim(id, &self.attribution, pipeline);
                    if let Some(claim) = claim {
                        let (clock, limits) = (self.clock, self.limits.connection);
                        let mut state = claim.live(clock, limits, pipeline, book);
                        if let State::Live(live) = &mut state {
                            held.release(|header, body| live.feed(header, body, pipeline, book));
                        }
                        let closed = waiting.closed;
                        entry.state = state;
                        if closed {
                            self.held_bytes -= before;
                            self.table.remove(&id);
                            return false;
                        }
                    } else if now_ns.saturating_sub(opened_ns) >= ASK_AGAIN_NS {
                        let closed = waiting.closed;
                        entry.ignore(book);
                        if closed {
                            self.held_bytes -= before;
                            self.table.remove(&id);
                            return false;
                        }
                    }
                }
                State::Own | State::Ignored(_) | State::GivenUp => {}
            }
            self.held_bytes = self.held_bytes - before + entry.held_bytes();
            entry.waits()
        });
        self.waiting.append(&mut waiting);
    }
}

impl Entry {
    /// Nobody claimed it.
    pub(super) fn ignore(&mut self, book: &mut Book) {
        if let State::Waiting(_) = &self.state
            && let State::Waiting(waiting) = std::mem::replace(&mut self.state, State::GivenUp)
        {
            book.node.connections.ignored += 1;
            self.state = State::Ignored(Box::new(waiting.unclaimed));
        }
    }
}
