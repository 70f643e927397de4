//! The log against a list, through kills, power cuts, failing writes and a full storage.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::{Bounds, Log, Simulated, WhenFull, one};

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Take(usize),
    Acknowledge,
    GiveBack,
    Sync,
    FailWrite(usize),
    Room(Option<usize>),
    Kill,
    CutPower(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_usize..3000).prop_map(Step::Append),
        5 => (1_usize..6).prop_map(Step::Take),
        4 => Just(Step::Acknowledge),
        1 => Just(Step::GiveBack),
        3 => Just(Step::Sync),
        1 => (0_usize..4).prop_map(Step::FailWrite),
        1 => prop::option::of(0_usize..5000).prop_map(Step::Room),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::CutPower),
    ]
}

/// What the log should hold, and what it owes.
#[derive(Default)]
struct Model {
    /// Every body by its number, to compare bytes.
    bodies: BTreeMap<u64, Vec<u8>>,
    /// Numbers of frames in the log that were not taken, and taken without an answer.
    waiting: VecDeque<u64>,
    taken: VecDeque<u64>,
    /// Of the two above, those that a power cut must not take: synced since they came.
    durable: Vec<u64>,
    next: u64,
}

impl Model {
    fn body(&mut self, size: usize) -> (u64, Vec<u8>) {
        let number = self.next;
        self.next += 1;
        let mut body = number.to_le_bytes().to_vec();
        body.extend(std::iter::repeat_n(u8::try_from(number % 251).unwrap(), size));
        self.bodies.insert(number, body.clone());
        (number, body)
    }

    fn drop_oldest(&mut self, records: u64) {
        for _ in 0..records {
            let gone = self.waiting.pop_front().unwrap();
            self.durable.retain(|number| *number != gone);
        }
    }
}

fn number(body: &[u8]) -> u64 {
    u64::from_le_bytes(body[..8].try_into().unwrap())
}

/// Everything that a log holds, without changing what it owes.
fn content(log: &mut Log, model: &Model) -> VecDeque<u64> {
    let mut held = VecDeque::new();
    while let Some(frame) = log.take().unwrap() {
        let number = number(frame.body());
        assert_eq!(Some(frame.body()), model.bodies.get(&number).map(Vec::as_slice));
        held.push_back(number);
    }
    log.give_back();
    held
}

fn is_sorted(numbers: &VecDeque<u64>) -> bool {
    numbers.iter().zip(numbers.iter().skip(1)).all(|(a, b)| a < b)
}

fn reopen(storage: &Simulated, bounds: Bounds) -> Log {
    let (mut log, dropped) = Log::open(Box::new(storage.clone()), bounds).unwrap();
    assert!(dropped.is_empty(), "the bounds are the same");
    assert!(log.take_damage().records.is_empty(), "nothing was counted before it was read");
    log
}

fn after_kill(log: &mut Log, model: &mut Model) {
    // Those under way come again, unless their segment was dropped; an answer whose note could
    // not be written comes again too.
    let held = content(log, model);
    let waiting: VecDeque<_> = held.iter().copied().filter(|n| model.waiting.contains(n)).collect();
    assert_eq!(waiting, model.waiting, "a kill takes nothing");
    assert!(is_sorted(&held));
    (model.waiting, model.taken) = (held, VecDeque::new());
}

fn cut_power(storage: &Simulated, seed: u64) {
    let mut state = seed | 1;
    storage.cut_power(|| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        !state.is_multiple_of(3)
    });
}

fn after_power_cut(log: &mut Log, model: &mut Model) {
    let held = content(log, model);
    for number in &model.durable {
        assert!(held.contains(number), "{number} had been synced: {held:?}");
    }
    assert!(is_sorted(&held), "{held:?}");
    model.durable = held.iter().copied().collect();
    (model.waiting, model.taken) = (held, VecDeque::new());
}

fn run(steps: Vec<Step>, bounds: Bounds) {
    let storage = Simulated::default();
    let (mut log, mut model) = (reopen(&storage, bounds), Model::default());
    let mut was_cut = false;
    for step in steps {
        match step {
            Step::Append(size) => {
                let (number, body) = model.body(size);
                let counts = one(&mut log, "a");
                let oldest = log.segments.front().map(|segment| segment.id);
                let appended = log.append(&counts, &body);
                model.drop_oldest(appended.dropped.total() + appended.displaced.total());
                // A dropped segment takes along, silently, what was taken of it: that is in
                // memory, and shows as dropped when it is given back.
                if oldest.is_some() && log.segments.front().map(|segment| segment.id) != oldest {
                    model.durable.retain(|number| !model.taken.contains(number));
                }
                if appended.refused.is_none() {
                    model.waiting.push_back(number);
                }
            }
            Step::Take(frames) => {
                for _ in 0..frames {
                    let Some(frame) = log.take().unwrap() else { break };
                    let expected = model.waiting.pop_front().unwrap();
                    assert_eq!(number(frame.body()), expected);
                    assert_eq!(frame.body(), model.bodies[&expected]);
                    model.taken.push_back(expected);
                }
            }
            Step::Acknowledge => {
                log.acknowledge();
                model.durable.retain(|number| !model.taken.contains(number));
                model.taken.clear();
            }
            Step::GiveBack => {
                let back = usize::try_from(log.give_back().total()).unwrap();
                let lost = model.taken.len() - back;
                model.taken.drain(..lost).for_each(|gone| model.durable.retain(|n| *n != gone));
                while let Some(number) = model.taken.pop_back() {
                    model.waiting.push_front(number);
                }
            }
            Step::Sync => {
                if let Some(job) = log.sync_job().unwrap() {
                    job.run().unwrap();
                }
                model.durable = model.waiting.iter().copied().collect();
            }
            Step::FailWrite(after) => storage.fail_write(after),
            Step::Room(room) => storage.set_room(room),
            Step::Kill => {
                drop(log);
                storage.set_room(None);
                log = reopen(&storage, bounds);
                after_kill(&mut log, &mut model);
            }
            Step::CutPower(seed) => {
                drop(log);
                cut_power(&storage, seed);
                // Files whose deletion the cut undid may be too many; the oldest go again.
                log = Log::open(Box::new(storage.clone()), bounds).unwrap().0;
                after_power_cut(&mut log, &mut model);
                // A footer may be there and a frame that it counts not: found with the reading,
                // by each process anew.
                was_cut = true;
            }
        }
        assert_eq!(log.waiting().total(), model.waiting.len() as u64);
        assert!(log.stored_bytes() <= bounds.bytes && storage.bytes() <= bounds.bytes);
        let damage = log.take_damage();
        assert!(was_cut || damage.records.is_empty(), "{damage:?}");
    }
}

proptest! {
    #[test]
    fn the_log_is_a_list_that_survives_everything(
        steps in prop::collection::vec(step(), 0..150),
        newest in any::<bool>(),
    ) {
        let when_full = if newest { WhenFull::DropNewest } else { WhenFull::DropOldest };
        run(steps, Bounds { bytes: 40_000, when_full });
    }

    /// Whatever lies in the files, opening and reading ends, and gives nothing that was not written.
    #[test]
    fn any_bytes_in_the_files_are_survived(
        places in prop::collection::vec((0_usize..8, 0_usize..6000), 1..40),
        cut in prop::option::of(0_usize..5000),
    ) {
        let storage = Simulated::default();
        let bounds = Bounds { bytes: 100_000, when_full: WhenFull::DropOldest };
        let (mut log, mut model) = (reopen(&storage, bounds), Model::default());
        for size in (0..30).map(|i| i * 37) {
            let (_, body) = model.body(size);
            let counts = one(&mut log, "a");
            prop_assert!(log.append(&counts, &body).refused.is_none());
        }
        drop(log);
        let names = storage.segments();
        for (file, at) in places {
            storage.damage(names[file % names.len()], at);
        }
        if let Some(cut) = cut {
            storage.cut(names[0], cut);
        }
        let (mut log, _) = Log::open(Box::new(storage), bounds).unwrap();
        let waiting = log.waiting().total();
        let held = content(&mut log, &model);
        prop_assert!(is_sorted(&held));
        prop_assert_eq!(held.len() as u64 + log.take_damage().records.total(), waiting);
    }
}
