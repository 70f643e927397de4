use serde_json::{Value, json};
use weir_rrpair::RrPair;

use super::*;

fn golden(name: &str) -> String {
    let path =
        format!("{}/../../fixtures/contract/golden/filter-dlp/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn pairs(jsonl: &str) -> Vec<RrPair> {
    jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The payment of the golden files, changed by `change`.
fn pair(change: impl FnOnce(&mut RrPair)) -> RrPair {
    let mut pair = pairs(&golden("before.jsonl")).pop().unwrap();
    assert_eq!(pair.location, "/charges");
    change(&mut pair);
    pair
}

fn compile(document: Value) -> Result<Filter, String> {
    let document: RuleDocument = serde_json::from_value(document).unwrap();
    Filter::compile(&document).map_err(|error| error.to_string())
}

/// Whether a rule of one criterion drops the pair.
fn drops_one(filter: Value, pair: &RrPair) -> bool {
    let rule = json!({"id": "t", "conditions": [{"filters": [filter]}]});
    compile(rule).unwrap().drops(pair)
}

#[test]
fn the_golden_rule_drops_the_probe_and_keeps_the_others() {
    let rule: RuleDocument = serde_json::from_str(&golden("filter.json")).unwrap();
    let filter = Filter::compile(&rule).unwrap();
    let kept: Vec<_> = pairs(&golden("before.jsonl"))
        .into_iter()
        .filter(|pair| !filter.drops(pair))
        .map(|pair| pair.uuid)
        .collect();
    let expect: Vec<_> = pairs(&golden("after.jsonl")).iter().map(|pair| pair.uuid).collect();
    assert_eq!(kept, expect);
    assert_eq!(expect.len(), 2);
}
