use weir_rrpair::{Http, HttpResponse, NetInfo, RrPair};

use super::{Compiled, Expressions, check, eval};

fn pair() -> RrPair {
    let mut pair = RrPair {
        service: "orders".to_owned(),
        location: "/v1/orders".to_owned(),
        status: "503".into(),
        duration: 12,
        ts: "2026-09-01T10:15:30Z".parse().unwrap(),
        ..RrPair::default()
    };
    pair.tags.push("k8sAppLabel", "shop");
    let mut http = Http::default();
    http.req.headers.push("X-Many", "one");
    http.req.headers.push("X-Many", "two");
    http.req.headers.push("User-Agent", "kube-probe/1.31");
    http.req.body.0 = b"caf\xc3\xa9".to_vec();
    http.res = Some(HttpResponse { status_code: 503, ..HttpResponse::default() });
    pair.http = Some(http);
    pair
}

fn truth(expression: &str) -> Result<bool, eval::Failure> {
    let node = check::compile(expression).unwrap_or_else(|fault| panic!("{expression}: {fault}"));
    eval::truth(&node, &pair())
}

#[test]
fn expressions_are_what_they_say() {
    for (expression, expect) in [
        (r#"status == "503""#, true),
        (r#"status == "503" && location.startsWith("/healthz")"#, false),
        (r#"location.endsWith("ers") || 1 > 2"#, true),
        (r#"location.contains("/v1/") ? duration < 13 : false"#, true),
        (r"int(status) >= 500 && http.res.statusCode == 503", true),
        (r#"status in ["500", "503"]"#, true),
        ("int(status) in [500, 502]", false),
        (r#"location.matches("^/v[0-9]+/")"#, true),
        (r#""user-agent" in http.req.headers"#, true),
        (r#"http.req.headers["user-agent"][0].startsWith("kube-")"#, true),
        (r#"http.req.headers["X-Many"].exists(v, v == "two")"#, true),
        (r#"http.req.headers["X-Many"].all(v, v == "two")"#, false),
        (r#"http.req.headers.exists(name, name.lowerAscii().startsWith("x-"))"#, true),
        (r#"http.req.headers.exists(n, http.req.headers[n].exists(v, v == "one"))"#, true),
        (r#"tags.k8sAppLabel == "shop" && tags["k8sAppLabel"] == "shop""#, true),
        (r"has(tags.k8sAppLabel) && !has(tags.other)", true),
        ("has(http.res) && has(http.req) && !has(netinfo.upstream)", true),
        ("!has(http.req.host) && has(http.req.headers)", true),
        (r#"tech == """#, true),
        ("size(http.req.body) == 4 && http.req.headers.size() == 2", true),
        (r#"http.req.body.contains("é")"#, true),
        ("duration * 2 + 1 == 25 && duration % 5 == 2 && -duration < 0", true),
        ("double(duration) / 8.0 == 1.5", true),
        (r#"string(duration) + "ms" == "12ms""#, true),
        (r#"ts >= timestamp("2026-09-01T00:00:00Z")"#, true),
        (r#"direction == "IN" && !isTls"#, true),
        ("netinfo.upstream.port == 0", true),
        ("true ? false : true", false),
    ] {
        assert_eq!(truth(expression), Ok(expect), "{expression}");
    }
}

#[test]
fn what_has_no_value_is_false_unless_the_rest_settles_it() {
    for expression in [
        r#"http.req.headers["nope"][0] == """#,
        r#"http.req.headers["X-Many"][2] == """#,
        r#"tags.nope == """#,
        "int(location) > 0",
        "1 / 0 == 1",
        "9223372036854775807 + 1 > 0",
    ] {
        assert_eq!(truth(expression), Err(eval::Failure::NoValue), "{expression}");
        assert_eq!(truth(&format!("{expression} || true")), Ok(true));
        assert_eq!(truth(&format!("{expression} && false")), Ok(false));
        assert_eq!(truth(&format!("!({expression})")), Err(eval::Failure::NoValue));
    }
}

#[test]
fn what_does_not_fit_a_record_is_refused() {
    for (expression, expect) in [
        ("status ==", "is no CEL expression: "),
        ("statuss == \"1\"", r#"names "statuss", which no record has; known: resource, service"#),
        ("http.req.urll == \"\"", "known: http.req.method, http.req.url"),
        ("status == 200", "compares or joins string with int"),
        ("status", "uses string where bool is needed"),
        ("status.foo()", "calls foo, which is not known for string"),
        ("location.matches(status)", "it must be a string literal"),
        ("location.matches('(')", "regular expression"),
        ("location.matches('(a{1000}){1000}')", "regular expression"),
        ("ts > timestamp('soon')", "RFC 3339"),
        ("http.req.headers.map(h, h).size() > 0", "map(), filter() and exists_one()"),
        (
            "http.req.headers.all(a, http.req.headers.all(b, http.req.headers.all(c, a == b)))",
            "nests exists and all more than 2 deep",
        ),
        ("[1, 2].exists(x, x == 1)", "a list, except after `in`"),
        ("duration < 1.5", "compares or joins int with double"),
        ("tags.a.b == \"\"", r#"names "tags.a.b""#),
        ("null == null", "uses null"),
        (r"r'\' == '(('", "uses a raw or triple-quoted string or a comment"),
        (r#"""" "(" """ == "(""#, "uses a raw or triple-quoted string or a comment"),
        ("true // '\n", "uses a raw or triple-quoted string or a comment"),
    ] {
        let fault = check::compile(expression).map(|_| ()).unwrap_err().to_string();
        assert!(fault.contains(expect), "{expression}: {fault}");
    }
}

#[test]
fn nesting_is_refused_before_it_is_followed() {
    let repeated = |open: &str, middle: &str, close: &str| {
        let count = 4000 / (open.len() + close.len());
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    for deep in [
        repeated("(", "true", ")"),
        repeated("[", "1", "]"),
        repeated("{1:", "1", "}"),
        repeated("!", "true", ""),
        repeated("! ", "true", ""),
        repeated("-", "1", ""),
        repeated("- ", "1", ""),
        repeated("true?true:", "true", ""),
        repeated("true?", "true", ":true"),
        repeated("", "status", ".a"),
        repeated("", "status", "[0]"),
        repeated("", "status", ".a()"),
        repeated("1+", "1", ""),
        repeated("1<", "1", ""),
        repeated("", "tags", "?.a"),
        repeated("(", "", ""),
        repeated("", "", ")"),
    ] {
        assert!(check::compile(&deep).is_err(), "{deep}");
    }
    // These are flat.
    for wide in [repeated("true||", "true", ""), repeated("true&&", "true", "")] {
        assert_eq!(truth(&wide), Ok(true));
    }
    assert_eq!(truth(&format!("status != '{}'", "(!".repeat(1000))), Ok(true));
}

#[test]
fn keep_and_drop_work_together() {
    let drops = |keep: &[&str], drop: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let expressions = Expressions { keep: texts(keep), drop: texts(drop) };
        Compiled::new(&expressions).unwrap().drops(&pair())
    };
    assert!(!drops(&[], &[]));
    assert!(drops(&[], &["false", "true"]));
    assert!(!drops(&["false", "true"], &["false"]));
    assert!(drops(&["false"], &[]));
    assert!(drops(&["true"], &["true"]));
    // An expression without a value neither drops nor keeps.
    assert!(!drops(&[], &["int(location) > 0"]));
    assert!(drops(&["int(location) > 0"], &[]));
    let bad = Expressions { keep: vec!["true".to_owned(), "1".to_owned()], drop: vec![] };
    let error = Compiled::new(&bad).unwrap_err().to_string();
    assert_eq!(error, "keep[1]: uses int where bool is needed");
}

#[test]
fn a_costly_expression_ends_without_a_value() {
    let mut pair = pair();
    let http = pair.http.as_mut().unwrap();
    http.req.body.0 = vec![b'a'; 1 << 20];
    for number in 0..200 {
        http.req.headers.push(format!("X-{number}"), "v");
    }
    let node = check::compile("http.req.headers.all(n, !http.req.body.contains('b'))").unwrap();
    assert_eq!(eval::truth(&node, &pair), Err(eval::Failure::OverBudget));
    pair.netinfo = Some(NetInfo::default());
    assert_eq!(eval::truth(&check::compile("has(netinfo.upstream)").unwrap(), &pair), Ok(true));
}

proptest::proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(
        text in "\\PC{0,40}|[a-z.()\\[\\]\"'!&|=<>+?: 0-9]{0,60}",
    ) {
        if let Ok(node) = check::compile(&text) {
            let first = eval::truth(&node, &pair());
            proptest::prop_assert_eq!(first, eval::truth(&node, &pair()));
        }
    }
}
