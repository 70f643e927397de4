//! Records on their way.

use std::sync::Arc;

use weir_queue as log;

use super::{Queue, RefusalReason, ShedReason, chunk::Records};

/// Records taken from the queue for one request. Dropped without an answer they wait again,
/// before all others.
#[derive(Debug)]
pub struct InFlight {
    pub(super) queue: Arc<Queue>,
    pub(super) frames: Vec<Records>,
    /// Everything that was taken from the log.
    pub(super) taken: log::Tally,
    /// Of that, what makes no sense.
    pub(super) senseless: log::Tally,
    pub(super) answered: bool,
}

impl InFlight {
    /// Records in the request.
    pub fn len(&self) -> usize {
        self.frames.iter().map(Records::len).sum()
    }

    /// True without any record: then there is nothing to send, only to be answered.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The records' bytes, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.frames.iter().flat_map(Records::bytes)
    }

    /// The receiver took those without a reason, and will never take the others. There must be
    /// one entry for each record; otherwise all of them wait again.
    pub fn answered(mut self, outcomes: &[Option<RefusalReason>]) {
        if outcomes.len() != self.len() {
            return;
        }
        let mut state = self.queue.lock();
        let labels = self.frames.iter().flat_map(Records::labels);
        for (label, outcome) in labels.zip(outcomes) {
            let Some(counts) = state.counts(label) else { continue };
            counts.in_flight -= 1;
            match outcome {
                Some(reason) => *counts.refused.entry(*reason).or_default() += 1,
                None => counts.exported += 1,
            }
        }
        state.settle(&self.senseless, |counts, records| {
            counts.in_flight -= records;
            counts.shed(ShedReason::Damaged, records);
        });
        state.log.acknowledge();
        state.note_damage();
        state.in_flight = false;
        drop(state);
        self.answered = true;
        self.queue.wake.notify_one();
        self.queue.written.notify_one();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut state = self.queue.lock();
        let back = state.log.give_back();
        // What is not there any more was dropped with its segment while it was on its way.
        let reason = state.closed.unwrap_or(ShedReason::QueueFull);
        for (label, records) in self.taken.iter() {
            let back = back.iter().find(|(known, _)| *known == label).map_or(0, |(_, back)| back);
            let Some(counts) = state.counts(label) else { continue };
            counts.in_flight -= records;
            counts.queued += back;
            counts.shed(reason, records.saturating_sub(back));
        }
        state.in_flight = false;
        if let Some(reason) = state.closed.filter(|_| state.folder.is_none()) {
            state.give_up(reason);
        }
        drop(state);
        self.queue.wake.notify_one();
    }
}
