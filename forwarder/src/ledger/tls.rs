//! What became of encrypted connections.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use weir_link::TlsOpaque;

/// Containers that are remembered for each capture; past it the one goes whose traffic is
/// longest ago.
const MAX_CONTAINERS: usize = 1024;

/// Encrypted connections that ended.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct TlsCounts {
    /// Of which a library's plaintext was read.
    pub read_connections: u64,
    /// Of which nothing was read, by [`TlsOpaque`].
    pub opaque_connections: BTreeMap<&'static str, u64>,
    /// Bytes of those, as they were on the wire.
    pub opaque_bytes: BTreeMap<&'static str, u64>,
}

/// One news of an encrypted connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TlsNews {
    /// The first plaintext of it came.
    Read,
    /// It begins, and its process cannot be read.
    BeginsOpaque(TlsOpaque),
    /// It ended without any plaintext.
    Opaque { why: TlsOpaque, bytes: u64 },
}

impl TlsCounts {
    pub(crate) fn note(&mut self, news: TlsNews) {
        match news {
            TlsNews::Read => self.read_connections += 1,
            TlsNews::BeginsOpaque(_) => {}
            TlsNews::Opaque { why, bytes } => {
                *self.opaque_connections.entry(why.as_str()).or_default() += 1;
                *self.opaque_bytes.entry(why.as_str()).or_default() += bytes;
            }
        }
    }
}

/// The containers of a capture that have encrypted connections. On one machine, where there are
/// no containers, services take their place.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Containers {
    verdicts: BTreeMap<Container, Verdict>,
    /// Counts the news.
    now: Moment,
}

/// Number of a piece of news, of one or all containers.
type Moment = u64;

/// Service, and id of the control group.
type Container = (String, u64);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Verdict {
    /// Why it cannot be read, and when that was told last. `None`: read in clear.
    opaque: Option<(TlsOpaque, Moment)>,
    /// Of the last news.
    at: Moment,
}

impl Containers {
    pub(crate) fn note(&mut self, service: &str, cgroup_id: u64, news: TlsNews) {
        let opaque = match news {
            TlsNews::Read => None,
            TlsNews::BeginsOpaque(why) | TlsNews::Opaque { why, .. } => Some(why),
        };
        self.now += 1;
        let at = self.now;
        let opaque = opaque.map(|why| (why, at));
        let container = (service.to_owned(), cgroup_id);
        if let Some(verdict) = self.verdicts.get_mut(&container) {
            verdict.at = at;
            // Something of it that cannot be read stays true when something else is read, but
            // what began too early passes.
            let passes = |(why, _)| why == TlsOpaque::AttachedLate;
            if opaque.is_some() || verdict.opaque.is_some_and(passes) {
                verdict.opaque = opaque;
            }
            return;
        }
        if self.verdicts.len() >= MAX_CONTAINERS {
            let oldest = self.verdicts.iter().min_by_key(|(_, verdict)| verdict.at);
            if let Some(oldest) = oldest.map(|(container, _)| container.clone()) {
                self.verdicts.remove(&oldest);
            }
        }
        self.verdicts.insert(container, Verdict { opaque, at });
    }

    /// The last news.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// Containers that are read in clear, by the news after `since`.
    pub fn covered(&self, since: Moment) -> u32 {
        let covered = |verdict: &&Verdict| verdict.at > since && verdict.opaque(since).is_none();
        u32::try_from(self.verdicts.values().filter(covered).count()).unwrap_or(u32::MAX)
    }

    /// Containers that are not, or not wholly, by the last reason.
    pub fn opaque(&self, since: Moment) -> BTreeMap<TlsOpaque, u32> {
        let mut opaque = BTreeMap::new();
        for why in self.verdicts.values().filter_map(|verdict| verdict.opaque(since)) {
            *opaque.entry(why).or_default() += 1;
        }
        opaque
    }
}

impl Verdict {
    fn opaque(&self, since: Moment) -> Option<TlsOpaque> {
        self.opaque.filter(|(_, at)| *at > since).map(|(why, _)| why)
    }
}

/// As counts: names of services are no counters.
impl Serialize for Containers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Counts {
            covered: u32,
            opaque: BTreeMap<&'static str, u32>,
        }
        let opaque = self.opaque(0).into_iter().map(|(why, count)| (why.as_str(), count)).collect();
        Counts { covered: self.covered(0), opaque }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opaque(why: TlsOpaque) -> TlsNews {
        TlsNews::Opaque { why, bytes: 10 }
    }

    #[test]
    fn a_container_that_is_read_in_part_is_not_covered() {
        let mut containers = Containers::default();
        containers.note("shop", 1, TlsNews::Read);
        containers.note("shop", 2, TlsNews::Read);
        assert_eq!((containers.covered(0), containers.opaque(0)), (2, BTreeMap::new()));
        containers.note("shop", 1, opaque(TlsOpaque::Go));
        containers.note("shop", 1, TlsNews::Read);
        assert_eq!(containers.covered(0), 1);
        assert_eq!(containers.opaque(0), [(TlsOpaque::Go, 1)].into());
    }

    #[test]
    fn what_began_too_early_passes() {
        let mut containers = Containers::default();
        containers.note("shop", 1, opaque(TlsOpaque::AttachedLate));
        assert_eq!(containers.covered(0), 0);
        containers.note("shop", 1, TlsNews::Read);
        assert_eq!((containers.covered(0), containers.opaque(0)), (1, BTreeMap::new()));
    }

    #[test]
    fn what_was_told_before_does_not_count() {
        let mut containers = Containers::default();
        containers.note("shop", 1, opaque(TlsOpaque::Go));
        containers.note("shop", 2, TlsNews::Read);
        let since = containers.now();
        assert_eq!((containers.covered(since), containers.opaque(since)), (0, BTreeMap::new()));
        containers.note("shop", 1, TlsNews::Read);
        containers.note("shop", 3, opaque(TlsOpaque::Java));
        assert_eq!(containers.covered(since), 1);
        assert_eq!(containers.opaque(since), [(TlsOpaque::Java, 1)].into());
        assert_eq!(containers.opaque(0).len(), 2);
    }

    #[test]
    fn containers_are_bounded_and_the_stillest_goes() {
        let mut containers = Containers::default();
        for id in 0..=u64::try_from(MAX_CONTAINERS).unwrap() {
            containers.note("shop", id, TlsNews::Read);
            containers.note("shop", 0, TlsNews::Read);
        }
        assert_eq!(containers.verdicts.len(), MAX_CONTAINERS);
        assert!(containers.verdicts.contains_key(&("shop".to_owned(), 0)));
        assert!(!containers.verdicts.contains_key(&("shop".to_owned(), 1)));
    }

    #[test]
    fn connections_and_bytes_are_counted_by_reason() {
        let mut counts = TlsCounts::default();
        let news = [TlsNews::Read, opaque(TlsOpaque::Go), opaque(TlsOpaque::Go)];
        for news in news {
            counts.note(news);
        }
        counts.note(TlsNews::BeginsOpaque(TlsOpaque::Go));
        assert_eq!(counts.read_connections, 1);
        assert_eq!(counts.opaque_connections, [("go", 2)].into());
        assert_eq!(counts.opaque_bytes, [("go", 20)].into());
    }
}
