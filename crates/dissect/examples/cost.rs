//! Prints what one request/response pair costs, in nanoseconds of CPU time: a GET over keep-alive with
//! a response of 1 KiB, each message in one record, as a server on this machine sees it.
//!
//! `cargo run --release -p weir-dissect --example cost`

use std::{
    hint::black_box,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use weir_dissect::{
    Connection, Direction, Event, Limits, Role,
    record::{self, Stamp},
};
use weir_rrpair::{Origin, Timestamp};

const PAIRS: u32 = 200_000;

const REQUEST: &[u8] = b"GET /api/orders/42?expand=lines HTTP/1.1\r\nHost: orders-api:8080\r\n\
    User-Agent: curl/8.17.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\
    X-Request-Id: 7f3e1c1a-0d1f-4c7e-9a55-0f8f0c1d2e3f\r\n\r\n";

fn response() -> Vec<u8> {
    let mut response = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\
        Date: Tue, 14 Apr 2026 13:23:54 GMT\r\nContent-Type: text/plain\r\n\
        Content-Length: 1024\r\nConnection: keep-alive\r\nETag: \"65f1c0a2-400\"\r\n\r\n"
        .to_vec();
    response.resize(response.len() + 1024, b'x');
    response
}

fn origin() -> Origin {
    Origin {
        cluster: "dev-east".into(),
        namespace: "shop".into(),
        service: "orders-api".into(),
        pod_name: "orders-api-6c9f7d5b8-q2x4z".into(),
        app_label: "orders-api".into(),
        direction: weir_rrpair::Direction::In,
        connection_id: 7,
        connection_start: Timestamp(1),
        established: None,
        client: (IpAddr::V4(Ipv4Addr::LOCALHOST), 40112),
        server: (IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
        server_name: None,
        is_tls: false,
        alpn: None,
        tls_version: None,
        version: "v0.1.0".into(),
    }
}

/// Feeds `PAIRS` pairs through one connection and hands every event to `sink`.
fn drive(mut sink: impl FnMut(Event)) -> Duration {
    let response = response();
    let mut connection = Connection::new(Role::Server, Limits::default());
    let (mut asked, mut answered) = (0, 0);
    let start = cpu_time();
    for pair in 0..PAIRS {
        let time_ns = u64::from(pair) * 1000;
        let place = |direction, position, run| weir_dissect::Place {
            direction,
            position,
            run,
            begins_run: true,
            time_ns,
        };
        connection.data(place(Direction::Ingress, asked, 2 * pair), REQUEST, &mut sink);
        connection.data(place(Direction::Egress, answered, 2 * pair + 1), &response, &mut sink);
        asked += REQUEST.len() as u64;
        answered += response.len() as u64;
    }
    cpu_time().saturating_sub(start)
}

/// CPU time of this process: other load on the machine does not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

fn main() -> io::Result<()> {
    let origin = origin();
    let mut out = io::stdout();
    for _ in 0..3 {
        let mut pairs = 0_u64;
        let dissect = drive(|event| {
            pairs += 1;
            black_box(event);
        });
        let both = drive(|event| {
            if let Event::Exchange(exchange) = event {
                let stamp = Stamp { sequence: exchange.ordinal, nonce: [1; 16] };
                black_box(record::raw(*exchange, &origin, stamp, Timestamp));
            }
        });
        let per_pair = |time: Duration| time.as_nanos() / u128::from(PAIRS);
        let (dissect, both) = (per_pair(dissect), per_pair(both));
        writeln!(
            out,
            "{pairs} pairs: dissect {dissect} ns, record {} ns per pair",
            both.saturating_sub(dissect)
        )?;
    }
    Ok(())
}
