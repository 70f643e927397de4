use proptest::prelude::*;

use super::*;

fn check(text: &str, asked: ExporterTransport, expect: (Scheme, &str, u16, &str, Transport, &str)) {
    let (endpoint, transport, reason) = Endpoint::parse(text, asked).unwrap();
    let got = (
        endpoint.scheme,
        endpoint.host.as_str(),
        endpoint.port,
        endpoint.path.as_str(),
        transport,
        reason.as_str(),
    );
    assert_eq!(got, expect, "{text}");
    assert_eq!(endpoint.text, text);
}

fn refused(text: &str, expect: &str) {
    let error = Endpoint::parse(text, ExporterTransport::Auto).unwrap_err();
    assert_eq!(error.to_string(), expect, "{text}");
}

#[test]
fn the_port_chooses_the_transport_and_the_reason_says_so() {
    use ExporterTransport::Auto;
    check(
        "http://otel-collector.observability:4318",
        Auto,
        (
            Scheme::Http,
            "otel-collector.observability",
            4318,
            "",
            Transport::Http,
            "endpoint port :4318 is the OTLP/HTTP default",
        ),
    );
    check(
        "https://collector:4317",
        Auto,
        (
            Scheme::Https,
            "collector",
            4317,
            "",
            Transport::Grpc,
            "endpoint port :4317 is the OTLP/gRPC default",
        ),
    );
    check(
        "http://collector",
        Auto,
        (
            Scheme::Http,
            "collector",
            4317,
            "",
            Transport::Grpc,
            "endpoint has no port and OTLP/gRPC on :4317 is the default",
        ),
    );
    check(
        "collector:9000",
        Auto,
        (
            Scheme::Http,
            "collector",
            9000,
            "",
            Transport::Grpc,
            "endpoint port :9000 is no OTLP default, so OTLP/gRPC is assumed",
        ),
    );
}

#[test]
fn an_explicit_transport_wins_over_the_port() {
    check(
        "http://collector:4318",
        ExporterTransport::Grpc,
        (
            Scheme::Http,
            "collector",
            4318,
            "",
            Transport::Grpc,
            "transport GRPC is set on the exporter",
        ),
    );
    check(
        "https://vendor.example/otlp/",
        ExporterTransport::Http,
        (
            Scheme::Https,
            "vendor.example",
            443,
            "/otlp",
            Transport::Http,
            "transport HTTP is set on the exporter",
        ),
    );
}

#[test]
fn addresses_are_hosts_too() {
    let (v6, ..) = Endpoint::parse("http://[2001:db8::1]:4318", ExporterTransport::Auto).unwrap();
    assert_eq!((v6.host.as_str(), v6.port), ("[2001:db8::1]", 4318));
    assert_eq!(v6.authority(), "[2001:db8::1]:4318");
    let (v4, ..) = Endpoint::parse("127.0.0.1:4317", ExporterTransport::Auto).unwrap();
    assert_eq!(v4.authority(), "127.0.0.1:4317");
}

#[test]
fn the_logs_path_is_appended_once() {
    let path = |text: &str| Endpoint::parse(text, ExporterTransport::Http).unwrap().0.logs_path();
    assert_eq!(path("http://c:4318"), "/v1/logs");
    assert_eq!(path("http://c:4318/"), "/v1/logs");
    assert_eq!(path("https://c/otlp"), "/otlp/v1/logs");
    assert_eq!(path("https://c/otlp/v1/logs"), "/otlp/v1/logs");
}

#[test]
fn what_is_no_endpoint_is_refused_with_the_fault_named() {
    refused("", "has no host");
    refused("http://", "has no host");
    refused("http://:4318", "has no host");
    refused("grpc://c:4317", r#"scheme "grpc" is not one of http, https"#);
    refused("http://c:0", r#"port "0" is not a number from 1 to 65535"#);
    refused("http://c:65536", r#"port "65536" is not a number from 1 to 65535"#);
    refused("http://c:+1", r#"port "+1" is not a number from 1 to 65535"#);
    refused("http://c:", r#"port "" is not a number from 1 to 65535"#);
    refused("http://a b:1", r#"host "a b" is no host name, IPv4 address or [IPv6 address]"#);
    refused("http://[::1", r#"host "[" is no host name, IPv4 address or [IPv6 address]"#);
    refused("http://c:4318?x=1", "a query or fragment is not allowed");
    refused(
        "http://c:4317/otlp",
        r#"path "/otlp" needs transport: HTTP, since OTLP/gRPC has no path"#,
    );
    refused("http://c:4318/a b", r#"path "/a b" has a character that is not allowed in a URL"#);
}

#[test]
fn a_password_in_the_endpoint_is_not_repeated() {
    refused(
        "http://user:hunter2@c:4318",
        "user names and passwords do not belong in an endpoint; use headers with valueFrom",
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(https?://)?[a-z0-9.:@\\[\\]/?#-]{0,24}|\\PC{0,24}") {
        if let Ok((endpoint, ..)) = Endpoint::parse(&text, ExporterTransport::Http) {
            prop_assert!(!endpoint.host.is_empty());
            prop_assert!(endpoint.port > 0);
            prop_assert!(endpoint.path.is_empty() || endpoint.path.starts_with('/'));
        }
    }
}
