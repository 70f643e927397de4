//! A thousand captures at once: what is asserted is how often each is written.

use std::{collections::BTreeMap, time::Instant};

use futures::{StreamExt as _, stream};
use kube::api::ListParams;
use serde_json::json;

use crate::world::{World, lines, until};

const CAPTURES: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-operator"]
async fn a_thousand_captures_cost_few_writes_each() {
    let world = World::new().await;
    let operator = world.operator("thousand");
    let endpoint = json!({"otlp": {"endpoint": "http://collector.example.net:4318"}});
    world.apply("shop", "Exporter", "e", endpoint).await;
    world.has("shop", "Exporter", "e", &["Ready=True/Ready"]).await;
    let start = Instant::now();
    world.proxy.forget();
    stream::iter(0..CAPTURES)
        .for_each_concurrent(8, |index| {
            let selector = json!({"matchLabels": {"app": format!("app-{index}")}});
            let spec = json!({"selector": selector, "exporters": [{"name": "e"}]});
            let world = &world;
            async move { world.apply("shop", "TrafficCapture", &format!("c-{index}"), spec).await }
        })
        .await;
    let created = start.elapsed();
    let api = world.untyped("shop", "TrafficCapture");
    until("all are ready", || async {
        let all = api.list(&ListParams::default()).await.unwrap().items;
        let ready =
            all.iter().filter(|c| lines(&json!(c)).contains(&"Ready=True/Ready".to_owned()));
        (ready.count() == CAPTURES).then_some(())
    })
    .await;
    let mut writes = BTreeMap::<String, usize>::new();
    for write in world.proxy.writes() {
        *writes.entry(write).or_default() += 1;
    }
    let of_captures = writes.iter().filter(|(write, _)| write.contains("/trafficcaptures/"));
    let (sum, most) =
        of_captures.fold((0, 0), |(sum, most), (_, count)| (sum + count, most.max(*count)));
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid())).unwrap();
    let memory = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!(
        "{CAPTURES} captures: created in {created:.1?}, all ready after {:.1?}; status writes {sum}, \
         most for one object {most}; other writes {}; operator's memory {memory}",
        start.elapsed(),
        writes.values().sum::<usize>() - sum,
    );
    assert!(sum <= 2 * CAPTURES, "{sum} status writes");
    assert!(most <= 3, "{most} writes for one object");
    let others = writes.iter().filter(|(write, _)| !write.contains("/trafficcaptures/"));
    let others: BTreeMap<&String, usize> = others
        .filter(|(write, _)| !write.contains("weir-plan"))
        .map(|(write, count)| (write, *count))
        .collect();
    // The exporter's own numbers.
    assert!(others.values().copied().sum::<usize>() <= 2, "{others:?}");
}
