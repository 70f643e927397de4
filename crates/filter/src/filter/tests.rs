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

#[test]
fn the_standard_rule_drops_the_reference_examples() {
    let standard = Filter::named("standard").unwrap();
    assert_eq!(standard.id(), "standard");
    let request = |agent: &str, host: &str, path: &str| {
        pair(|pair| {
            let request = &mut pair.http.as_mut().unwrap().req;
            request.headers = weir_rrpair::Fields::default();
            request.headers.push("User-Agent", agent);
            request.host = host.to_owned();
            request.url = path.to_owned();
        })
    };
    for (agent, host, path) in [
        ("ELB-HealthChecker/2.0", "shop", "/"),
        ("kube-probe/1.31", "shop", "/"),
        ("Prometheus/2.53.0", "shop", "/metrics"),
        ("GoogleHC/1.0", "shop", "/"),
        ("apm-agent-java/1.50.0", "apm:8200", "/config"),
        ("curl/8", "shop", "/healthz"),
        ("curl/8", "shop", "/api/livez"),
        ("curl/8", "shop", "/readyz?verbose"),
        ("curl/8", "shop", "/hystrix.stream"),
        ("x", "monitoring.us-east-1.amazonaws.com", "/"),
        ("x", "Trace.Agent.DataDogHQ.com:443", "/api/v0.2/traces"),
        ("x", "localhost:8126", "/v0.4/traces"),
        ("x", "abc123.live.dynatrace.com", "/"),
        ("x", "acme.saas.appdynamics.com", "/"),
        ("x", "apm:8200", "/intake/v2/events"),
        ("x", "cloudtrace.googleapis.com", "/v2/projects/p/traces:batchWrite"),
        ("x", "ingest.lightstep.com:443", "/"),
        ("x", "collector-7.newrelic.com", "/agent_listener/invoke_raw_method"),
        ("x", "otel-collector:4318", "/v1/traces"),
        ("x", "c:4317", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
        ("x", "o1.ingest.us.sentry.io", "/api/2/envelope/"),
        ("x", "ingest.eu.signoz.cloud:443", "/"),
        ("x", "lib-us-1.brilliantcollector.com", "/collector/collectorPost"),
        ("x", "zipkin:9411", "/api/v2/spans"),
    ] {
        assert!(standard.drops(&request(agent, host, path)), "{agent} {host}{path}");
    }
    for (agent, host, path) in [
        ("curl/8", "shop", "/v1/orders"),
        ("curl/8", "shop", "/health"),
        ("kube-prober", "shop.example", "/"),
        ("curl/8", "logs.example", "/api/v1/logs"),
        ("curl/8", "shop", "/v1/traces/7"),
        ("kube-PROBE/1", "shop", "/"),
    ] {
        let expect = agent.contains("kube-probe");
        assert_eq!(standard.drops(&request(agent, host, path)), expect, "{agent} {host}{path}");
    }
}

#[test]
fn every_rule_that_ships_can_be_read_and_compiled() {
    for name in NAMED_RULES {
        assert_eq!(Filter::named(name).unwrap().id(), name);
        let document = RuleDocument::named(name).unwrap();
        assert!(document.conditions.iter().all(|group| group.note.is_some()), "{name}");
    }
    assert_eq!(
        Filter::named("nonsense").unwrap_err().to_string(),
        r#"no filter rule "nonsense" ships with this version; known: standard"#
    );
}

#[test]
fn operators_compare_as_they_say() {
    let pair = pair(|_| {});
    let location = |operator: &str, value: &str| {
        drops_one(json!({"include": true, "operator": operator, "detectedLocation": value}), &pair)
    };
    assert!(location("CONTAINS", "harge"));
    assert!(location("CONTAINS", ""));
    assert!(!location("CONTAINS", "CHARGE"));
    assert!(location("EQUAL", "/charges"));
    assert!(!location("EQUAL", "/charge"));
    assert!(location("REGEX", "^/char[a-z]+$"));
    assert!(!location("REGEX", "^char"));
}

#[test]
fn every_criterion_looks_at_its_place() {
    let mut pair = pair(|pair| {
        let request = &mut pair.http.as_mut().unwrap().req;
        request.headers.push("X-Two", "one");
        request.headers.push("X-Two", "two");
    });
    let both = |pair: &RrPair, criterion: Value, other: Value| {
        let one = |include: bool, criterion: &Value| {
            let mut filter = criterion.clone();
            filter["include"] = include.into();
            filter["operator"] = "EQUAL".into();
            drops_one(filter, pair)
        };
        assert!(one(true, &criterion) && !one(false, &criterion), "{criterion}");
        assert!(!one(true, &other) && one(false, &other), "{other}");
    };
    both(&pair, json!({"host": "PAY.example.net"}), json!({"host": "example.net"}));
    let tag = |value: &str| json!({"tag": {"key": "captureMode", "value": value}});
    both(&pair, tag("eBPF"), tag("proxy"));
    both(&pair, json!({"tech": "JSON"}), json!({"tech": "json"}));
    both(&pair, json!({"l7protocol": "https"}), json!({"l7protocol": "http"}));
    both(
        &pair,
        json!({"network_address": "pay.example.net:443"}),
        json!({"network_address": "pay"}),
    );
    both(&pair, json!({"service": "orders-api"}), json!({"service": "orders"}));
    both(&pair, json!({"cluster": "dev-east"}), json!({"cluster": "dev"}));
    both(&pair, json!({"namespace": "shop"}), json!({"namespace": "shops"}));
    both(&pair, json!({"optUrl": "/charges"}), json!({"optUrl": "/charge"}));
    both(&pair, json!({"detectedCommand": "POST"}), json!({"detectedCommand": "GET"}));
    both(&pair, json!({"detectedLocation": "/charges"}), json!({"detectedLocation": "/"}));
    both(&pair, json!({"detectedStatus": "503"}), json!({"detectedStatus": "200"}));
    both(&pair, json!({"direction": "OUT"}), json!({"direction": "IN"}));
    let header = |key: &str, value: &str| json!({"header": {"key": key, "value": value}});
    both(&pair, header("x-two", "two"), header("X-Two", "three"));
    let part = |kind: &str, key: &str, value: &str| json!({"reqFilter": {"key": key, "value": value, "type": kind}});
    both(&pair, part("json", "currency", "EUR"), part("json", "currency.a", "EUR"));
    both(&pair, part("json", "amount", "1999"), part("json", "amount", "199"));
    both(&pair, part("header", "x-two", "two"), part("query", "x-two", "two"));
    both(&pair, json!({"session": "test-token-1"}), json!({"session": "test"}));
    let answer = |value: &str| json!({"responseJson": {"key": "error", "value": value}});
    both(&pair, answer("upstream_timeout"), answer("x"));
    both(&pair, header("content-TYPE", "application/json"), header("No-Such", ""));
    let hyphenated = pair.uuid.to_string();
    both(
        &pair,
        json!({"uuid": "Wgwvd2DyTQyPOW8fKpx3Ag=="}),
        json!({"uuid": "AAAAAAAAAAAAAAAAAAAAAA=="}),
    );
    both(
        &pair,
        json!({"uuid": hyphenated}),
        json!({"uuid": "00000000-0000-4000-8000-000000000000"}),
    );
    let json_body = r#"{"amount":1999,"card":"4000-0000-0000-0002","currency":"EUR"}"#;
    both(&pair, json!({"requestBodyJson": json_body}), json!({"requestBodyJson": "{}"}));
    pair.signature = None;
    both(&pair, json!({"requestBodyJson": json_body}), json!({"requestBodyJson": "{}"}));
}

#[test]
fn a_body_is_found_by_its_hash_and_xml_by_its_text() {
    let pair = pair(|pair| {
        pair.signature = None;
        let request = &mut pair.http.as_mut().unwrap().req;
        request.headers.0.retain(|(name, _)| name != "Content-Type");
        request.headers.push("Content-Type", "text/xml; charset=utf-8");
        request.body.0 = b"abc".to_vec();
    });
    let hash = |value: &str| drops_one(json!({"include": true, "requestBodyHash": value}), &pair);
    assert!(hash("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert!(hash("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="));
    assert!(!hash("0000000000000000000000000000000000000000000000000000000000000000"));
    let xml = |value: &str| {
        drops_one(json!({"include": true, "operator": "CONTAINS", "requestBodyXml": value}), &pair)
    };
    assert!(xml("b") && !xml("d"));
}

#[test]
fn a_time_range_has_its_start_and_not_its_end() {
    let pair = pair(|_| {});
    let range = |range: Value| drops_one(json!({"include": true, "timeRange": range}), &pair);
    let ts = "2026-09-01T10:15:31.104000000Z";
    assert!(range(json!({"startTime": ts})));
    assert!(!range(json!({"endTime": ts})));
    assert!(range(json!({"startTime": "2026-09-01T00:00:00Z", "endTime": "2026-09-02T00:00:00Z"})));
    assert!(!range(json!({"startTime": "2026-09-02T00:00:00Z"})));
}

#[test]
fn a_rule_with_a_sample_keeps_what_the_sample_has() {
    let rule = |keep: u32, out_of: u32| {
        let sample = json!({"include": true, "sample": {"keep": keep, "out_of": out_of}});
        compile(json!({"id": "t", "conditions": [{"filters": [sample]}]})).unwrap()
    };
    let (fifth, all) = (rule(1, 5), rule(5, 5));
    let sessions: Vec<_> =
        (0..1_000).map(|n| pair(|pair| pair.session = Some(format!("user-{n}")))).collect();
    let kept = sessions.iter().filter(|pair| !fifth.drops(pair)).count();
    assert!((150..250).contains(&kept), "{kept}");
    assert!(!sessions.iter().any(|pair| all.drops(pair)));
}

#[test]
fn groups_join_as_their_operators_say_and_missing_means_and() {
    let pair = pair(|_| {});
    let yes = json!({"include": true, "operator": "EQUAL", "detectedStatus": "503"});
    let no = json!({"include": true, "operator": "EQUAL", "detectedStatus": "200"});
    let not_no = json!({"include": false, "operator": "EQUAL", "detectedStatus": "200"});
    let drops = |outer: Value, inner: Value, groups: &[&[&Value]]| {
        let conditions: Vec<_> = groups
            .iter()
            .map(|filters| {
                let mut group = json!({"filters": filters});
                if !inner.is_null() {
                    group["operator"] = inner.clone();
                }
                group
            })
            .collect();
        let mut rule = json!({"id": "t", "conditions": conditions});
        if !outer.is_null() {
            rule["operator"] = outer;
        }
        compile(rule).unwrap().drops(&pair)
    };
    let null = Value::Null;
    assert!(!drops(null.clone(), null.clone(), &[&[&yes, &no]]));
    assert!(drops(null.clone(), null.clone(), &[&[&yes, &not_no]]));
    assert!(drops(null.clone(), json!("OR"), &[&[&yes, &no]]));
    assert!(!drops(null.clone(), json!("OR"), &[&[&yes, &no], &[&no, &no]]));
    assert!(drops(json!("OR"), json!("OR"), &[&[&no, &no], &[&no, &yes]]));
    assert!(drops(json!("OR"), json!("AND"), &[&[&yes, &no], &[&yes, &not_no]]));
    assert!(!drops(json!("OR"), null, &[&[&yes, &no], &[&no]]));
    assert!(!drops(json!("AND"), json!("AND"), &[&[&yes], &[&no]]));
}

#[test]
fn an_allow_list_drops_everything_else() {
    let rule = compile(json!({"id": "t", "conditions": [{"operator": "AND", "filters": [
        {"include": false, "operator": "CONTAINS", "detectedLocation": "/orders"},
        {"include": false, "operator": "CONTAINS", "detectedLocation": "/charges"},
    ]}]}))
    .unwrap();
    assert!(!rule.drops(&pair(|_| {})));
    assert!(!rule.drops(&pair(|pair| pair.location = "/orders/1".to_owned())));
    assert!(rule.drops(&pair(|pair| pair.location = "/carts".to_owned())));
}

#[test]
fn a_criterion_that_cannot_be_judged_is_an_error_that_names_it() {
    let refused = |filter: Value, expect: &str| {
        let rule = json!({"id": "t", "conditions": [{"filters": [
            {"include": true, "operator": "EQUAL", "host": "a"}, filter
        ]}]});
        assert_eq!(compile(rule).unwrap_err(), format!("conditions[0].filters[1]: {expect}"));
    };
    let any = json!({"key": "a", "value": "b"});
    refused(json!({"include": true, "httpReqXPath": any}), "httpReqXPath is not supported");
    refused(json!({"include": true, "httpReqSoapXPath": any}), "httpReqSoapXPath is not supported");
    refused(
        json!({"include": true, "reqFilter": {"key": "a", "value": "b", "type": "c"}}),
        "reqFilter must have the type json, header or query",
    );
    refused(json!({"include": true, "snapshotId": "a"}), "snapshotId is not supported");
    refused(
        json!({"include": true, "host": "a"}),
        "host needs an operator: CONTAINS, EQUAL or REGEX",
    );
    refused(
        json!({"include": true, "operator": "REGEX", "host": "("}),
        "host has a regular expression that is invalid or too large",
    );
    refused(
        json!({"include": true, "operator": "REGEX", "host": "(a{1000}){1000}"}),
        "host has a regular expression that is invalid or too large",
    );
    refused(json!({"include": true, "direction": "in"}), "direction must be IN or OUT");
    refused(
        json!({"include": true, "operator": "REGEX", "direction": "IN"}),
        "direction allows no operator but EQUAL",
    );
    refused(
        json!({"include": true, "sample": {"keep": 2, "out_of": 1}}),
        "sample must have out_of >= keep >= 1",
    );
    refused(
        json!({"include": true, "timeRange": {}}),
        "timeRange must have RFC 3339 times, at least one of startTime and endTime, start before end",
    );
    refused(
        json!({"include": true, "operator": "EQUAL", "header": {"key": "", "value": "b"}}),
        "header has an empty key",
    );
    refused(
        json!({"include": true, "uuid": "x"}),
        "uuid must be base64 of 16 bytes or hyphenated text",
    );
    refused(
        json!({"include": true, "requestBodyHash": "é".repeat(32)}),
        "requestBodyHash must be 64 hex digits or base64 of 32 bytes",
    );
}

#[test]
fn a_rule_without_criteria_is_refused() {
    assert_eq!(
        compile(json!({"id": "t", "conditions": []})).unwrap_err(),
        "conditions is empty: such a rule would drop everything"
    );
    assert_eq!(
        compile(json!({"id": "t", "conditions": [{"filters": []}]})).unwrap_err(),
        "conditions[0].filters is empty: such a group would match everything"
    );
}

#[test]
fn a_pair_without_http_is_judged_by_what_it_has() {
    let query = pair(|pair| {
        pair.http = None;
        pair.location = "SELECT 1".to_owned();
    });
    let one = |filter: Value| drops_one(filter, &query);
    assert!(one(json!({"include": true, "operator": "CONTAINS", "optUrl": "SELECT"})));
    assert!(one(json!({"include": true, "operator": "EQUAL", "host": "pay.example.net"})));
    assert!(!one(
        json!({"include": true, "operator": "CONTAINS", "header": {"key": "A", "value": ""}})
    ));
    assert!(!Filter::named("standard").unwrap().drops(&query));
}

proptest::proptest! {
    /// The merged searches of a rule mean what its filters mean one by one.
    #[test]
    fn merging_changes_nothing(
        texts in proptest::collection::vec(("[abAB]{0,3}", proptest::bool::ANY, 0..3_usize, 0..3_usize), 1..6),
        outer_or in proptest::bool::ANY,
        inner_or in proptest::bool::ANY,
        split in 0..6_usize,
        host in "[abAB]{0,5}",
        location in "[abAB]{0,5}",
    ) {
        let pair = pair(|pair| {
            pair.http.as_mut().unwrap().req.host = host;
            pair.location = location;
        });
        let filters: Vec<Value> = texts
            .iter()
            .map(|(text, include, operator, place)| {
                let operator = ["CONTAINS", "EQUAL", "REGEX"][*operator];
                let place = ["host", "detectedLocation", "service"][*place];
                json!({"include": include, "operator": operator, place: text})
            })
            .collect();
        let name = |or: bool| if or { "OR" } else { "AND" };
        let (first, second) = filters.split_at(split.clamp(1, filters.len()));
        let groups: Vec<&[Value]> = [first, second].into_iter().filter(|g| !g.is_empty()).collect();
        let conditions: Vec<Value> = groups
            .iter()
            .map(|filters| json!({"operator": name(inner_or), "filters": filters}))
            .collect();
        let rule = json!({"id": "t", "operator": name(outer_or), "conditions": conditions});

        let join = |or: bool, parts: Vec<bool>| {
            if or { parts.into_iter().any(|p| p) } else { parts.into_iter().all(|p| p) }
        };
        let expect = join(
            outer_or,
            groups
                .iter()
                .map(|group| {
                    join(inner_or, group.iter().map(|f| drops_one(f.clone(), &pair)).collect())
                })
                .collect(),
        );
        proptest::prop_assert_eq!(compile(rule).unwrap().drops(&pair), expect);
    }

    #[test]
    fn any_document_is_read_or_refused(text in "\\PC{0,60}|[\\[\\]{}\":,a-zA-Z ]{0,60}") {
        if let Ok(document) = serde_json::from_str::<RuleDocument>(&text)
            && let Ok(filter) = Filter::compile(&document)
        {
            proptest::prop_assert_eq!(filter.id(), document.id);
        }
    }
}
