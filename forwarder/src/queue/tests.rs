use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use weir_plan::{ObjectKey, WhenFull};

use super::{BatchLimits, Chunk, Counts, InFlight, Queue, RefusalReason, Route, ShedReason, Tally};

mod disk;

const LIMITS: BatchLimits = BatchLimits { records: 8, bytes: 4000 };

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "default".to_owned(), name: name.to_owned() }
}

fn queue(limit_bytes: u64, when_full: WhenFull) -> (Arc<Queue>, Route) {
    let queue = Arc::new(Queue::new(1 << 20, LIMITS));
    queue.configure(limit_bytes, when_full);
    let route = queue.route(&[key("all")]);
    (queue, route)
}

fn chunk(route: Route, records: &[&[u8]]) -> Chunk {
    let mut chunk = Chunk::default();
    for record in records {
        chunk.push(route, |out| out.extend_from_slice(record));
    }
    chunk
}

fn push(queue: &Queue, chunk: Chunk) {
    let mut tallies = [Tally { seen: chunk.len() as u64, filtered: 0, ..Tally::default() }];
    queue.push(&mut vec![chunk], &mut tallies);
}

fn counts(queue: &Queue) -> Counts {
    let mut total = Counts::default();
    for (_, counts) in queue.read().routes {
        assert!(counts.balances(), "{counts:?}");
        total += &counts;
    }
    total
}

/// The receiver takes all but the first `rejected` records; returns how many it was asked to.
fn accept(batch: InFlight, rejected: usize) -> usize {
    let length = batch.len();
    let outcome = |i| (i < rejected).then_some(RefusalReason::Partial);
    batch.answered(&(0..length).map(outcome).collect::<Vec<_>>());
    length
}

fn take(queue: &Arc<Queue>) -> InFlight {
    queue.take().unwrap().unwrap()
}

/// What waits, taken and given back.
fn waiting(queue: &Arc<Queue>) -> Vec<u8> {
    let mut firsts = Vec::new();
    while let Some(batch) = queue.take().unwrap() {
        firsts.extend(batch.records().map(|record| record[0]));
        accept(batch, 0);
    }
    firsts
}

fn texts(batch: &InFlight) -> Vec<Vec<u8>> {
    batch.records().map(<[u8]>::to_vec).collect()
}

#[test]
fn records_leave_in_the_order_in_which_they_came() {
    let (queue, route) = queue(9000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[b"a", b"", b"bc"]));
    push(&queue, chunk(route, &[b"d"]));
    let batch = take(&queue);
    assert_eq!(texts(&batch), [&b"a"[..], b"", b"bc", b"d"]);
    assert_eq!((counts(&queue).queued, counts(&queue).in_flight), (0, 4));
    accept(batch, 0);
    assert_eq!(counts(&queue).exported, 4);
    assert!(queue.is_idle());
}

#[test]
fn an_unanswered_batch_goes_back_to_the_front() {
    let (queue, route) = queue(9000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[b"first"]));
    push(&queue, chunk(route, &[b"second"]));
    let batch = take(&queue);
    push(&queue, chunk(route, &[b"third"]));
    drop(batch);
    assert_eq!(texts(&take(&queue)), [&b"first"[..], b"second", b"third"]);
}

/// Pushes `count` records of a kilobyte, one by one; the first byte says which one it is.
fn push_numbered(queue: &Queue, route: Route, count: u8) {
    (0..count).for_each(|number| push(queue, chunk(route, &[&[number; 1000]])));
}

#[test]
fn a_full_queue_sheds_the_oldest_and_counts_them() {
    let (queue, route) = queue(20_000, WhenFull::DropOldest);
    push_numbered(&queue, route, 40);
    let shed = counts(&queue).shed;
    let Some((ShedReason::QueueFull, shed)) = shed.into_iter().next() else { panic!("nothing") };
    assert!(shed > 20 && shed < 30, "{shed}");
    assert!(queue.read().bytes <= 20_000);
    assert_eq!(waiting(&queue), (u8::try_from(shed).unwrap()..40).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_may_shed_the_newest_instead() {
    let (queue, route) = queue(20_000, WhenFull::DropNewest);
    push_numbered(&queue, route, 40);
    let kept = u8::try_from(counts(&queue).queued).unwrap();
    assert_eq!(counts(&queue).shed, [(ShedReason::QueueFull, 40 - u64::from(kept))].into());
    assert!((15..20).contains(&kept), "{kept}");
    assert_eq!(waiting(&queue), (0..kept).collect::<Vec<_>>());
}

#[test]
fn what_is_on_its_way_may_lose_its_place_and_is_counted_by_its_answer() {
    for taken in [true, false] {
        let (queue, route) = queue(20_000, WhenFull::DropOldest);
        push_numbered(&queue, route, 3);
        let batch = take(&queue);
        push_numbered(&queue, route, 40);
        assert_eq!(counts(&queue).in_flight, 3);
        let before = counts(&queue).shed_total();
        if taken {
            accept(batch, 0);
            assert_eq!(counts(&queue).exported, 3);
        } else {
            drop(batch);
            assert_eq!(counts(&queue).shed_total(), before + 3);
        }
        assert_eq!(counts(&queue).in_flight, 0);
    }
}

#[test]
fn a_record_larger_than_the_queue_is_shed_alone() {
    let (queue, route) = queue(10_000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[b"small"]));
    push(&queue, chunk(route, &[&[0; 10_000]]));
    assert_eq!(counts(&queue).shed, [(ShedReason::TooLarge, 1)].into());
    assert_eq!(counts(&queue).queued, 1);
}

#[test]
fn a_batch_keeps_to_its_limits_except_for_one_large_record() {
    let (queue, route) = queue(100_000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[&[0; 9000]]));
    push(&queue, chunk(route, &[&[0; 3000]]));
    for _ in 0..10 {
        push(&queue, chunk(route, &[&[1; 100]]));
    }
    let batch = || queue.take().unwrap().map(|batch| accept(batch, 0));
    assert_eq!(std::iter::from_fn(batch).collect::<Vec<_>>(), [1, 8, 3]);
}

#[test]
fn one_batch_is_on_its_way_at_a_time() {
    let (queue, route) = queue(10_000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[b"a"]));
    let batch = take(&queue);
    push(&queue, chunk(route, &[b"b"]));
    assert!(queue.take().unwrap().is_none());
    batch.answered(&[]);
    assert_eq!(texts(&take(&queue)), [b"a", b"b"], "without an answer for each it comes again");
}

#[test]
fn rejected_records_of_a_partial_success_are_counted_as_refused() {
    let (queue, route) = queue(9000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[b"a", b"b", b"c"]));
    accept(take(&queue), 2);
    let counts = counts(&queue);
    assert_eq!((counts.exported, counts.refused), (1, [(RefusalReason::Partial, 2)].into()));
}

#[test]
fn a_closed_queue_sheds_what_waits_and_what_comes_back() {
    let (queue, route) = queue(9000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[b"on its way"]));
    let batch = take(&queue);
    push(&queue, chunk(route, &[b"waiting"]));
    queue.close(ShedReason::ExporterRemoved);
    drop(batch);
    push(&queue, chunk(route, &[b"late"]));
    assert_eq!(counts(&queue).shed, [(ShedReason::ExporterRemoved, 3)].into());
    queue.configure(9000, WhenFull::DropOldest);
    push(&queue, chunk(route, &[b"again"]));
    assert_eq!(counts(&queue).queued, 1);
}

#[test]
fn each_set_of_captures_has_its_own_counts() {
    let (queue, first) = queue(9000, WhenFull::DropOldest);
    let second = queue.route(&[key("all"), key("one")]);
    assert_eq!(queue.route(&[key("all")]), first);
    let mut tallies = [
        Tally { seen: 1, filtered: 0, ..Tally::default() },
        Tally { seen: 3, filtered: 2, ..Tally::default() },
    ];
    let mut both = chunk(first, &[b"a"]);
    both.push(second, |out| out.push(b'b'));
    queue.push(&mut vec![both], &mut tallies);
    assert_eq!(tallies, [Tally::default(); 2]);
    let routes = queue.read().routes;
    assert_eq!(routes.iter().map(|(_, counts)| counts.filtered).collect::<Vec<_>>(), [0, 2]);
    assert!(routes.iter().all(|(_, counts)| counts.balances() && counts.queued == 1));
}

#[tokio::test(start_paused = true)]
async fn the_sender_is_woken_once_something_waits_and_once_it_fills_a_request() {
    let (queue, route) = queue(10_000, WhenFull::DropOldest);
    let (waiting, filling) = (Arc::clone(&queue), Arc::clone(&queue));
    let sender = tokio::spawn(async move { waiting.wait_for_records().await });
    tokio::task::yield_now().await;
    push(&queue, chunk(route, &[b"a"]));
    sender.await.unwrap();
    let short = tokio::time::timeout(Duration::from_secs(9), queue.wait_for_batch()).await;
    assert!(short.is_err(), "one record does not fill a request");
    let sender = tokio::spawn(async move { filling.wait_for_batch().await });
    tokio::task::yield_now().await;
    push(&queue, chunk(route, &[&b"b"[..]; 7]));
    sender.await.unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize, usize, u64),
    Take,
    Accept(u64),
    Refuse,
    GiveBack,
    Resize(u64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..12, 0_usize..600, 0_u64..3).prop_map(|(n, size, f)| Step::Push(n, size, f)),
        3 => Just(Step::Take),
        2 => (0_u64..5).prop_map(Step::Accept),
        1 => Just(Step::Refuse),
        1 => Just(Step::GiveBack),
        1 => (0_u64..40_000).prop_map(Step::Resize),
        1 => Just(Step::Close),
    ]
}

proptest! {
    /// Whatever happens in whatever order, no record is lost from the counts or counted twice,
    /// and what is held stays within the limit that was in force.
    #[test]
    fn the_ledger_balances_at_every_step(
        steps in prop::collection::vec(step(), 0..120),
        newest in any::<bool>(),
    ) {
        let when_full = if newest { WhenFull::DropNewest } else { WhenFull::DropOldest };
        let (queue, first) = queue(20_000, when_full);
        let second = queue.route(&[key("all"), key("two")]);
        let (mut seen, mut in_flight): (u64, Vec<InFlight>) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Push(records, size, filtered) => {
                    let mut one = Chunk::default();
                    let mut tallies = [Tally { seen: filtered, filtered, ..Tally::default() }, Tally::default()];
                    for i in 0..records {
                        let route = if i % 3 == 0 { second } else { first };
                        tallies[usize::from(i % 3 == 0)].seen += 1;
                        one.push(route, |out| out.resize(out.len() + size, 0));
                    }
                    seen += records as u64 + filtered;
                    queue.push(&mut vec![one], &mut tallies);
                    prop_assert!(queue.read().bytes <= queue.read().limit_bytes);
                }
                Step::Take => in_flight.extend(queue.take().unwrap()),
                Step::Accept(rejected) => {
                    if let Some(batch) = in_flight.pop() { accept(batch, usize::try_from(rejected).unwrap()); }
                }
                Step::Refuse => {
                    if let Some(batch) = in_flight.pop() { let refused = vec![Some(RefusalReason::Invalid); batch.len()];
batch.answered(&refused); }
                }
                Step::GiveBack => drop(in_flight.pop()),
                Step::Resize(bytes) => queue.configure(bytes, when_full),
                Step::Close => queue.close(ShedReason::ExporterRemoved),
            }
            let counts = counts(&queue);
            prop_assert_eq!(counts.seen, seen);
            let held = in_flight.iter().map(|batch| batch.len() as u64).sum::<u64>();
            prop_assert_eq!(counts.in_flight, held);
        }
    }
}
