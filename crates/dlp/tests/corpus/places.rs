//! Where it is planted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::KEY;
use super::kinds::{KINDS, Kind};
use super::sink::{holds, leaks, redacted};

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Bodies as text, with the secret as their format writes it.
pub(crate) fn bodies(secret: &str) -> Vec<(&'static str, &'static str, String)> {
    [json_bodies(secret), other_bodies(secret)].concat()
}

/// JSON in all its forms.
fn json_bodies(secret: &str) -> Vec<(&'static str, &'static str, String)> {
    let json = "application/json";
    vec![
        ("object", json, format!(r#"{{"a": 1, "{KEY}":"{secret}", "b":[true,null]}}"#)),
        ("nested", json, format!(r#"{{"a":{{"b":[{{"API_SECRET" : "{secret}"}}, 1.50]}}}}"#)),
        ("root array", json, format!(r#"[1,{{"{KEY}":"{secret}"}}]"#)),
        ("below the key", json, format!(r#"{{"{KEY}":{{"x":["{secret}"]}}}}"#)),
        ("JSON in a string", json, format!(r#"{{"s":"{{\"{KEY}\":\"{secret}\"}}","t":"\u0041"}}"#)),
        (
            "twice in a string",
            json,
            format!(r#"{{"s":"{{\"u\":\"{{\\\"{KEY}\\\":\\\"{secret}\\\"}}\"}}"}}"#),
        ),
        ("cut", json, format!(r#"{{"a":1,"{KEY}":"{secret}"#)),
        ("lines", "application/x-ndjson", format!("{{\"{KEY}\":\"{secret}\"}}\n{{\"a\":1}}\n")),
        ("escaped name", json, format!(r#"{{"api\u005fsecret":"{secret}"}}"#)),
        (
            "GraphQL variables",
            json,
            format!(
                r#"{{"query":"query($api_secret: String!) {{ a }}","variables":{{"{KEY}":"{secret}"}}}}"#
            ),
        ),
        (
            "GraphQL argument",
            json,
            format!(r#"{{"query":"mutation {{ login({KEY}: \"{secret}\") {{ id }} }}"}}"#),
        ),
        ("SSE", "text/event-stream", format!("event: a\ndata: {{\"{KEY}\":\"{secret}\"}}\n\n")),
    ]
}

/// Bodies of other formats.
fn other_bodies(secret: &str) -> Vec<(&'static str, &'static str, String)> {
    let form = secret.replace('+', "%2B").replace(' ', "%20");
    let xml = "application/xml";
    vec![
        ("form", "application/x-www-form-urlencoded", format!("a=1&{KEY}={form}&b=%41+c")),
        (
            "form in brackets",
            "application/x-www-form-urlencoded",
            format!("user%5B{KEY}%5D={form}"),
        ),
        (
            "element",
            xml,
            format!("<?xml version=\"1.0\"?><a><x:{KEY} k=\"v\">{secret}</x:{KEY}><b/></a>")
                .replace("k=\"v\"", ""),
        ),
        ("attribute", xml, format!("<a {KEY}=\"{secret}\" b='c'>d</a>")),
        ("CDATA", xml, format!("<a><{KEY}><![CDATA[{secret}]]></{KEY}></a>")),
        (
            "part",
            "multipart/form-data; boundary=XX",
            format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{KEY}\"\r\n\r\n{secret}\r\n--XX\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nc\r\n--XX--\r\n"
            ),
        ),
        (
            "JSON part",
            "multipart/mixed; boundary=\"X Y\"",
            format!(
                "--X Y\r\nContent-Type: application/json\r\n\r\n{{\"{KEY}\":\"{secret}\"}}\r\n--X Y--"
            ),
        ),
        ("text", "text/plain", format!("first\n{KEY}: {secret}\nlast")),
        ("log line", "text/plain", format!("level=info {KEY}=\"{secret}\" took=3ms")),
        (
            "SQL comparison",
            "text/plain",
            format!("SELECT a FROM t WHERE {KEY} = '{secret}' AND b = 'c'"),
        ),
        (
            "SQL insert",
            "text/plain",
            format!("INSERT INTO t (a, \"{KEY}\") VALUES ('it''s', '{secret}'), ('d', NULL)"),
        ),
        ("no media type", "", format!(r#"  {{"{KEY}":"{secret}"}}"#)),
        ("wrong media type", "text/html", format!(r#"{{"{KEY}":"{secret}"}}"#)),
    ]
}

fn with_body(content_type: &str, body: &str) -> Value {
    json!({"http": {
        "req": {"method": "POST", "url": "/x", "uri": "/x", "headers": {
            "Content-Type": [content_type], "Content-Length": [body.len().to_string()]},
            "bodyBase64": base64(body)},
        "res": {"statusCode": 200, "headers": {"Content-Type": [content_type]}, "bodyBase64": base64(body)},
    }})
}

#[test]
fn in_bodies_the_token_takes_the_place_of_the_secret_and_nothing_else_changes() {
    for kind in KINDS {
        for (name, content_type, body) in bodies(kind.secret) {
            let after = redacted(&with_body(content_type, &body));
            let token = kind.token();
            let written = kind.secret.replace('+', "%2B").replace(' ', "%20");
            let expect = body.replace(kind.secret, &token).replace(&written, &token);
            for side in ["req", "res"] {
                let bytes = STANDARD
                    .decode(
                        after
                            .pointer(&format!("/http/{side}/bodyBase64"))
                            .unwrap()
                            .as_str()
                            .unwrap(),
                    )
                    .unwrap();
                assert_eq!(String::from_utf8(bytes).unwrap(), expect, "{name}, {}", kind.category);
            }
            assert_eq!(
                after.pointer("/http/req/headers/Content-Length/0").unwrap().as_str().unwrap(),
                expect.len().to_string()
            );
        }
    }
}

/// Records with the secret outside of the body.
fn heads(kind: &Kind) -> Vec<(&'static str, Value)> {
    let secret = kind.secret;
    let form = secret.replace('+', "%2B").replace(' ', "%20");
    let mut heads = vec![
        ("header", json!({"http": {"req": {"headers": {"X-Api-Secret": [secret]}}}})),
        (
            "lower-case header",
            json!({"http": {"req": {"headers": {"x-api-secret": ["a", secret]}}}}),
        ),
        (
            "scheme",
            json!({"session": secret, "http": {"req": {"headers": {"Authorization": [format!("Bearer {secret}")]}}}}),
        ),
        (
            "cookie",
            json!({"http": {"req": {"headers": {"Cookie": [format!("a=b; {KEY}={form}; c=d")]}}}}),
        ),
        (
            "set-cookie",
            json!({"http": {"res": {"headers": {"Set-Cookie": [format!("{KEY}={form}; Path=/; Secure")]}}}}),
        ),
        (
            "referer",
            json!({"http": {"req": {"headers": {"Referer": [format!("https://h/p?a=b&{KEY}={form}&c=d")]}}}}),
        ),
        ("trailer", json!({"http": {"res": {"trailers": {"X-Api-Secret": [secret]}}}})),
        (
            "query",
            json!({"location": "/p", "http": {"req": {"url": "/p", "uri": format!("/p?a=b&{KEY}={form}&c=%20"),
            "queryParams": {"a": ["b"], KEY: [secret]}}},
            "signature": {"http:queryparams": base64(format!("a=b&{KEY}={secret}")), (format!("http:queryparams:{KEY}")): base64(secret)}}),
        ),
        (
            "head",
            json!({"http": {"req": {"headBase64": base64(format!("GET /p?{KEY}={form} HTTP/1.1\r\nX-Api-Secret:{secret}\r\n\r\n"))}}}),
        ),
        (
            "body copy",
            json!({"http": {"req": {"bodyBase64": base64(format!("{{\"{KEY}\":\"{secret}\"}}")), "body": format!("{{\"{KEY}\":\"{secret}\"}}")}}}),
        ),
        ("old cookies", json!({"http": {"req": {"cookies": [{"name": KEY, "value": secret}]}}})),
        (
            "postgres",
            json!({"l7protocol": "postgres", "location": format!("UPDATE t SET {KEY} = '{secret}'"),
            "postgres": {"request": {"query": {"query": format!("UPDATE t SET {KEY} = '{secret}'")}}},
            "signature": {"postgres:query": base64(format!("UPDATE t SET {KEY} = '{secret}'"))}}),
        ),
        (
            "kafka",
            json!({"l7protocol": "kafka", "kafka": {"request": {"ProduceRequest": {"records": [{"valueString": format!("{{\"{KEY}\":\"{secret}\"}}")}]}}}}),
        ),
    ];
    if !kind.by_name {
        heads.extend([
            ("path", json!({"location": format!("/u/{form}/x"), "http": {"req": {"url": format!("/u/{form}/x"), "uri": format!("/u/{form}/x?a=b")}},
                "signature": {"http:url": base64(format!("/u/{form}/x"))}})),
            ("any header", json!({"http": {"req": {"headers": {"X-Note": [format!("see {secret}, please")]}}}})),
            ("reason", json!({"http": {"res": {"statusCode": 400, "statusMessage": format!("400 no {secret} here")}}})),
            ("token list", json!({"tokenList": {(format!("X:{secret}")): {"id": format!("X:{secret}"), "tokens": [{"token": {"replacementValue": base64(secret)}}]}}})),
        ]);
    }
    if secret.len() >= 8 {
        let keyed = json!({"headers": {"X-Api-Secret": [secret]}});
        heads.extend([
            ("session alone", json!({"session": secret, "http": {"req": keyed}})),
            ("event", json!({"events": [{"message": format!("failed with {secret}")}], "http": {"req": keyed}})),
            ("tag", json!({"tags": {"note": format!("got {secret}.")}, "http": {"req": keyed}})),
            ("ids of tokens", json!({"tokenList": {(format!("T:{secret}")): {}}, "http": {"req": keyed}})),
        ]);
    }
    heads
}

#[test]
fn in_heads_and_in_every_copy_none_stays() {
    for kind in KINDS {
        for (name, before) in heads(&kind) {
            assert!(holds(&before, kind.secret), "{name} does not plant {}", kind.category);
            let after = redacted(&before);
            assert_eq!(leaks(&after, kind.secret), Vec::<String>::new(), "{name}: {after}");
            assert!(after.to_string().contains("REDACTED-") || name == "head", "{name}: {after}");
        }
    }
}
