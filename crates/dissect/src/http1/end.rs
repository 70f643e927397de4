//! The end of a connection, seen or not.

use weir_abi::{Direction, HoleReason};

use super::{
    Http1, Sink,
    runs::{Unseen, requests_between},
    slot::Part,
};
use crate::event::{HalfReason, UndecodableReason};

impl Http1 {
    /// The socket is gone: `run` was its last run, `ends` are the final positions of both
    /// directions as far as they are known.
    pub(crate) fn close(&mut self, ends: [(Direction, u64); 2], run: u32, sink: Sink<'_>) {
        let run = self.unwrap_run(run);
        for (direction, end) in ends {
            let bytes = end.saturating_sub(self.next(direction));
            if bytes > 0 {
                let asks = (run - self.parity).rem_euclid(2) == 0;
                let is_own = asks == (direction == self.asking);
                let own_run = if is_own { run } else { run - 1 };
                let unseen = Unseen { bytes, reason: HoleReason::RingFull, time_ns: None };
                self.gap(direction, unseen, own_run, sink);
            }
        }
        let silent = self.last_run < 0 && run == 0 && ends.iter().all(|(_, end)| *end == 0);
        let vanished = if silent { 0 } else { requests_between(self.last_run, run, self.parity) };
        if run > self.last_run {
            for slot in &mut self.slots {
                slot.lost.get_or_insert(HoleReason::RingFull);
            }
        }
        self.end(Ending::Closed, sink);
        self.lose(vanished, HoleReason::RingFull, sink);
        self.release_losses(sink);
    }

    /// Nothing more will be seen, but the connection may go on.
    pub(crate) fn finish(&mut self, sink: Sink<'_>) {
        self.end(Ending::Unfinished, sink);
        self.release_losses(sink);
    }

    /// The connection goes on with another protocol, to which so many of the bytes belong
    /// that were read already. What vanished before was not HTTP if nothing else was.
    pub(crate) fn leave(&mut self, sink: Sink<'_>) -> u64 {
        self.end(Ending::Closed, sink);
        self.left_bytes
    }

    fn end(&mut self, ending: Ending, sink: Sink<'_>) {
        self.end_response(ending, sink);
        self.end_request(ending, sink);
        for slot in std::mem::take(&mut self.slots) {
            self.report(slot, ending.without_response(), sink);
        }
        self.flush_skipped(sink);
    }

    fn end_response(&mut self, ending: Ending, sink: Sink<'_>) {
        let (read, ends_well) = self.responses.end();
        let bytes = read.as_ref().err().copied().unwrap_or_default();
        let lost_by = self.responses.lost_by;
        if let Some(slot) = self.open_response() {
            slot.lost = slot.lost.or(lost_by);
            let lost = slot.lost.map(HalfReason::ResponseLost);
            slot.response = match read {
                Ok(message) if ends_well && ending == Ending::Closed => Part::Whole(message),
                Ok(mut message) => {
                    message.body.cut = true;
                    Part::Broken(message, lost.unwrap_or_else(|| ending.inside_response()))
                }
                Err(_bytes) => Part::Absent,
            };
        }
        self.skip_bytes(bytes, UndecodableReason::IncompleteHead, sink);
    }

    fn end_request(&mut self, ending: Ending, sink: Sink<'_>) {
        let (read, _ends_well) = self.requests.end();
        let bytes = read.as_ref().err().copied().unwrap_or_default();
        let lost_by = self.requests.lost_by;
        if let Some(slot) = self.open_request() {
            slot.lost = slot.lost.or(lost_by);
            let lost = slot.lost.map(HalfReason::RequestLost);
            slot.request = match read {
                Ok(mut message) => {
                    message.body.cut = true;
                    // An early response, such as a 413, answers what was sent of it.
                    if matches!(slot.response, Part::Whole(_)) {
                        Part::Whole(message)
                    } else {
                        Part::Broken(message, lost.unwrap_or_else(|| ending.inside_request()))
                    }
                }
                Err(_bytes) => {
                    // Nobody saw the connection end, so the rest of it may just be unseen.
                    if ending == Ending::Unfinished {
                        slot.lost.get_or_insert(HoleReason::Unseen);
                    }
                    Part::Absent
                }
            };
        }
        self.skip_bytes(bytes, UndecodableReason::IncompleteHead, sink);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Closed,
    Unfinished,
}

impl Ending {
    fn without_response(self) -> HalfReason {
        match self {
            Self::Closed => HalfReason::NoResponse,
            Self::Unfinished => HalfReason::Unfinished,
        }
    }

    fn inside_response(self) -> HalfReason {
        match self {
            Self::Closed => HalfReason::ResponseCut,
            Self::Unfinished => HalfReason::Unfinished,
        }
    }

    fn inside_request(self) -> HalfReason {
        match self {
            Self::Closed => HalfReason::RequestCut,
            Self::Unfinished => HalfReason::Unfinished,
        }
    }
}
