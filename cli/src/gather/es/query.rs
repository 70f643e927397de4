//! What Elasticsearch is asked (contract §4.1).

use serde_json::{Map, Value, json};

use super::lucene;
use crate::gather::{
    filter::FilterOptions,
    window::{Window, microseconds},
};

/// The field that records are sorted and selected by.
pub(super) const TIME: &str = "@timestamp";

/// The query of a window and filters. A query of the user's own (`--query`) takes the filters'
/// place.
///
/// It may find more than the filters ask for, never less: a value that was too long for its
/// `keyword` field is not indexed there, and Lucene's expressions say less than ours.
pub(super) fn query(window: &Window, filters: &FilterOptions, own: Option<&Value>) -> Value {
    let mut must = vec![json!({ "range": { TIME: {
        "gte": microseconds(window.start), "lte": microseconds(up(window)),
    } } })];
    if let Some(own) = own {
        must.push(own.clone());
        return json!({ "bool": { "must": must } });
    }
    for (field, value) in filters.exact() {
        let keyword = keyword(field);
        must.push(json!({ "term": { keyword: value } }));
    }
    for (field, pattern) in filters.patterns() {
        let Some(regexp) = lucene::regexp(pattern.text()) else { continue };
        let keyword = keyword(field);
        must.push(json!({ "bool": { "should": [
            { "regexp": { keyword.clone(): { "value": regexp, "flags": "NONE" } } },
            { "bool": { "must_not": { "exists": { "field": keyword } } } },
        ] } }));
    }
    json!({ "bool": { "must": must } })
}

/// The window's end with the microsecond that it lies in.
fn up(window: &Window) -> weir_rrpair::Timestamp {
    weir_rrpair::Timestamp(window.end.0.saturating_add(999))
}

/// Fields that a query of these filters needs to be indexed.
pub(super) fn fields(filters: &FilterOptions) -> Vec<String> {
    let exact = filters.exact().map(|(field, _)| keyword(field));
    exact.chain(filters.patterns().map(|(field, _)| keyword(field))).collect()
}

fn keyword(field: &str) -> String {
    let place = match field {
        "cluster" => "Resource",
        "service" | "namespace" => "Attributes",
        _ => "Body",
    };
    format!("{place}.{field}.keyword")
}

/// One page's request. `slice` is this one's number and how many there are.
pub(super) fn page(
    pit: &str,
    query: &Value,
    slice: (usize, usize),
    size: usize,
    after: Option<&Value>,
) -> Value {
    let mut body = Map::new();
    body.insert("size".into(), size.into());
    body.insert("query".into(), query.clone());
    body.insert("pit".into(), json!({ "id": pit, "keep_alive": super::KEEP_ALIVE }));
    // `_shard_doc` tells records of one millisecond apart, so that no page loses one.
    body.insert("sort".into(), json!([{ TIME: "desc" }, { "_shard_doc": "asc" }]));
    body.insert("track_total_hits".into(), false.into());
    if let (number, total @ 2..) = slice {
        // By the time's hash. The default, ranges of document numbers, is ranges of time in an
        // index of logs: all slices but one would wait.
        body.insert("slice".into(), json!({ "field": TIME, "id": number, "max": total }));
    }
    if let Some(after) = after {
        body.insert("search_after".into(), after.clone());
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::{filter::Pattern, window::Moment};

    fn window() -> Window {
        let at = |text: &str| text.parse::<Moment>().unwrap();
        let (start, end) = (at("2026-09-01T10:05:00Z"), at("2026-09-01T10:20:00Z"));
        Window::new(start, end, weir_rrpair::Timestamp(0)).unwrap()
    }

    #[test]
    fn the_query_of_a_window_is_the_contracts() {
        let golden = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../fixtures/contract/golden/snapshot-tree/.metadata/snapshot.json"
        ));
        let golden: Value = serde_json::from_str(golden).unwrap();
        let ours = query(&window(), &FilterOptions::default(), None);
        assert_eq!(ours.to_string(), golden["esQuery"].to_string());
    }

    #[test]
    fn filters_ask_for_the_contracts_fields() {
        let filters = FilterOptions {
            cluster: Some("dev".into()),
            service: Some("orders".into()),
            endpoint: Some(Pattern::parse("^/api/.+").unwrap()),
            ..FilterOptions::default()
        };
        let query = query(&window(), &filters, None);
        let must = query["bool"]["must"].as_array().unwrap();
        assert_eq!(must[1], json!({ "term": { "Resource.cluster.keyword": "dev" } }));
        assert_eq!(must[2], json!({ "term": { "Attributes.service.keyword": "orders" } }));
        let regexp = &must[3]["bool"]["should"][0]["regexp"]["Body.location.keyword"];
        assert_eq!(regexp["value"], r"\/api\/(.)+");
        assert_eq!(fields(&filters).len(), 3);
    }

    #[test]
    fn a_query_of_ones_own_switches_the_filters_off() {
        let filters = FilterOptions { service: Some("orders".into()), ..FilterOptions::default() };
        let own = json!({ "term": { "Body.tech.keyword": "JSON" } });
        let query = query(&window(), &filters, Some(&own));
        assert_eq!(query["bool"]["must"].as_array().unwrap().len(), 2);
        assert_eq!(query["bool"]["must"][1], own);
    }
}
