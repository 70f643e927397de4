//! Between the forwarder and its receiver: passes requests on, or does what receivers do on bad
//! days. Keeps a copy of all bytes that it gets over HTTP.

mod grpc;

use std::{
    collections::{BTreeSet, VecDeque},
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use prost::Message as _;
use weir_plan::Transport;
use weir_rrpair::otlp::decode_request;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    Pass,
    /// Connections end at once.
    Down,
    /// Passed on, after a while.
    Slow,
    /// 429 or 503, with the time to come back; `RESOURCE_EXHAUSTED` or `UNAVAILABLE`.
    Busy(u16, &'static str),
    /// Passed on; the answer says that so many records were rejected.
    Partial(i64),
    /// 400 or `INVALID_ARGUMENT`, and not passed on.
    Invalid,
}

#[derive(Debug)]
struct State {
    usual: Mutex<Manner>,
    /// Used up first.
    script: Mutex<VecDeque<Manner>>,
    receiver: Mutex<u16>,
    requests: AtomicUsize,
    invalid: Mutex<BTreeSet<String>>,
    heard: Mutex<Vec<u8>>,
}

/// Runs until the test process ends.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// Speaks that transport on both sides.
    pub(super) fn start(receiver: u16, transport: Transport) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            usual: Mutex::new(Manner::Pass),
            script: Mutex::default(),
            receiver: Mutex::new(receiver),
            requests: AtomicUsize::new(0),
            invalid: Mutex::default(),
            heard: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        if transport == Transport::Grpc {
            std::thread::spawn(move || grpc::serve(listener, shared));
            return Self { port, state };
        }
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // Its error is the end of a connection, which a killed process does not announce.
                std::thread::spawn(move || serve(&stream, &state).ok());
            }
        });
        Self { port, state }
    }

    pub(super) fn be(&self, usual: Manner) {
        *self.state.usual.lock().unwrap() = usual;
    }

    pub(super) fn script(&self, script: impl IntoIterator<Item = Manner>) {
        self.state.script.lock().unwrap().extend(script);
    }

    /// Passes on to another receiver from now on.
    pub(super) fn send_to(&self, receiver: u16) {
        *self.state.receiver.lock().unwrap() = receiver;
    }

    /// Requests and refused connections so far.
    pub(super) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Acquire)
    }

    /// Locations of records that were blamed for what they hold.
    pub(super) fn invalid(&self) -> BTreeSet<String> {
        self.state.invalid.lock().unwrap().clone()
    }

    /// Everything that came, as it was on the wire.
    pub(super) fn heard(&self) -> Vec<u8> {
        self.state.heard.lock().unwrap().clone()
    }
}

fn serve(mut stream: &TcpStream, state: &State) -> io::Result<()> {
    loop {
        if *state.usual.lock().unwrap() == Manner::Down {
            state.requests.fetch_add(1, Ordering::AcqRel);
            return Ok(());
        }
        let (head, body) = message(stream)?;
        state.requests.fetch_add(1, Ordering::AcqRel);
        state.heard.lock().unwrap().extend([head.as_slice(), &body].concat());
        let manner = state.script.lock().unwrap().pop_front();
        let manner = manner.unwrap_or_else(|| *state.usual.lock().unwrap());
        let answer = match manner {
            Manner::Down => Vec::new(),
            Manner::Pass => pass(&head, &body, state)?,
            Manner::Slow => {
                std::thread::sleep(Duration::from_millis(300));
                pass(&head, &body, state)?
            }
            Manner::Busy(code, after) => {
                let head = format!("HTTP/1.1 {code} Busy\r\nRetry-After: {after}\r\n");
                format!("{head}Content-Length: 0\r\n\r\n").into_bytes()
            }
            Manner::Partial(rejected_log_records) => {
                pass(&head, &body, state)?;
                let error_message = "some of them are odd".to_owned();
                let partial = ExportLogsPartialSuccess { rejected_log_records, error_message };
                let answer = ExportLogsServiceResponse { partial_success: Some(partial) };
                let body = answer.encode_to_vec();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n";
                let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
                [head.into_bytes(), body].concat()
            }
            Manner::Invalid => {
                let records = decode_request(&body).unwrap().records;
                let locations = records.iter().map(|record| record.body["location"].as_str());
                let locations = locations.map(|location| location.unwrap().to_owned());
                state.invalid.lock().unwrap().extend(locations);
                b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n".to_vec()
            }
        };
        stream.write_all(&answer)?;
    }
}

fn pass(head: &[u8], body: &[u8], state: &State) -> io::Result<Vec<u8>> {
    let mut receiver = TcpStream::connect(("127.0.0.1", *state.receiver.lock().unwrap()))?;
    receiver.write_all(&[head, body].concat())?;
    let (head, body) = message(&receiver)?;
    Ok([head, body].concat())
}

/// One HTTP/1 message with a length.
fn message(mut stream: &TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}
