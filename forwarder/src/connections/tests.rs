use proptest::prelude::*;
use weir_link::TlsOpaque;

use super::{
    entry::Live,
    wire::{Record, RecordBody, address},
    *,
};
use crate::{
    pipeline::{Active, Identity},
    testing::{Shop, capture, key},
};

/// A table whose only process is the tests' shop, with one capture and no exporter.
fn table() -> (Connections, Pipeline, Book) {
    let attribution = Arc::new(Shop(vec![key("all")]));
    let table = Connections::new(TableLimits::default(), attribution, OwnEndpoints::default());
    let version = "v0".into();
    let identity = Identity { cluster: "c".to_owned(), version, nonce: [0; 16] };
    let (mut pipeline, mut book) = (Pipeline::new(identity), Book::default());
    let active = Active { version: 1, captures: vec![capture("all", &[])], ..Active::default() };
    pipeline.apply(&active, &mut book, 0);
    (table, pipeline, book)
}

/// A record as the kernel side lays it out.
fn record(connection: u64, kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = connection.to_ne_bytes().to_vec();
    bytes.extend(7_u64.to_ne_bytes());
    bytes.extend(0_u64.to_ne_bytes());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(3_u32.to_ne_bytes());
    bytes.extend(crate::testing::Call::TGID.to_ne_bytes());
    bytes.extend([kind, 1, 2, 0]);
    bytes.extend(body);
    bytes
}

#[test]
fn a_record_is_read_field_by_field() {
    let bytes = record(9, 2, 4, b"data and padding");
    let Some(Record { header, body: RecordBody::Data(data) }) = Record::parse(&bytes) else {
        panic!("a data record")
    };
    assert_eq!((header.connection, header.time_ns, header.run), (9, 7, 3));
    assert_eq!((header.direction, header.reason, data), (1, 2, &b"data"[..]));
    let closes = |bytes: &[u8], end| {
        let body = Record::parse(bytes).map(|record| record.body);
        matches!(body, Some(RecordBody::Close { ingress_end }) if ingress_end == end)
    };
    assert!(closes(&record(9, 4, 8, &55_u64.to_ne_bytes()), 55));
    assert!(closes(&record(9, 4, 0, b""), 0));
}

#[test]
fn too_short_or_unknown_records_are_none() {
    let whole = record(9, 1, 0, &[0; 64]);
    assert!(Record::parse(&whole).is_some());
    assert!((0..whole.len()).all(|length| Record::parse(&whole[..length]).is_none()));
    assert!(Record::parse(&record(9, 2, 5, b"four")).is_none());
    assert!(Record::parse(&record(9, 0, 0, b"")).is_none());
    assert!(Record::parse(&record(9, 5, 0, b"")).is_none());
}

#[test]
fn a_mapped_address_is_an_ipv4_one() {
    let mut bytes = [0; 16];
    bytes[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
    assert_eq!(address(bytes).to_string(), "10.0.0.1");
    bytes[0] = 0x20;
    assert_eq!(address(bytes).to_string(), "2000::ffff:a00:1");
}

/// A record of plaintext: BEGINS_RUN and PLAINTEXT, in this direction and run.
fn plaintext(direction: u8, run: u32, text: &[u8]) -> Vec<u8> {
    let mut bytes = record(1, 2, u32::try_from(text.len()).unwrap(), text);
    bytes[28..32].copy_from_slice(&run.to_ne_bytes());
    bytes[37] = direction;
    bytes[39] = 1 | PLAINTEXT;
    bytes
}

/// Opens an encrypted connection of a server.
fn encrypted() -> Vec<u8> {
    let mut open = vec![0; 64];
    (open[56], open[59]) = (1, 1);
    record(1, 1, 0, &open)
}

#[test]
fn an_encrypted_connection_without_plaintext_is_opaque_at_its_end() {
    let (mut table, mut pipeline, mut book) = table();
    table.record(&encrypted(), &mut pipeline, &mut book);
    assert!(book.node.decoded.opaque_connections.is_empty());
    table.record(&record(1, 4, 8, &1000_u64.to_ne_bytes()), &mut pipeline, &mut book);
    assert_eq!(book.node.decoded.opaque_connections, [("tls", 1)].into());
    assert_eq!(book.node.decoded.undecodable_bytes, [("tls", 1000)].into());
    let (_, capture) = &book.captures[0];
    for tls in [&book.node.decoded.tls, &capture.decoded.tls] {
        assert_eq!(tls.opaque_connections, [("unknown", 1)].into());
        assert_eq!(tls.opaque_bytes, [("unknown", 1000)].into());
    }
    assert_eq!(capture.tls_containers.opaque(0), [(TlsOpaque::Unknown, 1)].into());
    assert!(table.table.is_empty());
}

#[test]
fn an_encrypted_connection_gives_the_pairs_of_its_plaintext() {
    let (mut table, mut pipeline, mut book) = table();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    table.record(&encrypted(), &mut pipeline, &mut book);
    table.record(&plaintext(0, 0, request), &mut pipeline, &mut book);
    table.record(&plaintext(1, 1, response), &mut pipeline, &mut book);
    let mut end = record(1, 4, 8, &(request.len() as u64).to_ne_bytes());
    end[16..24].copy_from_slice(&(response.len() as u64).to_ne_bytes());
    end[28..32].copy_from_slice(&1_u32.to_ne_bytes());
    end[39] = PLAINTEXT;
    table.record(&end, &mut pipeline, &mut book);
    assert_eq!(table.table.len(), 1, "the wire goes on");
    table.record(&record(1, 4, 8, &1000_u64.to_ne_bytes()), &mut pipeline, &mut book);
    let counts = &book.node.decoded;
    assert_eq!((counts.pairs, counts.half_pairs_total(), counts.lost_exchanges_total()), (1, 0, 0));
    assert!(counts.opaque_connections.is_empty() && counts.undecodable_bytes.is_empty());
    assert_eq!((counts.tls.read_connections, counts.tls.opaque_connections.len()), (1, 0));
    assert_eq!(book.captures[0].1.tls_containers.covered(0), 1);
    assert!(table.table.is_empty());
}

#[test]
fn ten_thousand_idle_connections_hold_little() {
    let (mut table, mut pipeline, mut book) = table();
    let mut open = vec![0; 64];
    open[56] = 1;
    for connection in 0..10_000 {
        table.record(&record(connection, 1, 0, &open), &mut pipeline, &mut book);
    }
    assert_eq!((table.table.len(), table.held_bytes), (10_000, 0));
    assert_eq!(book.node.connections.ignored, 0);
    // The entry with what it points to; the dissector's own share is in its type.
    let entry = size_of::<(u64, Entry)>() * 2 + size_of::<Live>();
    assert!(entry <= 1000, "{entry} bytes each");
}

proptest! {
    /// Any sequence of any records is survived, and the table's account of what it holds is
    /// exact.
    #[test]
    fn any_records_are_survived(
        script in prop::collection::vec(
            (0_u64..4, 0_u8..6, 0_u32..80, prop::collection::vec(any::<u8>(), 0..120)),
            0..60,
        ),
    ) {
        let (mut table, mut pipeline, mut book) = table();
        table.limits.held_bytes = 64;
        for (connection, kind, length, body) in &script {
            table.record(&record(*connection, *kind, *length, body), &mut pipeline, &mut book);
            let held = table.table.values().map(|entry| match &entry.state {
                State::Live(live) => live.holds(),
                State::Waiting(waiting) => waiting.held.bytes(),
                _ => 0,
            });
            prop_assert_eq!(table.held_bytes, held.sum::<usize>());
            prop_assert!(table.held_bytes <= 64);
        }
        prop_assert_eq!(book.node.ring.records, script.len() as u64);
        table.finish(&mut pipeline, &mut book);
        prop_assert_eq!((table.held_bytes, table.table.len()), (0, 0));
    }
}
