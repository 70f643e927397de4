use serde_json::{Value, json};
use weir_rrpair::{Raw, RrPair, json as documents};

use super::*;
use crate::document::DlpDocument;
use crate::policy::{Action, Detector, Key, PolicySource, Profile, WhenUndecodable};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/contract/golden/filter-dlp/",
            $name
        ))
    };
}

pub(super) fn keys(names: &[&str]) -> Vec<Key> {
    let key = |name: &&str| Key { scope: "all".to_owned(), name: (*name).to_owned() };
    names.iter().map(key).collect()
}

fn policy(names: &[&str]) -> PolicySource {
    PolicySource {
        id: "test".to_owned(),
        keys: keys(names),
        detectors: Detector::SENSITIVE.to_vec(),
        ..PolicySource::default()
    }
}

fn record(document: &Value) -> RrPair {
    documents::from_slice(document.to_string().as_bytes()).unwrap()
}

fn redact_with(policy: &PolicySource, document: &Value) -> Value {
    let redactor = Redactor::compile(std::slice::from_ref(policy)).unwrap();
    let outcome = redactor.redact(Raw(record(document))).unwrap();
    Value::Object(documents::to_map(outcome.record.record()))
}

fn redact(names: &[&str], document: &Value) -> Value {
    redact_with(&policy(names), document)
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).unwrap().as_str().unwrap()
}

fn body(value: &Value, pointer: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(at(value, pointer)).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn the_golden_configuration_gives_the_golden_records() {
    let document: DlpDocument = serde_json::from_str(golden!("dlp.json")).unwrap();
    let redactor = Redactor::compile(&[document.policy().unwrap()]).unwrap();
    let redacted: Vec<Value> = golden!("before.jsonl")
        .lines()
        // The filter drops the probe; this test is about the rest.
        .skip(1)
        .map(|line| {
            let record = documents::from_slice(line.as_bytes()).unwrap();
            let outcome = redactor.redact(Raw(record)).unwrap();
            Value::Object(documents::to_map(outcome.record.record()))
        })
        .collect();
    let expected: Vec<Value> =
        golden!("after.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(redacted.len(), expected.len());
    for (redacted, expected) in redacted.iter().zip(&expected) {
        assert_eq!(redacted, expected);
    }
}

#[test]
fn json_is_searched_in_every_form_it_comes_in() {
    let of = |text: &str| {
        let redacted =
            redact(&["card", "pin"], &json!({"http": {"req": {"bodyBase64": base64(text)}}}));
        body(&redacted, "/http/req/bodyBase64")
    };
    let x = "REDACTED-UNRECOGNIZED-2d711642b726b0440162";
    assert_eq!(of(r#"[{"card":"x"}]"#), format!(r#"[{{"card":"{x}"}}]"#));
    assert_eq!(
        of(r#" {"a":{"CARD" : "x" ,"b":1}}"#),
        format!(r#" {{"a":{{"CARD" : "{x}" ,"b":1}}}}"#)
    );
    assert_eq!(
        of(r#"{"card":{"n":["x",null,{"m":"x"}]}}"#),
        format!(r#"{{"card":{{"n":["{x}",null,{{"m":"{x}"}}]}}}}"#)
    );
    // Leaves become strings.
    assert!(
        of(r#"{"card":[1,true]}"#)
            .starts_with(r#"{"card":["REDACTED-UNRECOGNIZED-6b86b273ff34fce19d6b","REDACTED-"#)
    );
    assert_eq!(
        of(r#"{"n":4111111111111111,"m":12}"#),
        r#"{"n":"REDACTED-CREDIT_CARD-9bbef19476623ca56c17","m":12}"#
    );
    // A string that holds JSON, cut or in escapes.
    assert_eq!(
        of(r#"{"s":"{\"card\":\"x\",\"a\":\"\\u0041\"}"}"#),
        format!(r#"{{"s":"{{\"card\":\"{x}\",\"a\":\"\\u0041\"}}"}}"#)
    );
    assert_eq!(of(r#"{"a":1,"card":"x"#), format!(r#"{{"a":1,"card":"{x}"#));
    assert_eq!(
        of("{\"card\":\"x\"}\n{\"card\":\"x\"}\n"),
        format!("{{\"card\":\"{x}\"}}\n{{\"card\":\"{x}\"}}\n")
    );
    assert_eq!(of(r#"{"c\u0061rd":"x"}"#), format!(r#"{{"c\u0061rd":"{x}"}}"#));
    // No JSON after all.
    assert_eq!(of("{card = 'x', pin: x}"), format!("{{card = '{x}', pin: {x}}}"));
    assert_eq!(
        of("data: {\"card\":\"x\"}\n\ndata: z\n"),
        format!("data: {{\"card\":\"{x}\"}}\n\ndata: z\n")
    );
}

#[test]
fn every_copy_in_the_head_is_reached() {
    let document = json!({
        "l7protocol": "http", "location": "/u/jane%40example.com",
        "session": "tok-1234",
        "http": {"req": {
            "method": "GET", "host": "h", "url": "/u/jane%40example.com",
            "uri": "/u/jane%40example.com?token=a%20b&x=1&user%5Bpin%5D=7",
            "queryParams": {"token": ["a b"], "x": ["1"], "user[pin]": ["7"]},
            "headers": {
                "Authorization": ["Bearer tok-1234"], "Cookie": ["a=1; token=\"q\"; pin=7"],
                "Referer": ["http://h/p?token=a%20b"], "Content-Type": ["text/plain"],
            },
            "headBase64": base64("GET /u/jane%40example.com?token=a%20b HTTP/1.1\r\nauthorization:  Bearer tok-1234\r\n\r\n"),
        }, "res": {"headers": {"Set-Cookie": ["pin=7; Path=/; HttpOnly"]}}},
        "signature": {"http:url": base64("/u/jane%40example.com"), "http:queryparams": base64("token=a b&x=1"), "instance": base64("0")},
        "tokenList": {"JWT:tok-1234": {"id": "JWT:tok-1234"}},
        "events": [{"message": "could not use tok-1234"}],
        "tags": {"note": "was tok-1234", "k8sAppLabel": "tok-1234"},
    });
    let redacted = redact(&["authorization", "token", "pin"], &document);
    let text = redacted.to_string();
    for secret in ["jane", "example.com", "a b", "a%20b", "\\\"q\\\""] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(text.matches("tok-1234").count(), 1, "{text}");
    let token = "REDACTED-UNRECOGNIZED-c48d8d25f4bd1b4e0e04";
    let session = at(&redacted, "/session");
    assert!(session.starts_with("REDACTED-UNRECOGNIZED-") && session.len() == token.len());
    assert_eq!(at(&redacted, "/http/req/headers/Authorization/0"), format!("Bearer {session}"));
    assert_eq!(at(&redacted, "/tags/note"), format!("was {session}"));
    let head = body(&redacted, "/http/req/headBase64");
    assert!(head.contains(&format!("authorization:  Bearer {session}\r\n")), "{head}");
    let uri = at(&redacted, "/http/req/uri");
    let query = at(&redacted, "/http/req/queryParams/token/0");
    assert!(uri.contains(&format!("?token={query}&x=1&user%5Bpin%5D=REDACTED-")), "{uri}");
    assert_eq!(body(&redacted, "/signature/http:url"), at(&redacted, "/http/req/url"));
    assert_eq!(body(&redacted, "/signature/instance"), "0");
    assert!(at(&redacted, "/http/req/headers/Cookie/0").starts_with("a=1; token=\"REDACTED-"));
    let cookie = at(&redacted, "/http/res/headers/Set-Cookie/0");
    assert!(cookie.ends_with("; Path=/; HttpOnly") && !cookie.contains("pin=7"), "{cookie}");
}

#[test]
fn nothing_changes_in_a_record_without_a_match() {
    for line in golden!("before.jsonl").lines() {
        let before: Value = serde_json::from_str(line).unwrap();
        let mut after = redact(&["nothing"], &before);
        let members = after.as_object_mut().unwrap();
        if before["command"] == "POST" {
            // The only one with a card.
            assert_eq!(members["dlpModified"], true);
            continue;
        }
        assert_eq!(members.shift_remove("dlpModified"), Some(json!(false)));
        assert_eq!(members.shift_remove("dlpRule"), Some(json!("test")));
        assert_eq!(after, before);
    }
}

#[test]
fn lengths_follow_the_body() {
    let text = r#"{"pin":"1"}"#;
    let document = json!({"http": {"req": {
        "headers": {"Content-Length": [text.len().to_string()]}, "bodyBase64": base64(text),
    }}});
    let redacted = redact(&["pin"], &document);
    let length: usize = at(&redacted, "/http/req/headers/Content-Length/0").parse().unwrap();
    assert_eq!(length, body(&redacted, "/http/req/bodyBase64").len());
    // A body that was cut keeps its distance.
    let document = json!({"http": {"req": {
        "headers": {"Content-Length": ["1000"]}, "bodyBase64": base64(text), "bodyBytes": 1000,
    }}});
    let cut = redact(&["pin"], &document);
    let said: usize = at(&cut, "/http/req/headers/Content-Length/0").parse().unwrap();
    assert_eq!(said, 1000 + length - text.len());
}

#[test]
fn what_cannot_be_decoded_goes_or_stays_as_the_policy_says() {
    let document = json!({"http": {"res": {"statusCode": 200, "body": "pin=1",
        "headers": {"Content-Encoding": ["lzma"], "Content-Length": ["3"]}, "bodyBase64": base64("abc"),
    }}});
    let removed = redact(&["pin"], &document);
    assert!(removed.pointer("/http/res/bodyBase64").is_none());
    assert!(removed.pointer("/http/res/body").is_none());
    assert_eq!(at(&removed, "/http/res/headers/Content-Length/0"), "0");
    assert_eq!(removed["dlpModified"], true);
    let keep = PolicySource { when_undecodable: WhenUndecodable::Keep, ..policy(&["pin"]) };
    let kept = redact_with(&keep, &document);
    assert_eq!(body(&kept, "/http/res/bodyBase64"), "abc");
}

#[test]
fn a_profile_that_denies_keeps_only_its_paths() {
    let deny = PolicySource {
        profile: Profile::DenyByDefault,
        action: Action::Mask,
        paths: vec!["http.req.body.$.keep".to_owned(), "http.req.headers.accept".to_owned()],
        ..PolicySource::default()
    };
    let document = json!({"location": "/a/bc", "http": {"req": {
        "method": "POST", "url": "/a/bc", "uri": "/a/bc?q=xyz",
        "headers": {"Accept": ["*/*"], "X-Any": ["abc"], "Content-Type": ["application/json"]},
        "bodyBase64": base64(r#"{"keep":{"a":"b"},"other":["cd",12,null]}"#),
    }, "res": {"bodyBase64": base64("plain text")}}});
    let redacted = redact_with(&deny, &document);
    assert_eq!(
        body(&redacted, "/http/req/bodyBase64"),
        r#"{"keep":{"a":"b"},"other":["**","**",null]}"#
    );
    assert_eq!(body(&redacted, "/http/res/bodyBase64"), "**********");
    assert_eq!(at(&redacted, "/http/req/headers/Accept/0"), "*/*");
    assert_eq!(at(&redacted, "/http/req/headers/X-Any/0"), "***");
    assert_eq!(at(&redacted, "/http/req/headers/Content-Type/0"), "application/json");
    assert_eq!(at(&redacted, "/http/req/uri"), "/*/**?q=***");
    assert_eq!(at(&redacted, "/location"), "/*/**");
}

#[test]
fn sql_values_belong_to_columns() {
    let document = json!({"l7protocol": "postgres",
    "location": "INSERT INTO t ( a, pin ) VALUES ( 1, 'two' )",
    "postgres": {
        "request": {"bind": {"parameters": [{"asString": "p0"}, {"asString": "p1"}],
            "parseRequest": {"query": "UPDATE t SET a = $1 WHERE pin = $2"}}},
        "response": {"query": {"messages": [
            {"rowDescription": {"fields": [{"name": "a"}, {"name": "pin"}]}},
            {"dataRow": {"values": [{"asString": "r0"}, {"asString": "r1"}]}},
        ]}}}});
    let redacted = redact(&["pin"], &document).to_string();
    for (secret, stays) in
        [("two", false), ("p0", true), ("p1", false), ("r0", true), ("r1", false)]
    {
        assert_eq!(
            redacted.contains(&format!("{secret}\"")) || redacted.contains(&format!("'{secret}'")),
            stays,
            "{secret} {redacted}"
        );
    }
}

#[test]
fn counts_and_hash_are_reported_for_objects_of_the_cluster() {
    let reporting = PolicySource { report: true, ..policy(&["pin"]) };
    let document = json!({"http": {"req": {"bodyBase64": base64(r#"{"pin":"1","a":"x@y.io"}"#)}}});
    let redacted = redact_with(&reporting, &document);
    assert_eq!(at(&redacted, "/tags/dlpHits"), "EMAIL=1,UNRECOGNIZED=1");
    assert_eq!(at(&redacted, "/tags/dlpPolicyHash"), reporting.hash());
    let again = redact_with(&reporting, &redacted);
    assert_eq!(at(&again, "/tags/dlpHits"), "");
    assert_eq!(again["dlpModified"], true);
}

#[test]
fn paths_lead_into_xml_by_elements_and_attributes() {
    let of = |paths: &[&str], text: &str| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let redactor = Redactor::compile(&[PolicySource { paths, ..policy(&[]) }]).unwrap();
        let document = json!({"http": {"req": {"headers": {"Content-Type": ["text/xml"]},
            "bodyBase64": base64(text)}}});
        let record = documents::from_slice(document.to_string().as_bytes()).unwrap();
        let record = redactor.redact(Raw(record)).unwrap().record.into_record();
        String::from_utf8(record.http.unwrap().req.body.0).unwrap()
    };
    let text = r#"<s:e a="x"><card><no>x</no><![CDATA[x]]></card><no k="x">x</no></s:e>"#;
    let x = "REDACTED-UNRECOGNIZED-2d711642b726b0440162";
    let expect = |places: &[usize]| {
        let mut parts = text.split('x').collect::<Vec<_>>().into_iter();
        let mut out = parts.next().unwrap().to_owned();
        for (place, part) in parts.enumerate() {
            out += if places.contains(&place) { x } else { "x" };
            out += part;
        }
        out
    };
    assert_eq!(of(&["http.req.body.$.e.card.no"], text), expect(&[1]));
    assert_eq!(of(&["http.req.body.e.card"], text), expect(&[1, 2]));
    assert_eq!(of(&["http.req.body.$.e['@a']"], text), expect(&[0]));
    assert_eq!(of(&["http.req.body.$.e.no"], text), expect(&[3, 4]));
    assert_eq!(of(&["http.req.body.$.no", "http.res.body.e"], text), text);
}
