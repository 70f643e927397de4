use super::*;
use crate::testing::{capture, key, shop};

const SERVER: Side = Side { role: Role::Server, port: 80, encrypted: false };

#[test]
fn a_capture_is_complete_when_its_duration_is_over_and_a_reload_does_not_restart_it() {
    let mut plan = capture("all", &[]);
    plan.duration = Some(Duration::from_mins(1));
    let active = Active { version: 1, captures: vec![plan], ..Active::default() };
    let (mut router, mut book) = (Router::default(), Book::default());
    let workload = shop(&[key("all")]);
    let second = 1_000_000_000;
    let wanted = |router: &mut Router| router.route(&workload, SERVER, &mut []).is_some();
    router.apply(&active, &mut book, 5 * second);
    router.tick(&mut book, 64 * second, Duration::from_secs(1));
    let before = router.generation();
    assert!(wanted(&mut router) && !book.captures[0].1.complete);
    router.apply(&active, &mut book, 64 * second);
    router.tick(&mut book, 65 * second, Duration::from_secs(1));
    assert!(!wanted(&mut router) && book.captures[0].1.complete);
    assert!(router.generation() > before, "connections look again");
}

#[test]
fn a_capture_that_is_made_again_has_its_whole_duration_and_budget() {
    let (mut router, mut book) = (Router::default(), Book::default());
    let active = |uid: &str| {
        let mut plan = capture("all", &[]);
        (plan.uid, plan.duration) = (uid.to_owned(), Some(Duration::from_mins(1)));
        plan.budget.records = Some(2);
        Active { version: 1, captures: vec![plan], ..Active::default() }
    };
    let second = 1_000_000_000;
    router.apply(&active("first"), &mut book, 0);
    book.captures[0].1.decoded.pairs = 2;
    router.apply(&active("second"), &mut book, 59 * second);
    router.tick(&mut book, 61 * second, Duration::from_secs(1));
    assert!(!book.captures[0].1.complete);
    let set = router.route(&shop(&[key("all")]), SERVER, &mut []).unwrap();
    let mut keeps = |book: &mut Book| {
        let uuid = Uuid::default();
        router.decide(&set, (None, &uuid), 1, book, &mut []).is_some()
    };
    assert_eq!([keeps(&mut book), keeps(&mut book), keeps(&mut book)], [true, true, false]);
    router.tick(&mut book, 119 * second, Duration::from_secs(1));
    assert!(book.captures[0].1.complete);
}

#[test]
fn captures_that_are_not_in_the_plan_do_not_count() {
    let active = Active { version: 1, captures: vec![capture("all", &[])], ..Active::default() };
    let (mut router, mut book) = (Router::default(), Book::default());
    router.apply(&active, &mut book, 0);
    assert!(router.route(&shop(&[key("gone")]), SERVER, &mut []).is_none());
    let set = router.route(&shop(&[key("gone"), key("all")]), SERVER, &mut []).unwrap();
    assert_eq!((&*set.captures, set.max_body_bytes), (&[0][..], 1 << 20));
}
