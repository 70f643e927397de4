use proptest::prelude::*;
use serde_json::json;

use super::*;

const GOLDEN: [&str; 4] = [
    include_str!("../../../../fixtures/contract/golden/http-get-200.json"),
    include_str!("../../../../fixtures/contract/golden/http-get-del-char-500.json"),
    include_str!("../../../../fixtures/contract/golden/http-post-503.json"),
    include_str!("../../../../fixtures/contract/golden/grpc-unary.json"),
];

fn document(text: &str) -> Map<String, Value> {
    object_from_slice(text.as_bytes()).unwrap()
}

/// A document after an edit of its Markdown.
fn edited(text: &str, from: &str, to: &str) -> Value {
    let markdown = write(&document(text)).unwrap();
    assert!(markdown.contains(from), "{markdown}");
    Value::Object(read(&markdown.replacen(from, to, 1)).unwrap())
}

#[test]
fn a_golden_record_is_shown_in_the_order_and_form_of_the_contract() {
    let markdown = write(&document(GOLDEN[0])).unwrap();
    let expected = r#"### REQUEST ###
```
GET http://orders-api:8080/v1/orders/42?expand=lines HTTP/1.1
Accept: application/json
Host: orders-api
User-Agent: golden/1
```

```
```

### RESPONSE ###
```
HTTP/1.1 200 OK
Content-Type: application/json
Vary: Accept, Origin
```

```
{
  "id": 42,
  "state": "packed",
  "lines": [
    {
      "sku": "mug-01",
      "qty": 2
    }
  ]
}
```

### SIGNATURE ###
```
http:host is orders-api
http:method is GET
http:queryparams is expand=lines
http:url is /v1/orders/42
```

### METADATA ###
```
direction: IN
uuid: 3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01
ts: 2026-09-01T10:15:30.000250417Z
duration: 12ms
tags: captureMode=eBPF, k8sAppLabel=orders-api, k8sAppPodName=orders-api-6c9f7d5b8-q2x4z, k8sAppPodNamespace=shop, k8sClusterName=dev-east, proxyId=orders-api-6c9f7d5b8-q2x4z, proxyLocation=in, proxyProtocol=, proxyType=none, proxyVersion=v0.1.0, sequence=101, source=goproxy
```

### INTERNAL - DO NOT MODIFY ###
```
json: "#;
    assert!(markdown.starts_with(expected), "{markdown}");
    assert!(markdown.ends_with("}\n```\n"));
}

#[test]
fn golden_records_come_back_exactly() {
    for golden in GOLDEN {
        let document = document(golden);
        assert_eq!(read(&write(&document).unwrap()).unwrap(), document);
        // An editor that ends lines as on Windows changes no meaning.
        let crlf = write(&document).unwrap().replace('\n', "\r\n");
        let again = read(&crlf).unwrap();
        assert_eq!(again["signature"], document["signature"]);
        assert_eq!(again["http"]["req"]["uri"], document["http"]["req"]["uri"]);
    }
    let postgres = include_str!("../../../../fixtures/contract/golden/postgres-query.json");
    assert_eq!(write(&document(postgres)), None);
}

#[test]
fn what_is_edited_is_taken_over_and_nothing_else() {
    let before = Value::Object(document(GOLDEN[0]));
    let body = edited(GOLDEN[0], "\"packed\"", "\"lost\"");
    let text =
        json!({"id": 42, "state": "lost", "lines": [{"sku": "mug-01", "qty": 2}]}).to_string();
    assert_eq!(body["http"]["res"]["bodyBase64"], BASE64_STANDARD.encode(&text));
    assert_eq!(body["http"]["res"]["headers"]["Content-Length"][0], text.len().to_string());
    assert_eq!(body["http"]["req"], before["http"]["req"]);
    assert_eq!(body["netinfo"], before["netinfo"]);

    let status = edited(GOLDEN[0], "HTTP/1.1 200 OK", "HTTP/1.1 503");
    assert_eq!(
        (&status["status"], &status["http"]["res"]["statusCode"]),
        (&json!("503"), &json!(503))
    );
    let target = edited(GOLDEN[0], "orders-api:8080/v1/orders/42?expand=lines", "b:9/x?y=%7F");
    assert_eq!(target["http"]["req"]["uri"], "/x?y=%7F");
    assert_eq!(target["http"]["req"]["host"], "b:9");
    assert_eq!(target["http"]["req"]["headers"]["Host"], json!(["b:9"]));
    assert_eq!((&target["location"], &target["network_address"]), (&json!("/x"), &json!("b:9")));
    assert_eq!(target["http"]["req"].get("queryParams"), None);
    let vary = edited(GOLDEN[0], "Vary: Accept, Origin", "Vary: a\\, b, c\\\\");
    assert_eq!(vary["http"]["res"]["headers"]["Vary"], json!(["a, b", "c\\"]));
    let signature = edited(GOLDEN[0], "is expand=lines", "is -NONE-");
    assert_eq!(signature["signature"]["http:queryparams"], "");
    assert_eq!(signature["signature"]["http:url"], before["signature"]["http:url"]);
    let tag = edited(GOLDEN[0], "sequence=101", "sequence=7, new=1");
    assert_eq!((&tag["tags"]["sequence"], &tag["tags"]["new"]), (&json!("7"), &json!("1")));
    let direction = edited(GOLDEN[0], "direction: IN", "direction: OUT");
    assert_eq!(direction["direction"], "OUT");
}

#[test]
fn a_file_that_a_person_wrote_needs_no_internal_section() {
    let text = "### REQUEST (MOCK) ###\n```\nPOST https://api.example/v1?a=1 HTTP/1.1\nX-A: 1\n```\n\n```\n{ \"a\": [ ] }\n```\n\n\
        ### RESPONSE ###\n```\nHTTP/1.1 201 Made\n```\n\n### METADATA ###\n```\ndirection: OUT\n```\n";
    let record = from_map(read(text).unwrap()).unwrap();
    assert_eq!((record.direction, record.status.as_ref()), (crate::Direction::Out, "201"));
    let http = record.http.unwrap();
    assert_eq!((http.req.uri.as_str(), http.req.host.as_str()), ("/v1?a=1", "api.example"));
    assert_eq!(http.req.body.0, b"{\"a\":[]}");
    assert_eq!(http.res.unwrap().status_message, "201 Made");
}

#[test]
fn what_is_damaged_is_named_with_its_line() {
    let markdown = write(&document(GOLDEN[0])).unwrap();
    let refused =
        |from: &str, to: &str| read(&markdown.replacen(from, to, 1)).unwrap_err().to_string();
    assert_eq!(read("# notes\n"), Err(ReadMarkdown::NoRequest));
    assert_eq!(refused("json: {", "json: "), "the section INTERNAL, at line 50, holds no RRPair");
    assert_eq!(
        refused("GET http:", "GET ftp:"),
        "line 3: write METHOD scheme://host:port/path HTTP/version"
    );
    assert_eq!(refused("HTTP/1.1 200", "HTTP/1.1 x"), "line 14: write HTTP/version status reason");
    assert!(refused("direction: IN", "direction: in").contains("METADATA"));
    let cut = markdown.trim_end().trim_end_matches('`');
    assert!(matches!(read(cut), Err(ReadMarkdown::OpenBlock { line: 50 })));
}

#[test]
fn names_of_files_are_times() {
    let ts: Timestamp = "2026-09-01T10:15:30.000250417Z".parse().unwrap();
    assert_eq!(file_stem(ts), "2026-09-01_10-15-30.000250417Z");
    assert_eq!(short_time(Timestamp(0)), "1970-01-01T00:00:00Z");
    assert_eq!(short_time(Timestamp(1_500_000_000)), "1970-01-01T00:00:01.5Z");
}

proptest! {
    #[test]
    fn any_record_comes_back_exactly(record in crate::arbitrary::record()) {
        let document = to_map(&record);
        if let Some(markdown) = write(&document) {
            prop_assert_eq!(read(&markdown), Ok(document));
        } else {
            prop_assert!(record.http.is_none());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(### (REQUEST|RESPONSE|METADATA|SIGNATURE|INTERNAL - DO NOT MODIFY) ###\n|```\n|GET http://a/b HTTP/1.1\n|HTTP/1.1 200 x\n|json: \\{\\}\n|direction: IN\n|a is b\n|.\n){0,12}") {
        read(&text).ok();
    }

    #[test]
    fn json_keeps_all_but_its_blanks(value in "[\\[{\"\\\\a1:,}\\] ]{0,20}", deep in prop::collection::vec(any::<String>(), 0..4)) {
        let text = json!({ "a": deep, "b": [{}, [], 1e9] }).to_string();
        let pretty = json_text::pretty(&text).unwrap();
        prop_assert_eq!(json_text::compact(&pretty), Some(text.clone()));
        prop_assert_eq!(pretty, format!("{:#}", serde_json::from_str::<Value>(&text).unwrap()));
        if let Some(compact) = json_text::compact(&value) {
            prop_assert_eq!(json_text::compact(&json_text::pretty(&compact).unwrap()), Some(compact));
        }
    }
}
