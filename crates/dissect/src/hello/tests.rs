use proptest::prelude::*;

use super::*;

fn vector<const N: usize>(content: &[u8]) -> Vec<u8> {
    let length = u64::try_from(content.len()).unwrap().to_be_bytes();
    [&length[8 - N..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector::<2>(content)].concat()
}

/// A record with one message of the handshake.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let message = [&[kind][..], &vector::<3>(body)].concat();
    [&[22, 3, 1][..], &vector::<2>(&message)].concat()
}

fn client_hello(extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[7; 32],
        &vector::<1>(&[9; 32]),
        &vector::<2>(&[0x13, 1, 0x13, 2]),
        &vector::<1>(&[0]),
        &vector::<2>(extensions),
    ];
    record(1, &body.concat())
}

fn server_hello(version: u16, extensions: &[u8]) -> Vec<u8> {
    let body = [
        &version.to_be_bytes()[..],
        &[8; 32],
        &vector::<1>(&[]),
        &[0x13, 1, 0],
        &vector::<2>(extensions),
    ];
    record(2, &body.concat())
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector::<2>(&[&[0][..], &vector::<2>(name)].concat()))
}

fn read(client: &[u8], server: &[u8]) -> TlsFacts {
    let mut hellos = Hellos::default();
    hellos.data(Direction::Ingress, 0, client);
    hellos.data(Direction::Egress, 0, server);
    assert_eq!(hellos.held_bytes(), 0);
    hellos.facts().clone()
}

#[test]
fn a_name_a_version_and_a_protocol_are_read() {
    let client = client_hello(&[extension(10, &[0, 2, 0, 29]), server_name(b"shop.test")].concat());
    let alpn = extension(16, &vector::<2>(&vector::<1>(b"http/1.1")));
    let facts = read(&client, &server_hello(0x0303, &alpn));
    assert_eq!(facts.server_name.as_deref(), Some("shop.test"));
    assert_eq!((facts.version, facts.alpn.as_deref()), (Some("1.2"), Some("http/1.1")));
    let facts = read(&client_hello(&[]), &server_hello(0x0303, &extension(43, &[3, 4])));
    assert_eq!(facts, TlsFacts { version: Some("1.3"), ..TlsFacts::default() });
}

#[test]
fn what_is_no_name_is_not_taken() {
    for name in [&b""[..], b"a b", b"\x1b[31m", &[b'a'; 254], "\u{e9}.test".as_bytes()] {
        let facts = read(&client_hello(&server_name(name)), &server_hello(0x0303, &[]));
        assert_eq!(facts.server_name, None, "{name:?}");
    }
    let two = extension(16, &vector::<2>(&[vector::<1>(b"h2"), vector::<1>(b"http/1.1")].concat()));
    assert_eq!(read(&client_hello(&[]), &server_hello(0x0303, &two)).alpn, None);
    assert_eq!(read(&client_hello(&[]), &server_hello(0x0300, &[])).version, None);
}

#[test]
fn a_hello_that_is_cut_gives_what_is_whole() {
    let long = client_hello(&[server_name(b"shop.test"), extension(51, &[1; 9000])].concat());
    assert_eq!(read(&long, &server_hello(0x0303, &[])).server_name.as_deref(), Some("shop.test"));
    let late = client_hello(&[extension(51, &[1; 9000]), server_name(b"shop.test")].concat());
    assert_eq!(read(&late, &server_hello(0x0303, &[])).server_name, None);
}

#[test]
fn a_gap_or_anything_else_ends_it() {
    let client = client_hello(&server_name(b"shop.test"));
    let mut hellos = Hellos::default();
    hellos.data(Direction::Ingress, 1, &client[1..]);
    hellos.data(Direction::Ingress, 0, &client);
    hellos.data(Direction::Egress, 0, b"GET / HTTP/1.1\r\n");
    assert_eq!((hellos.facts(), hellos.held_bytes()), (&TlsFacts::default(), 0));
}

proptest! {
    /// However the bytes come, the same is read.
    #[test]
    fn pieces_do_not_matter(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let client = client_hello(&server_name(b"shop.test"));
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(client.len())).collect();
        places.extend([0, client.len()]);
        places.sort_unstable();
        let mut hellos = Hellos::default();
        for pair in places.windows(2) {
            hellos.data(Direction::Egress, pair[0] as u64, &client[pair[0]..pair[1]]);
        }
        prop_assert_eq!(hellos.facts().server_name.as_deref(), Some("shop.test"));
    }

    /// Whatever comes, little is held, and what is said is printable.
    #[test]
    fn any_bytes_are_survived(
        pieces in prop::collection::vec(
            (any::<bool>(), 0_u64..64, prop::collection::vec(any::<u8>(), 0..80)), 0..20,
        ),
        damage in (any::<prop::sample::Index>(), any::<u8>()),
    ) {
        let mut hellos = Hellos::default();
        for (ingress, position, bytes) in &pieces {
            let direction = if *ingress { Direction::Ingress } else { Direction::Egress };
            hellos.data(direction, *position, bytes);
            prop_assert!(hellos.held_bytes() <= 2 * usize::from(MAX_HELLO_BYTES));
        }
        let mut client = client_hello(&server_name(b"shop.test"));
        let at = damage.0.index(client.len());
        client[at] = damage.1;
        let mut hellos = Hellos::default();
        hellos.data(Direction::Ingress, 0, &client);
        if let Some(name) = &hellos.facts().server_name {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
