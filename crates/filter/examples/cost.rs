//! Prints what the rule `standard` costs on a pair that it keeps. Run with `--release`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people to run")]

use std::{hint::black_box, time::Instant};

use weir_filter::Filter;
use weir_rrpair::{Http, HttpRequest, RrPair};

/// Short batches, so that on a busy machine some run undisturbed.
const BATCHES: u32 = 2_000;
const ROUNDS: u32 = 1_000;

fn main() {
    let mut request = HttpRequest {
        url: "/v1/tenants/4711/orders/1289/lines".to_owned(),
        host: "orders-api.shop.svc.cluster.local:8080".to_owned(),
        ..HttpRequest::default()
    };
    for (name, value) in [
        ("Host", "orders-api.shop.svc.cluster.local:8080"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Authorization", "Bearer 0123456789abcdef0123456789abcdef"),
        ("Content-Type", "application/json"),
        ("Content-Length", "512"),
        ("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
    ] {
        request.headers.push(name, value);
    }
    let http = Some(Http { req: request, ..Http::default() });
    let pair = RrPair { location: "/v1/orders".to_owned(), http, ..RrPair::default() };
    let filter = Filter::named("standard").unwrap();
    assert!(!filter.drops(&pair), "the pair is one that is kept");

    let best_ns = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                black_box(filter.drops(black_box(&pair)));
            }
            start.elapsed().as_nanos() / u128::from(ROUNDS)
        })
        .min()
        .unwrap();
    println!("standard, pair kept: {best_ns} ns per pair (best of {BATCHES} x {ROUNDS})");
}
