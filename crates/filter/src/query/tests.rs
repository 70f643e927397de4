use serde_json::json;

use super::*;
use crate::Filter;

fn read(query: &str) -> Value {
    serde_json::to_value(RuleDocument::from_query("q", query).unwrap()).unwrap()
}

fn refused(query: &str, expect: &str) {
    let error = RuleDocument::from_query("q", query).unwrap_err().to_string();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn a_query_is_the_rule_that_it_says() {
    assert_eq!(
        read(
            r#"(header[User-Agent] CONTAINS "kube probe" OR url CONTAINS /healthz) AND (status NOT 200)"#
        ),
        json!({
            "id": "q", "operator": "AND",
            "conditions": [
                {"operator": "OR", "filters": [
                    {"include": true, "operator": "CONTAINS", "header": {"key": "User-Agent", "value": "kube probe"}},
                    {"include": true, "operator": "CONTAINS", "optUrl": "/healthz"},
                ]},
                {"filters": [{"include": false, "operator": "EQUAL", "detectedStatus": "200"}]},
            ],
        })
    );
    assert_eq!(
        read("location NOT CONTAINS /v1 AND sample IS 1/5")["conditions"][0]["filters"],
        json!([
            {"include": false, "operator": "CONTAINS", "detectedLocation": "/v1"},
            {"include": true, "sample": {"keep": 1, "out_of": 5}},
        ])
    );
}

#[test]
fn everything_that_a_query_may_name_compiles_or_says_why_not() {
    for query in [
        "cluster IS a",
        "command IS a",
        "direction IS IN",
        "header[k] IS a",
        "l7protocol IS a",
        "location IS a",
        "namespace IS a",
        "networkaddr IS a",
        "req_json[a.b] IS a",
        "sample IS 1/2",
        "service IS a",
        "session IS a",
        "source IS a",
        "status REGEX \"5..\"",
        "tag[a] IS b",
        "tech IS a",
        "timerange IS \"2026-09-01T00:00:00Z,\"",
        "url IS a",
        "uuid IS 00000000-0000-4000-8000-000000000000",
        "method IS a",
        "reqbodyjson IS \"{}\"",
        "resp_json[k] IS a",
        "(location CONTAINS \"\")",
    ] {
        let rule = RuleDocument::from_query("q", query).unwrap();
        Filter::compile(&rule).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    for query in ["req_xml[a] IS b", "req_soapxpath[a] IS b", "snapshot IS a"] {
        let error = Filter::compile(&RuleDocument::from_query("q", query).unwrap()).unwrap_err();
        assert!(error.to_string().contains("is not supported"), "{error}");
    }
}

#[test]
fn what_is_no_query_is_refused_with_its_place() {
    refused("", "column 1: a criterion is expected");
    refused("location", "column 9: IS, NOT, CONTAINS");
    refused("location IS", "column 12: a value is expected");
    refused("(location IS a", "column 15: a closing parenthesis is missing");
    refused("a IS b", "column 1: \"a\" is no criterion");
    refused("url IS a AND url IS b OR url IS c", "AND and OR cannot be mixed");
    refused("url IS \"a", "column 8: the quote is never closed");
    refused("header IS a", "header needs a [key]");
    refused("sample IS x", "sample needs a share such as 1/5");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(query in "\\PC{0,40}|[()a-zA-Z\\[\\]\" ]{0,60}") {
        if let Ok(rule) = RuleDocument::from_query("q", &query) {
            proptest::prop_assert!(!rule.conditions.is_empty());
        }
    }
}
