use serde_json::json;

use super::*;

fn entry(document: Value) -> Result<Entry, String> {
    serde_json::from_value(document).map_err(|error| error.to_string())
}

fn refused(document: Value, expect: &str) {
    let error = entry(document).unwrap_err();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn a_filter_has_exactly_one_criterion() {
    assert_eq!(
        entry(json!({"include": true, "operator": "CONTAINS", "optUrl": "/healthz"})).unwrap(),
        Entry {
            include: true,
            operator: Some(MatchOperator::Contains),
            criterion: Criterion::OptUrl("/healthz".to_owned()),
            note: None,
        }
    );
    refused(
        json!({"include": true, "operator": "EQUAL"}),
        "a filter needs exactly one criterion and has 0: []",
    );
    refused(
        json!({"include": true, "operator": "EQUAL", "host": "a", "tech": "b"}),
        "a filter needs exactly one criterion and has 2: [host, tech]",
    );
}

#[test]
fn what_is_not_known_is_named_with_what_is() {
    refused(json!({"include": true, "url": "/"}), "unknown variant `url`, expected one of `host`");
    refused(
        json!({"include": true, "operator": "IS", "host": "a"}),
        "operator: unknown variant `IS`, expected one of `CONTAINS`, `EQUAL`, `REGEX`",
    );
    refused(
        json!({"include": true, "header": {"name": "a", "value": "b"}}),
        "unknown field `name`, expected `key` or `value`",
    );
}

#[test]
fn include_must_be_said() {
    refused(json!({"operator": "EQUAL", "host": "a"}), "include is missing: write true or false");
}

#[test]
fn every_criterion_has_its_name_from_the_contract_and_goes_round() {
    for criterion in [
        json!({"host": "a"}),
        json!({"tag": {"key": "a", "value": "b"}}),
        json!({"requestBodyHash": "a"}),
        json!({"requestBodyJson": "a"}),
        json!({"requestBodyXml": "a"}),
        json!({"direction": "IN"}),
        json!({"tech": "a"}),
        json!({"l7protocol": "a"}),
        json!({"network_address": "a"}),
        json!({"service": "a"}),
        json!({"cluster": "a"}),
        json!({"namespace": "a"}),
        json!({"optUrl": "a"}),
        json!({"detectedCommand": "a"}),
        json!({"detectedLocation": "a"}),
        json!({"detectedStatus": "a"}),
        json!({"timeRange": {"startTime": "a", "endTime": "b"}}),
        json!({"header": {"key": "a", "value": "b"}}),
        json!({"uuid": "a"}),
        json!({"sample": {"keep": 1, "out_of": 5}}),
        json!({"httpReqXPath": {"key": "a", "value": "b"}}),
        json!({"httpReqSoapXPath": {"key": "a", "value": "b"}}),
        json!({"reqFilter": {"key": "a", "value": "b", "type": "c"}}),
        json!({"snapshotId": "a"}),
    ] {
        let mut document = json!({"include": false, "operator": "EQUAL", "note": "n"});
        let (name, value) = criterion.as_object().unwrap().iter().next().unwrap();
        document[name] = value.clone();
        let read = entry(document.clone()).unwrap();
        assert_eq!(read.criterion.name(), name);
        assert_eq!(serde_json::to_value(&read).unwrap(), document);
    }
}

#[test]
fn an_unknown_key_of_a_rule_or_group_is_refused() {
    let refused = |document: Value| serde_json::from_value::<RuleDocument>(document).is_err();
    assert!(refused(json!({"id": "a", "conditions": [], "else": 1})));
    assert!(refused(json!({"id": "a", "conditions": [{"filters": [], "else": 1}]})));
    assert!(refused(json!({"id": "a", "operator": "XOR", "conditions": []})));
}
