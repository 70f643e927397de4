//! `instance`: the ordinal of a pair among those with the same signature (contract §4.4).
//!
//! The contract numbers the newest first, which a live receiver knows only at the end. So a
//! pair is written with its place in order of arrival, a valid numbering if the run crashes,
//! and at the end only those files are written again whose number differs.

use std::collections::HashMap;

use weir_rrpair::{Uuid, snapshot::instance};

use crate::receiver::Pair;

/// Which of several pairs with the same signature is number 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Order {
    /// The latest, as the gather scripts do it (contract §4.4).
    #[default]
    Newest,
    /// The earliest, so that a mock plays a stateful conversation forwards.
    Oldest,
}

/// By what pairs with the same signature are numbered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbers {
    /// By record time; of those that share it the later one to arrive counts as the newer.
    Time(Order),
    /// The first to arrive is 0: what a store that sorts gives, or lists, in its order.
    Arrival,
    /// The last to arrive is 0.
    ReverseArrival,
}

/// A file: number of its host directory, and its name.
pub(super) type File = (u32, Uuid);
/// See [`instance::digest`].
type Digest = [u8; 32];

/// Where each pair stands among its likes. About 120 bytes a pair whose number may change.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    files: HashMap<File, Placed>,
    next: HashMap<Digest, u64>,
    arrivals: u64,
}

/// One pair's number. `None` for a pair without a signature, which gets none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    signature: Option<(Digest, u64)>,
    time_ns: u64,
    arrival: u64,
}

impl Placed {
    /// Its number in order of arrival.
    pub(super) fn instance(&self) -> Option<u64> {
        self.signature.map(|(_, instance)| instance)
    }
}

impl Numbering {
    /// The number of a pair that arrives now.
    pub(super) fn next(&self, pair: &Pair) -> Placed {
        let signature = instance::digest(&pair.body)
            .map(|hash| (hash, self.next.get(&hash).copied().unwrap_or_default()));
        Placed { signature, time_ns: pair.time_ns, arrival: self.arrivals }
    }

    /// The pair is on disk. A repeated uuid takes the place of its earlier file; `None` for one
    /// whose number stays as it is.
    pub(super) fn placed(&mut self, file: Option<File>, placed: Placed) {
        self.arrivals += 1;
        if let Some((hash, instance)) = placed.signature {
            self.next.insert(hash, instance + 1);
        }
        if let Some(file) = file {
            self.files.insert(file, placed);
        }
    }

    /// The files whose number is another one than they were written with.
    pub(super) fn changes(&self, numbers: Numbers) -> Vec<(File, u64)> {
        let (by_time, order) = match numbers {
            Numbers::Arrival => return Vec::new(), // they were written so
            Numbers::ReverseArrival => (false, Order::Newest),
            Numbers::Time(order) => (true, order),
        };
        let mut signed: Vec<_> = self
            .files
            .iter()
            .filter_map(|(file, placed)| {
                let (hash, written) = placed.signature?;
                let time_ns = if by_time { placed.time_ns } else { 0 };
                Some((hash, time_ns, placed.arrival, *file, written))
            })
            .collect();
        signed.sort_unstable_by_key(|(hash, time_ns, arrival, ..)| (*hash, *time_ns, *arrival));
        let groups = signed.chunk_by(|a, b| a.0 == b.0);
        groups
            .flat_map(|group| ordinals(group.len(), order).zip(group))
            .filter_map(|(ordinal, (.., file, written))| {
                (ordinal != *written).then_some((*file, ordinal))
            })
            .collect()
    }
}

/// The numbers of a group that stands oldest first.
fn ordinals(length: usize, order: Order) -> impl Iterator<Item = u64> {
    let length = length as u64;
    (0..length).map(move |place| match order {
        Order::Oldest => place,
        Order::Newest => length - 1 - place,
    })
}
