use super::*;

fn parsed(selector: serde_json::Value) -> Result<Selector, String> {
    let selector: LabelSelector = serde_json::from_value(selector).unwrap();
    Selector::new(&selector).map_err(|error| error.to_string())
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn expression(key: &str, operator: &str, values: &[&str]) -> serde_json::Value {
    serde_json::json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
}

#[test]
fn an_empty_selector_matches_everything() {
    let selector = parsed(serde_json::json!({})).unwrap();
    assert!(selector.matches(&labels(&[])));
    assert!(selector.matches(&labels(&[("app", "shop")])));
}

#[test]
fn all_requirements_must_hold() {
    let selector = parsed(serde_json::json!({
        "matchLabels": {"app": "shop"},
        "matchExpressions": [{"key": "tier", "operator": "Exists"}],
    }))
    .unwrap();
    assert!(selector.matches(&labels(&[("app", "shop"), ("tier", "")])));
    assert!(!selector.matches(&labels(&[("app", "shop")])));
    assert!(!selector.matches(&labels(&[("tier", "web")])));
}

#[test]
fn each_operator_means_what_kubernetes_says() {
    let check = |operator, values: &[&str], absent, a, b| {
        let selector = parsed(expression("k", operator, values)).unwrap();
        let got = [&labels(&[]), &labels(&[("k", "a")]), &labels(&[("k", "b")])]
            .map(|set| selector.matches(set));
        assert_eq!(got, [absent, a, b], "{operator}");
    };
    check("In", &["a", "c"], false, true, false);
    check("NotIn", &["a", "c"], true, false, true);
    check("Exists", &[], false, true, true);
    check("DoesNotExist", &[], true, false, false);
}

#[test]
fn what_is_no_requirement_is_refused_with_its_place() {
    let check = |selector, expect: &str| assert_eq!(parsed(selector).unwrap_err(), expect);
    check(
        expression("k", "Equals", &["a"]),
        r#"matchExpressions[0].operator: "Equals" is not one of In, NotIn, Exists, DoesNotExist"#,
    );
    check(expression("k", "In", &[]), "matchExpressions[0].values: In needs at least one value");
    check(expression("k", "Exists", &["a"]), "matchExpressions[0].values: Exists allows no values");
    check(
        expression("", "Exists", &[]),
        r#"matchExpressions[0].key: "" is no label key: [prefix/]name, name at most 63 of A-Z a-z 0-9 - _ ."#,
    );
    check(
        serde_json::json!({"matchLabels": {"app": "a b"}}),
        r#"matchLabels[app]: "a b" is no label value: at most 63 of A-Z a-z 0-9 - _ ., alphanumeric at both ends"#,
    );
}

#[test]
fn a_selector_survives_the_plan_document() {
    let selector = parsed(expression("weir.dev/exe", "In", &["nginx"])).unwrap();
    let text = serde_json::to_string(&selector).unwrap();
    assert_eq!(serde_json::from_str::<Selector>(&text).unwrap(), selector);
}

#[test]
fn a_selector_reads_as_kubectl_takes_it() {
    let selector = parsed(serde_json::json!({
        "matchLabels": {"app": "shop"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["web", "api"]},
            {"key": "stage", "operator": "NotIn", "values": ["test"]},
            {"key": "on", "operator": "Exists"},
            {"key": "debug", "operator": "DoesNotExist"},
        ],
    }));
    let expect = "app=shop,tier in (api,web),stage notin (test),on,!debug";
    assert_eq!(selector.unwrap().to_string(), expect);
    assert_eq!(Selector::default().to_string(), "everything");
}
