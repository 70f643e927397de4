use std::{collections::VecDeque, sync::Mutex};

use tokio::time::Instant;
use weir_plan::WhenFull;

use super::*;
use crate::{
    queue::{BatchLimits, Chunk, Counts, Tally},
    testing,
};

fn retry(after: Option<u64>) -> Result<Answer, Failure> {
    let after = after.map(Duration::from_secs);
    Err(Failure::Retry { cause: RetryCause::Busy, text: "later".to_owned(), after })
}

fn too_large() -> Result<Answer, Failure> {
    Err(Failure::Refused { reason: RefusalReason::TooLarge, text: "too large".to_owned() })
}

/// Delivers `records` records against these answers; the counts afterwards, the time it took,
/// and the answers that were not used.
async fn deliver(records: u8, answers: Vec<Result<Answer, Failure>>) -> (Counts, Duration, usize) {
    let queue = Arc::new(Queue::new(1 << 20, BatchLimits::default()));
    queue.configure(1 << 20, WhenFull::DropOldest);
    let route = queue.route(&[testing::key("all")]);
    let mut chunk = Chunk::default();
    (0..records).for_each(|record| _ = chunk.push(route, |out| out.push(record)));
    let mut tally = [Tally { seen: u64::from(records), filtered: 0, ..Tally::default() }];
    queue.push(&mut vec![chunk], &mut tally);
    let sender = Sender {
        plan: testing::exporter("a", 1, Transport::Http),
        queue: Arc::clone(&queue),
        health: Health::default(),
        resource: Arc::new(Resource::new("minikube")),
        own: OwnEndpoints::default(),
        retry: RetryPolicy::default(),
    };
    let client = Client::Scripted(Mutex::new(VecDeque::from(answers)));
    let mut delivery = Delivery { client, log: Throttle::new(), sender };
    let started = Instant::now();
    delivery.deliver(queue.take().unwrap().unwrap()).await;
    let Client::Scripted(left) = &delivery.client else { unreachable!("as made above") };
    let left = left.lock().unwrap().len();
    let mut counts = Counts::default();
    queue.read().routes.iter().for_each(|(_, route)| counts += route);
    assert!(counts.balances(), "{counts:?}");
    (counts, started.elapsed(), left)
}

#[tokio::test(start_paused = true)]
async fn the_receivers_own_time_to_come_back_is_kept() {
    let (counts, elapsed, _) = deliver(1, vec![retry(Some(90)), Ok(Answer::default())]).await;
    assert_eq!(counts.exported, 1);
    assert!(elapsed >= Duration::from_secs(90), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(91), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn waits_grow_up_to_their_limit_and_never_end() {
    let mut answers: Vec<_> = (0..50).map(|_| retry(None)).collect();
    answers.push(Ok(Answer::default()));
    let (counts, elapsed, left) = deliver(2, answers).await;
    assert_eq!((counts.exported, left), (2, 0));
    let RetryPolicy { max, .. } = RetryPolicy::default();
    // At most 0.5, 1, 2, 4, 8, 16 seconds, then the limit; a random part of each, half of it on
    // average. Far off that average is as good as impossible.
    assert!(elapsed > 44 * max / 8 && elapsed < 45 * max, "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_makes_us_wait_for_longer_than_an_hour() {
    let (counts, elapsed, _) = deliver(1, vec![retry(Some(1 << 40)), Ok(Answer::default())]).await;
    assert_eq!(counts.exported, 1);
    assert!(elapsed >= Duration::from_hours(1) && elapsed < Duration::from_secs(3601));
}

#[tokio::test(start_paused = true)]
async fn a_request_over_the_receivers_limit_is_split_until_only_the_large_record_is_refused() {
    let good = || Ok(Answer::default());
    // 0..4 too large, 0..2 taken, 2..4 too large, 2 taken, 3 refused.
    let answers = vec![too_large(), good(), too_large(), good(), too_large()];
    let (counts, _, left) = deliver(4, answers).await;
    assert_eq!((counts.exported, left), (3, 0));
    assert_eq!(counts.refused, [(RefusalReason::TooLarge, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn more_rejected_than_sent_counts_each_record_once() {
    let answer = Answer { rejected: 99, message: "all of them and more".to_owned() };
    let (counts, ..) = deliver(3, vec![Ok(answer)]).await;
    assert_eq!((counts.exported, counts.refused_total()), (0, 3));
}
