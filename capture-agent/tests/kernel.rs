//! The programs in a real kernel: records of a conversation whose bytes are known.
//!
//! Needs root. Each test captures a child process: this same binary, running `peer`.

#![expect(
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "an integration test is a test module"
)]

use std::{
    collections::HashSet,
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aya::maps::{Map, MapData, RingBuf};
use weir_abi::{Direction, Loss, RecordKind};
use weir_capture_agent::{Agent, AgentConfig, Hook, Process, Selector};

/// Not a test: an echo server in a process of its own. Serves one connection for every line
/// on its standard input.
#[test]
#[ignore = "the child side of the other tests"]
fn peer() {
    let Ok(address) = std::env::var("PEER_ADDRESS") else { return };
    let listener = TcpListener::bind(address).unwrap();
    println!("listening {}", listener.local_addr().unwrap().port());
    for _ in std::io::stdin().lines() {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                count => stream.write_all(&buffer[..count]).unwrap(),
            }
        }
        drop(stream);
        println!("done");
    }
}

struct Peer {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Peer {
    fn start(address: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "peer", "--ignored", "--nocapture"])
            .env("PEER_ADDRESS", address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let line = read_until(&mut output, "listening ");
        let port = line.trim().parse().unwrap();
        Self { child, output, port }
    }

    /// Sends `messages` one by one over a new connection and checks each echo.
    fn talk(&mut self, host: &str, messages: &[Vec<u8>]) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut stream = TcpStream::connect((host, self.port)).unwrap();
        for message in messages {
            stream.write_all(message).unwrap();
            let mut echo = vec![0; message.len()];
            stream.read_exact(&mut echo).unwrap();
            assert_eq!(&echo, message);
        }
        drop(stream);
        read_until(&mut self.output, "done");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn read_until(output: &mut impl std::io::BufRead, marker: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "the peer ended before {marker:?}");
        if let Some((_, rest)) = line.split_once(marker) {
            return rest.to_owned();
        }
    }
}

struct OnlyPid(u32);

impl Selector for OnlyPid {
    fn selects(&self, process: &Process) -> bool {
        process.pid == self.0
    }
}

#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    missing: u64,
}

#[derive(Debug, Default)]
struct Seen {
    opened: usize,
    closed: usize,
    last_run: u32,
    ingress: Stream,
    egress: Stream,
    ports: (u16, u16),
    local_address: [u8; 16],
}

/// Reads what waits in the ring of a process. Others' may lie there too: a process is followed
/// from its exec on, until the agent has decided.
fn drain(ring: &mut RingBuf<MapData>, pid: u32) -> Seen {
    let mut seen = Seen::default();
    read_into(&mut seen, ring, pid);
    seen
}

/// Reads until a connection's end was seen: the kernel finishes a close on its own time.
fn drain_to_close(ring: &mut RingBuf<MapData>, pid: u32) -> Seen {
    let mut seen = Seen::default();
    let deadline = Instant::now() + Duration::from_secs(20);
    while seen.closed == 0 {
        assert!(Instant::now() < deadline, "no end of the connection: {seen:?}");
        read_into(&mut seen, ring, pid);
    }
    seen
}

/// Every piece must lie where the last one ended.
fn read_into(seen: &mut Seen, ring: &mut RingBuf<MapData>, pid: u32) {
    while let Some(item) = ring.next() {
        let long = |at: usize| u64::from_ne_bytes(item[at..at + 8].try_into().unwrap());
        let word = |at: usize| u32::from_ne_bytes(item[at..at + 4].try_into().unwrap());
        let (position, length, run) = (long(16), word(24) as usize, word(28));
        if word(32) != pid {
            continue;
        }
        seen.last_run = run;
        let stream = match Direction::from_u8(item[37]) {
            Direction::Ingress => &mut seen.ingress,
            Direction::Egress => &mut seen.egress,
        };
        let end = stream.bytes.len() as u64 + stream.missing;
        match RecordKind::from_u8(item[36]).unwrap() {
            RecordKind::Open => {
                seen.opened += 1;
                seen.local_address = item[40..56].try_into().unwrap();
                let port = |at: usize| u16::from_ne_bytes(item[at..at + 2].try_into().unwrap());
                seen.ports = (port(92), port(94));
            }
            RecordKind::Data => {
                assert_eq!(position, end);
                stream.bytes.extend(&item[40..40 + length]);
            }
            RecordKind::Hole => {
                assert_eq!(position, end);
                stream.missing += length as u64;
            }
            RecordKind::Close => seen.closed += 1,
        }
    }
}

fn ring(agent: &Agent) -> RingBuf<MapData> {
    let (fd, _): (OwnedFd, u32) = agent.segment_ring().unwrap();
    RingBuf::try_from(Map::RingBuf(MapData::from_fd(fd).unwrap())).unwrap()
}

fn message(length: usize) -> Vec<u8> {
    (0..=255).cycle().step_by(7).take(length).collect()
}

fn agent(hook: Hook) -> Agent {
    Agent::start(AgentConfig { hook, ring_bytes: 32 << 20, ..AgentConfig::default() }).unwrap()
}

fn conversation_is_captured(hook: Hook, bind: &str, host: &str) {
    let agent = agent(hook);
    let mut ring = ring(&agent);
    let mut peer = Peer::start(bind);
    let messages: Vec<_> = [1, 200, 208, 209, 1000, 1489, 5000, 16_384, 16_385, 60_000]
        .into_iter()
        .map(message)
        .collect();

    peer.talk(host, &messages);
    assert_eq!(
        drain(&mut ring, peer.child.id()).opened,
        0,
        "nothing is captured before a selector is set"
    );

    agent.set_selector(Some(Arc::new(OnlyPid(peer.child.id())))).unwrap();
    peer.talk(host, &messages);
    let seen = drain_to_close(&mut ring, peer.child.id());
    let expected = messages.concat();
    assert_eq!((seen.opened, seen.closed), (1, 1));
    assert_eq!(seen.ports.0, peer.port);
    assert!(seen.ingress.bytes == expected && seen.ingress.missing == 0, "{:?}", agent.losses());
    assert!(seen.egress.bytes == expected && seen.egress.missing == 0, "{:?}", agent.losses());

    agent.set_selector(None).unwrap();
    peer.talk(host, &messages);
    assert_eq!(
        drain(&mut ring, peer.child.id()).opened,
        0,
        "nothing is captured after the last capture ended"
    );
}

#[test]
#[ignore = "needs root and eBPF"]
fn socket_hook_captures_a_conversation_byte_for_byte() {
    conversation_is_captured(Hook::SockLength, "127.0.0.1:0", "127.0.0.1");
}

#[test]
#[ignore = "needs root and eBPF"]
fn syscall_hook_captures_a_conversation_byte_for_byte() {
    conversation_is_captured(Hook::SyscallExit, "127.0.0.1:0", "127.0.0.1");
}

#[test]
#[ignore = "needs root and eBPF"]
fn ipv6_and_mapped_addresses_are_captured() {
    conversation_is_captured(Hook::SockLength, "[::1]:0", "::1");
    conversation_is_captured(Hook::SockLength, "[::]:0", "127.0.0.1");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_connection_older_than_the_capture_is_captured_from_its_next_call_on() {
    let agent = agent(Hook::Auto);
    let mut ring = ring(&agent);
    let mut peer = Peer::start("127.0.0.1:0");
    peer.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", peer.port)).unwrap();
    let mut echo = [0; 5];
    stream.write_all(b"early").unwrap();
    stream.read_exact(&mut echo).unwrap();
    agent.set_selector(Some(Arc::new(OnlyPid(peer.child.id())))).unwrap();
    stream.write_all(b"later").unwrap();
    stream.read_exact(&mut echo).unwrap();
    drop(stream);
    read_until(&mut peer.output, "done");
    let seen = drain_to_close(&mut ring, peer.child.id());
    assert_eq!(seen.ingress.bytes, b"later");
    assert_eq!(seen.egress.bytes, b"later");
}

/// Wants nothing, and remembers which processes it was asked about.
#[derive(Default)]
struct Asked(Mutex<HashSet<u32>>);

impl Selector for Asked {
    fn selects(&self, process: &Process) -> bool {
        self.0.lock().unwrap().insert(process.pid);
        false
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_worker_that_a_process_forked_before_anybody_wanted_it_is_found() {
    let agent = agent(Hook::Auto);
    let earlier = Arc::new(Asked::default());
    agent.set_selector(Some(earlier.clone())).unwrap();
    // A shell's child is a fork that runs no program of its own, like a worker of a web server.
    let mut parent = Command::new("sh")
        .args(["-c", "read go; (echo forked; read end; :); :"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = |selector: &Asked, pid| selector.0.lock().unwrap().contains(&pid);
    while !asked(&earlier, parent.id()) {
        std::thread::yield_now();
    }
    // What was decided about the parent is done after one more command.
    agent.set_selector(Some(earlier)).unwrap();
    parent.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    read_until(&mut BufReader::new(parent.stdout.as_mut().unwrap()), "forked");
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let worker = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();

    let later = Arc::new(Asked::default());
    agent.set_selector(Some(later.clone())).unwrap();
    assert!(asked(&later, parent.id()) && asked(&later, worker));
    drop(parent.stdin.take());
    parent.wait().unwrap();
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_full_ring_loses_nothing_unseen() {
    let config = AgentConfig { ring_bytes: 4096, ..AgentConfig::default() };
    let agent = Agent::start(config).unwrap();
    let mut ring = ring(&agent);
    let mut peer = Peer::start("127.0.0.1:0");
    agent.set_selector(Some(Arc::new(OnlyPid(peer.child.id())))).unwrap();
    // 100 exchanges of two runs each, in a ring that holds a few of them.
    peer.talk("127.0.0.1", &vec![message(300); 100]);
    let seen = drain(&mut ring, peer.child.id());
    let losses = agent.losses();
    let unreported = losses[Loss::CloseUnreported as usize].exchanges;
    let seen_exchanges = u64::from(seen.last_run / 2 + 1);
    assert_eq!(seen_exchanges + unreported, 100, "{losses:?}");
    let dropped = losses[Loss::RingFull as usize].bytes;
    let kept = (seen.ingress.bytes.len() + seen.egress.bytes.len()) as u64;
    assert_eq!(kept + dropped, 2 * 300 * 100);
}

#[test]
#[ignore = "needs root and eBPF"]
fn losses_start_at_zero() {
    let losses = agent(Hook::Auto).losses();
    assert!(losses.iter().all(|loss| loss.records == 0), "{losses:?}");
}
