use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_rrpair::{Raw, json as documents};

use super::*;
use crate::Redactor;

fn document(transforms: Value) -> DlpDocument {
    let list = json!({"entries": {"postgres": ["pin"]}});
    let document = json!({"id": "d", "redactlist": list, "transforms": transforms});
    serde_json::from_value(document).unwrap()
}

fn payments() -> Value {
    let filter = json!({"include": true, "operator": "CONTAINS", "detectedLocation": "/pay"});
    json!({"conditions": [{"filters": [filter]}]})
}

fn chain(extractor: Value, transforms: Value) -> Value {
    json!([{"filters": payments(), "extractor": extractor, "transforms": transforms}])
}

fn record(location: &str, body: &str) -> Value {
    json!({
        "msgType": "rrpair", "uuid": STANDARD.encode([7; 16]), "ts": "2026-11-21T10:00:00.000000000Z",
        "l7protocol": "http", "location": location,
        "http": {"req": {"method": "POST", "uri": format!("{location}?who=me&to=you"), "headers": {
            "Content-Type": ["application/json"], "X-Who": ["me"], "Cookie": ["who=me; to=you"]},
            "bodyBase64": STANDARD.encode(body)}},
    })
}

fn redact(transforms: Value, record: &Value) -> Value {
    let policy = document(transforms).policy().unwrap();
    policy.check().unwrap();
    let redactor = Redactor::compile(&[policy]).unwrap();
    let raw = documents::from_slice(record.to_string().as_bytes()).unwrap();
    let once = redactor.redact(Raw(raw)).unwrap().record.into_record();
    let twice = redactor.redact(Raw(once.clone())).unwrap().record.into_record();
    assert_eq!(once, twice);
    Value::Object(documents::to_map(&once))
}

fn body(record: &Value) -> String {
    let text = record["http"]["req"]["bodyBase64"].as_str().unwrap();
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

const X: &str = "REDACTED-UNRECOGNIZED-2d711642b726b0440162";

#[test]
fn a_chain_redacts_its_path_in_the_records_that_match() {
    let field =
        json!([{"type": "json_path", "config": {"path": "$.card.no"}}, {"type": "dlp_field"}]);
    let before = r#"{"card":{"no":"x","name":"x"},"no":"x"}"#;
    for extractor in [json!({"type": "req_body"}), json!({"type": "res_body"})] {
        let chain = chain(extractor.clone(), field.clone());
        let paid = redact(chain.clone(), &record("/pay", before));
        let (first, other) = if extractor["type"] == "req_body" { (X, "x") } else { ("x", "x") };
        let expect = format!(r#"{{"card":{{"no":"{first}","name":"{other}"}},"no":"x"}}"#);
        assert_eq!(body(&paid), expect);
        assert_eq!(body(&redact(chain, &record("/else", before))), before);
    }
    let alone = chain(
        json!({"type": "json_path", "config": {"path": "no"}}),
        json!([{"type": "dlp_field"}]),
    );
    assert!(body(&redact(alone, &record("/pay", before))).ends_with(&format!(r#""no":"{X}"}}"#)));
}

#[test]
fn dlp_json_takes_the_names_of_the_list_at_its_body_alone() {
    let transforms = chain(json!({"type": "req_body"}), json!([{"type": "dlp_json"}]));
    let after = redact(transforms.clone(), &record("/pay", r#"[{"pin":"x","n":1}]"#));
    assert_eq!(body(&after), format!(r#"[{{"pin":"{X}","n":1}}]"#));
    assert!(after.get("events").is_none());
    let other = record("/else", r#"[{"pin":"x"}]"#);
    assert_eq!(body(&redact(transforms, &other)), r#"[{"pin":"x"}]"#);
}

#[test]
fn heads_are_taken_out_by_name() {
    let me = "REDACTED-UNRECOGNIZED-";
    for (kind, config, place) in [
        ("http_req_header", json!({"key": "X-Who"}), "/http/req/headers/X-Who/0"),
        ("http_queryparam", json!({"name": "who"}), "/http/req/uri"),
        ("http_req_cookie", json!({"key": "who"}), "/http/req/headers/Cookie/0"),
        ("http_url", json!({}), "/http/req/uri"),
    ] {
        let extractor = json!({"type": kind, "config": config});
        let after =
            redact(chain(extractor, json!([{"type": "dlp_field"}])), &record("/pay/me", "{}"));
        let text = after.pointer(place).unwrap().as_str().unwrap();
        assert!(
            text.contains(me) && (place.ends_with("X-Who/0") || text.contains("you")),
            "{kind}: {text}"
        );
    }
}

#[test]
fn a_chain_that_cannot_work_says_so_in_the_record_and_leaves_it() {
    let field = json!([{"type": "json_path", "config": {"path": "$.a"}}, {"type": "dlp_field"}]);
    let transforms = chain(json!({"type": "req_body"}), field);
    let after = redact(transforms.clone(), &record("/pay", "no JSON at all"));
    assert_eq!(body(&after), "no JSON at all");
    let events = after["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["operation"], "transforms[0]");
    assert_eq!((&events[0]["uuid"], &events[0]["ts"]), (&after["uuid"], &after["ts"]));
    // Not where it had nothing to say, and no body is made up.
    assert!(redact(transforms.clone(), &record("/else", "no JSON")).get("events").is_none());
    let without = redact(transforms, &record("/pay", ""));
    assert!(without.get("events").is_none() && without["http"]["req"].get("bodyBase64").is_none());
}

#[test]
fn what_is_not_understood_is_an_error_that_names_it() {
    let body = json!({"type": "req_body"});
    let field = json!([{"type": "dlp_field"}]);
    for (transforms, expect) in [
        (chain(json!({"type": "req_bdy"}), field.clone()), "extractor \"req_bdy\" is not known"),
        (chain(body.clone(), json!([])), "must end with one dlp_field or dlp_json"),
        (chain(body.clone(), json!([{"type": "scramble"}])), "transform \"scramble\" is not known"),
        (
            chain(json!({"type": "req_body", "config": {"n": "x"}}), field.clone()),
            "req_body has no setting \"n\"",
        ),
        (chain(json!({"type": "json_path"}), field.clone()), "json_path needs a path"),
        (chain(json!({"type": "http_url"}), json!([{"type": "dlp_json"}])), "apply to bodies"),
        (
            json!([{"filters": {"conditions": []}, "extractor": body, "transforms": field}]),
            "transforms[0]: filters: no condition",
        ),
    ] {
        let error = document(transforms).policy().unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    let bad =
        json!({"conditions": [{"filters": [{"include": true, "operator": "REGEX", "host": "("}]}]});
    let transforms = json!([{"filters": bad, "extractor": {"type": "req_body"}, "transforms": [{"type": "dlp_field"}]}]);
    let policy = document(transforms).policy().unwrap();
    assert!(policy.check().unwrap_err().to_string().starts_with("chains[0]: "));
}
