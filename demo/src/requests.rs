//! The driver's list: every request that it sends, with what has to come back.

use std::fmt::Write as _;

/// Sizes of binary bodies: nothing, edges of powers of two, sizes over several reads.
const BODY_BYTES: [usize; 16] =
    [0, 1, 2, 100, 255, 256, 257, 1000, 1023, 1024, 4096, 8191, 16_384, 16_385, 40_000, 65_536];
const ROCKETS: [&str; 6] = ["falcon-9", "ariane-6", "electron", "saturn-v", "soyuz-2", "vega-c"];

/// One request of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Vec<u8>,
    /// Size of the chunks to send the body in; `None` sends a `Content-Length`.
    pub chunk_bytes: Option<usize>,
    /// Status that the gateway has to answer.
    pub status: u16,
    /// Calls that the gateway makes to the services behind it.
    pub calls: u32,
    /// A health probe, which the `standard` filter rule drops.
    pub probe: bool,
}

impl Planned {
    fn new(method: &'static str, target: impl Into<String>, status: u16) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            chunk_bytes: None,
            status,
            calls: 1,
            probe: false,
        }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn json(self, body: String) -> Self {
        let body = body.into_bytes();
        Self { body, ..self }.header("content-type", "application/json")
    }

    fn octets(self, body: Vec<u8>) -> Self {
        Self { body, ..self }.header("content-type", "application/octet-stream")
    }

    fn chunked(self, chunk_bytes: usize) -> Self {
        Self { chunk_bytes: Some(chunk_bytes), ..self }
    }

    fn calls(self, calls: u32) -> Self {
        Self { calls, ..self }
    }
}

/// `size` bytes; every byte value occurs from 256 bytes on, and no two runs of 256 are alike.
pub fn every_byte(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(31) ^ (at >> 8)).to_le_bytes()[0]).collect()
}

/// The whole list, the same in every run. Any order and any parallelism gives the same answers.
pub fn list() -> Vec<Planned> {
    let mut list = Vec::new();
    rockets(&mut list);
    launches(&mut list);
    binary(&mut list);
    oddities(&mut list);
    // Spread the kinds over the workers, so that the sizes mix on every connection.
    let stride = 37;
    let mut spread: Vec<(usize, Planned)> =
        list.into_iter().enumerate().map(|(at, planned)| (at % stride, planned)).collect();
    spread.sort_by_key(|(place, _)| *place);
    spread.into_iter().map(|(_, planned)| planned).collect()
}

/// What each connection sends once before the capture starts: it opens a connection from the
/// gateway to each service as well.
pub fn warm_up() -> Planned {
    Planned::new("GET", "/api/mission?id=falcon-9", 200).calls(2)
}

fn rockets(list: &mut Vec<Planned>) {
    for round in 0..4 {
        for rocket in ROCKETS {
            let target = format!("/api/rocket?id={rocket}&round={round}");
            list.push(Planned::new("GET", target, 200));
        }
        list.push(Planned::new("GET", "/api/rockets", 200));
        list.push(Planned::new("HEAD", "/api/rocket?id=vega-c", 200));
        list.push(Planned::new("GET", "/api/mission?id=saturn-v", 200).calls(2));
        list.push(Planned::new("GET", "/api/mission?id=apollo-99", 404));
        list.push(Planned::new("GET", format!("/api/rocket?id=starhopper-{round}"), 404));
        list.push(Planned::new("GET", "/api/rocket", 400));
    }
    // The failing ones: an id with a DEL at its end, as a copy from a terminal may leave it.
    for rocket in ROCKETS {
        list.push(Planned::new("GET", format!("/api/rocket?id={rocket}%7F"), 500));
    }
    // DEL elsewhere is just an unknown rocket; so is every other odd byte.
    list.push(Planned::new("GET", "/api/rocket?id=%7Ffalcon-9", 404));
    for byte in 0..=255_u8 {
        if byte.is_multiple_of(8) {
            list.push(Planned::new("GET", format!("/api/rocket?id=x%{byte:02X}y"), 404));
        }
    }
}

fn launches(list: &mut Vec<Planned>) {
    for (at, rocket) in ROCKETS.into_iter().cycle().take(24).enumerate() {
        let body =
            format!("{{\"rocket\":\"{rocket}\",\"pad\":\"LC-{at}\",\"crew\":[\"Ada\",\"Юрий\"]}}");
        list.push(Planned::new("POST", "/api/launch", 201).json(body));
    }
    for at in 0..6 {
        let target = format!("/api/rocket?id=prototype-{at}");
        let body = format!("{{\"maker\":\"garage {at}\",\"stages\":{at}}}");
        list.push(Planned::new("PUT", target, 200).json(body));
        list.push(Planned::new("DELETE", format!("/api/rocket?id=scrapped-{at}"), 204));
    }
    list.push(Planned::new("POST", "/api/launch", 400).json("{\"rocket\":".to_owned()));
    list.push(Planned::new("POST", "/api/launch", 400).json("[]".to_owned()));
}

fn binary(list: &mut Vec<Planned>) {
    for size in BODY_BYTES {
        list.push(Planned::new("POST", "/api/telemetry", 200).octets(every_byte(size)));
        let chunked = Planned::new("PUT", "/api/telemetry", 200).octets(every_byte(size));
        list.push(chunked.chunked(size.div_ceil(3).max(1)));
        let target = format!("/api/telemetry?bytes={size}&chunk={}", size / 5 + 1);
        list.push(Planned::new("GET", target, 200));
        let target = format!("/api/telemetry/log?lines={}", size % 500);
        list.push(Planned::new("GET", target, 200).header("accept-encoding", "gzip"));
    }
    list.push(Planned::new("DELETE", "/api/telemetry", 204));
}

fn oddities(list: &mut Vec<Planned>) {
    for at in 0..6 {
        list.push(Planned::new("GET", format!("/api/ping?n={at}"), 200).calls(0));
        list.push(Planned { probe: true, ..Planned::new("GET", "/healthz", 200).calls(0) });
        list.push(Planned::new("GET", format!("/moon/{at}"), 404).calls(0));
    }
    let mut long = "/api/ping?pad=".to_owned();
    for at in 0..500 {
        // Writing to a String cannot fail.
        write!(long, "{at:04}").ok();
    }
    list.push(Planned::new("GET", long, 200).calls(0));
    list.push(
        Planned::new("POST", "/api/telemetry", 200)
            .octets(every_byte(20_000))
            .header("expect", "100-continue"),
    );
    list.push(Planned::new("POST", "/api/telemetry", 200).octets((0..=255).collect()));
    list.push(Planned::new("POST", "/api/telemetry/nowhere", 404).octets(every_byte(300)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_about_two_hundred_requests_of_every_kind() {
        let list = list();
        assert!((180..=300).contains(&list.len()), "{} requests", list.len());
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            assert!(list.iter().any(|planned| planned.method == method), "no {method}");
        }
        for status in [200, 201, 204, 400, 404, 500] {
            assert!(list.iter().any(|planned| planned.status == status), "no {status}");
        }
        assert!(list.iter().any(|planned| planned.chunk_bytes.is_some()), "no chunked body");
    }

    #[test]
    fn shuffling_loses_no_request() {
        let mut sources = Vec::new();
        rockets(&mut sources);
        launches(&mut sources);
        binary(&mut sources);
        oddities(&mut sources);
        let list = list();
        assert_eq!(list.len(), sources.len());
        assert!(sources.iter().all(|source| list.contains(source)));
    }

    #[test]
    fn only_ids_that_end_in_del_fail() {
        for planned in list() {
            assert_eq!(planned.status == 500, planned.target.ends_with("%7F"), "{planned:?}");
        }
    }

    #[test]
    fn a_body_of_256_bytes_has_every_byte_value() {
        let values: std::collections::BTreeSet<u8> = every_byte(256).into_iter().collect();
        assert_eq!(values.len(), 256);
    }
}
