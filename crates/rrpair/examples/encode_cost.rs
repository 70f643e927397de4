//! Prints what it costs to encode a typical pair: eight fields each way, 1 KiB of body.
//! Run it in release mode.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use weir_rrpair::{
    Body, Direction, Fields, Http, HttpRequest, HttpResponse, NetInfo, Peer, Redacted, RrPair,
    StringMap, Timestamp, Uuid, header, otlp, session, signature, tech,
};

/// Few at a time, so that many batches end before the scheduler steps in.
const ROUNDS: u32 = 100;
const REPEATS: usize = 3_000;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let record = pair();
    let mut bytes = Vec::new();
    let redacted = Redacted::attest(record.clone());

    let encode = cost(|| {
        bytes.clear();
        otlp::encode_log_record(black_box(&redacted), 1, &mut bytes);
    });
    writeln!(out, "encode_log_record: {encode:.0} ns for {} bytes", bytes.len())?;

    let build = cost(|| drop(black_box(pair())));
    writeln!(out, "build and drop the record: {build:.0} ns")?;

    let http = record.http.unwrap_or_default();
    let sign = cost(|| drop(black_box(signature::of(black_box(&http.req)))));
    writeln!(out, "signature of a GET: {sign:.0} ns")?;
    let derive = cost(|| drop(black_box((session::of(&http), tech::detect(&http)))));
    writeln!(out, "session and technology: {derive:.0} ns")
}

/// Least nanoseconds of one call: what disturbs only adds.
fn cost(mut call: impl FnMut()) -> f64 {
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            call();
        }
        times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
    }
    times.into_iter().fold(f64::INFINITY, f64::min)
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(header::canonical(name), *value);
    }
    fields
}

fn pair() -> RrPair {
    let req = request();
    let peer = Peer {
        established: Some(Timestamp(1_788_257_729_990_000_000)),
        ip_address: "10.0.1.5".to_owned(),
        port: 40_112,
        hostname: Some("orders-api".to_owned()),
        bytes_sent: Some(123_456),
        ..Peer::default()
    };
    RrPair {
        resource: "orders-api".to_owned(),
        ts: Timestamp(1_788_257_730_000_250_417),
        l7protocol: "http".into(),
        duration: 12,
        tags: tags(),
        uuid: Uuid([7; 16]),
        direction: Direction::In,
        cluster: "dev-east".to_owned(),
        namespace: "shop".to_owned(),
        service: "orders-api".to_owned(),
        network_address: Some("orders-api:8080".to_owned()),
        command: "GET".into(),
        location: "/v1/orders/42".to_owned(),
        status: "200".into(),
        tech: Some("JSON".into()),
        signature: Some(signature::of(&req)),
        http: Some(Http { req, res: Some(response()), ..Http::default() }),
        netinfo: Some(NetInfo {
            id: 7,
            start_time: Some(Timestamp(1_788_257_730_000_101_000)),
            downstream: peer.clone(),
            upstream: peer,
            ..NetInfo::default()
        }),
        ..RrPair::default()
    }
}

fn tags() -> StringMap {
    let mut tags = StringMap::default();
    for (key, value) in [
        ("captureMode", "eBPF"),
        ("source", "goproxy"),
        ("proxyLocation", "in"),
        ("proxyType", "none"),
        ("proxyProtocol", ""),
        ("proxyVersion", "v0.1.0"),
    ] {
        tags.push(key, value);
    }
    for key in ["sequence", "proxyId", "k8sAppLabel", "k8sAppPodName", "k8sAppPodNamespace"] {
        tags.push(key, "orders-api-6c9f7d5b8-q2x4z".to_owned());
    }
    tags
}

fn request() -> HttpRequest {
    HttpRequest {
        url: "/v1/orders/42".to_owned(),
        uri: "/v1/orders/42?expand=lines".to_owned(),
        version: "1.1".into(),
        method: "GET".into(),
        host: "orders-api:8080".to_owned(),
        query_params: fields(&[("expand", "lines")]),
        headers: fields(&[
            ("host", "orders-api:8080"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"),
            ("accept", "application/json"),
            ("accept-encoding", "gzip, deflate, br"),
            ("accept-language", "en-US,en;q=0.5"),
            ("connection", "keep-alive"),
            ("x-request-id", "6f1b2c3d-0000-4000-8000-1234567890ab"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ]),
        ..HttpRequest::default()
    }
}

fn response() -> HttpResponse {
    HttpResponse {
        content_type: "application/json".to_owned(),
        status_code: 200,
        status_message: "200 OK".into(),
        headers: fields(&[
            ("content-type", "application/json"),
            ("content-length", "1024"),
            ("date", "Tue, 01 Sep 2026 10:15:30 GMT"),
            ("server", "nginx/1.27.0"),
            ("connection", "keep-alive"),
            ("cache-control", "no-cache, no-store"),
            ("vary", "Accept"),
            ("etag", "\"66d4-400\""),
        ]),
        body: Body(vec![b'x'; 1024]),
        ..HttpResponse::default()
    }
}
