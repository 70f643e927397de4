use std::{io::Write as _, net::TcpListener, thread};

use super::*;

/// A server that answers the first connection with `answers`, each after one more read, and
/// gives what it read.
fn scripted(answers: Vec<&'static [u8]>) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        for answer in answers {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..count]);
            stream.write_all(answer).unwrap();
        }
        read
    });
    (address, server)
}

fn get() -> Request {
    Request::get("/a?b".to_owned())
}

fn exchange(request: &Request, answers: Vec<&'static [u8]>) -> Result<(Exchange, Vec<u8>)> {
    let (address, server) = scripted(answers);
    let exchange = Connection::open(address)?.exchange(request)?;
    Ok((exchange, server.join().unwrap()))
}

#[test]
fn the_truth_holds_what_was_sent_and_received() {
    let request = Request {
        headers: vec![("X-A".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())],
        ..Request::post("/a?b".to_owned(), vec![0, 255])
    };
    let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-B: c\r\n\r\n\xff\n";
    let (exchange, read) = exchange(&request, vec![answer]).unwrap();
    assert!(read.starts_with(b"POST /a?b HTTP/1.1\r\nHost: 127.0.0.1:"));
    assert!(read.ends_with(b"\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\n\0\xff"));
    assert_eq!((exchange.method.as_str(), exchange.uri.as_str()), ("POST", "/a?b"));
    assert_eq!(exchange.request_headers["x-a"], ["1", "2"]);
    assert_eq!(exchange.request_body, [0, 255]);
    assert_eq!((exchange.status, exchange.response_body.as_slice()), (201, &b"\xff\n"[..]));
    assert_eq!(exchange.response_headers["x-b"], ["c"]);
}

#[test]
fn a_chunked_response_is_put_together() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\n\r\r\n0\r\nT: u\r\n\r\n";
    let (exchange, _) = exchange(&get(), vec![answer]).unwrap();
    assert_eq!(exchange.response_body, b"abc\r");
}

#[test]
fn a_body_after_100_continue_waits_for_it() {
    let request = Request { upload: Upload::Expect(b"body".to_vec()), method: "POST", ..get() };
    let answers: Vec<&[u8]> =
        vec![b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"];
    let (exchange, read) = exchange(&request, answers).unwrap();
    assert!(read.ends_with(b"Expect: 100-continue\r\n\r\nbody"));
    assert_eq!(exchange.status, 200);
    assert_eq!(exchange.request_body, b"body");
}

#[test]
fn head_and_204_have_no_body_and_other_interim_responses_are_skipped() {
    let head = Request { method: "HEAD", ..get() };
    let answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let (answered, _) = exchange(&head, vec![answer]).unwrap();
    assert_eq!((answered.status, answered.response_body.len()), (200, 0));
    let (answered, _) = exchange(&get(), vec![b"HTTP/1.1 204 No Content\r\n\r\n"]).unwrap();
    assert_eq!((answered.status, answered.response_body.len()), (204, 0));
}

#[test]
fn a_body_without_a_length_goes_to_the_end_of_the_connection() {
    let (exchange, _) = exchange(&get(), vec![b"HTTP/1.1 200 OK\r\n\r\nall of it"]).unwrap();
    assert_eq!(exchange.response_body, b"all of it");
}

#[test]
fn a_cut_response_is_an_error_and_no_truth() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    assert!(exchange(&get(), vec![answer]).is_err());
    assert!(exchange(&get(), vec![b"garbage\r\n\r\n"]).is_err());
}

#[test]
fn pipelined_responses_go_to_their_requests() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n2";
    let (address, server) = scripted(vec![answer]);
    let requests = [Request::get("/1".to_owned()), Request::get("/2".to_owned())];
    let exchanges = Connection::open(address).unwrap().pipeline(&requests).unwrap();
    server.join().unwrap();
    let seen: Vec<_> = exchanges.iter().map(|e| (e.uri.as_str(), e.status)).collect();
    assert_eq!(seen, [("/1", 200), ("/2", 404)]);
}
