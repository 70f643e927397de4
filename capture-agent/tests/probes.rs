//! Plaintext of TLS connections between programs that others wrote, both ends captured: what one
//! end wrote is what the other one read, byte for byte.
//!
//! Needs root, openssl, curl, nginx and Python.

#![expect(
    clippy::cast_possible_truncation,
    clippy::panic,
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    reason = "an integration test is a test module"
)]

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use aya::maps::{Map, MapData, RingBuf};
use weir_abi::{Direction, Loss, PLAINTEXT, RecordKind};
use weir_capture_agent::{Agent, AgentConfig, Process, Selector};

const PYTHON: &str = r"
import http.server, ssl, sys
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Echo)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

/// A child process that does not outlive its test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx in one process ends so, too.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=localhost"]);
    openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]);
    assert!(openssl.stderr(Stdio::null()).status().unwrap().success());
}

fn python(folder: &Path) -> Server {
    let mut child = Command::new("/usr/bin/python3")
        .current_dir(folder)
        .args(["-c", PYTHON])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Server { child, port: line.trim().parse().unwrap() }
}

fn nginx(folder: &Path, protocol: &str) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let here = folder.display();
    let configuration = format!(
        "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;
         events {{}}
         http {{
           access_log off; client_body_temp_path {here}; root {here};
           server {{
             listen 127.0.0.1:{port} ssl; ssl_protocols {protocol};
             ssl_certificate {here}/cert.pem; ssl_certificate_key {here}/key.pem;
           }}
         }}"
    );
    fs::write(folder.join("nginx.conf"), configuration).unwrap();
    let child = Command::new("nginx")
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    Server { child, port }
}

/// Process id and output.
fn curl(words: &[String]) -> (u32, Vec<u8>) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--insecure", "--noproxy", "*"]);
    let curl = curl.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = curl.id();
    let output = curl.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (pid, output.stdout)
}

/// Captures one server and every curl that this process starts.
struct Ends(u32);

impl Selector for Ends {
    fn selects(&self, process: &Process) -> bool {
        process.pid == self.0 || process.exe.ends_with("/curl")
    }
}

/// As [`Ends`], and nothing encrypted.
struct Undisclosed(Ends);

impl Selector for Undisclosed {
    fn selects(&self, process: &Process) -> bool {
        self.0.selects(process)
    }

    fn decrypts(&self, _: &Process) -> bool {
        false
    }
}

#[derive(Default)]
struct Connection {
    tgid: u32,
    encrypted: bool,
    /// Payload of the wire itself, by [`Direction`].
    wire: [Vec<u8>; 2],
    /// Plaintext by [`Direction`].
    plain: [Vec<u8>; 2],
    plain_ends: Option<(u64, u64)>,
    closed: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tgid, encrypted, wire, plain, plain_ends, closed } = self;
        let [wire, plain] = [wire, plain].map(|sides| sides.each_ref().map(Vec::len));
        write!(f, "{tgid} {encrypted} {wire:?} {plain:?} {plain_ends:?} {closed}")
    }
}

impl Connection {
    /// Of the wire there are the client's hello and the server's, and no more.
    fn has_its_hellos_alone(&self) -> bool {
        let hello = |bytes: &Vec<u8>| match bytes[..] {
            [22, 3, _, high, low, kind, ..] => {
                let length = usize::from(u16::from_be_bytes([high, low]));
                (bytes.len() == 5 + length).then_some(kind)
            }
            _ => None,
        };
        let mut kinds = self.wire.each_ref().map(hello);
        kinds.sort_unstable();
        self.encrypted && kinds == [Some(1), Some(2)]
    }
}

/// Reads until `count` connections of these processes were closed. There are others: every new
/// process of the machine is captured until it is decided about.
fn connections(
    ring: &mut RingBuf<MapData>,
    count: usize,
    pids: &[u32],
) -> BTreeMap<u64, Connection> {
    let mut all: BTreeMap<u64, Connection> = BTreeMap::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut strangers = BTreeMap::new();
    while all.values().filter(|connection| connection.closed).count() < count {
        assert!(Instant::now() < deadline, "{count} connections should have ended: {all:?}");
        while let Some(item) = ring.next() {
            let long = |at: usize| u64::from_ne_bytes(item[at..at + 8].try_into().unwrap());
            let word = |at: usize| u32::from_ne_bytes(item[at..at + 4].try_into().unwrap());
            let ours = all.contains_key(&long(0)) || pids.contains(&word(32));
            let map = if ours { &mut all } else { &mut strangers };
            let connection = map.entry(long(0)).or_default();
            let (position, length) = (long(16), word(24) as usize);
            let plain = item[39] & PLAINTEXT != 0;
            let direction = Direction::from_u8(item[37]) as usize;
            match RecordKind::from_u8(item[36]).unwrap() {
                RecordKind::Open => {
                    connection.tgid = word(32);
                    connection.encrypted = item[40 + 59] == 1;
                }
                RecordKind::Data if plain => {
                    assert_eq!(connection.plain[direction].len() as u64, position);
                    connection.plain[direction].extend(&item[40..40 + length]);
                }
                RecordKind::Data => connection.wire[direction].extend(&item[40..40 + length]),
                RecordKind::Hole if !ours => {}
                RecordKind::Hole => panic!("a hole of {length} bytes"),
                RecordKind::Close if plain => {
                    connection.plain_ends = Some((long(40), position));
                }
                RecordKind::Close => connection.closed = true,
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    all
}

fn start() -> (Agent, RingBuf<MapData>) {
    let config = AgentConfig { ring_bytes: 64 << 20, ..AgentConfig::default() };
    let agent = Agent::start(config).unwrap();
    let (fd, _): (OwnedFd, u32) = agent.segment_ring().unwrap();
    (agent, RingBuf::try_from(Map::RingBuf(MapData::from_fd(fd).unwrap())).unwrap())
}

fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + seed) % 251) as u8).collect()
}

/// Both ends of each connection saw the same plaintext, and nothing else was copied.
fn check(all: &BTreeMap<u64, Connection>, server: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    for connection in all.values() {
        assert!(connection.has_its_hellos_alone(), "ciphertext was copied: {all:?}");
        let [ingress, egress] = &connection.plain;
        let ends = (ingress.len() as u64, egress.len() as u64);
        assert_eq!(connection.plain_ends, Some(ends));
    }
    let (answered, asked): (Vec<_>, Vec<_>) =
        all.values().partition(|connection| connection.tgid == server);
    assert_eq!(answered.len(), asked.len());
    let mut answered: Vec<_> = answered.iter().map(|c| (&c.plain[0], &c.plain[1])).collect();
    let mut asked: Vec<_> = asked.iter().map(|c| (&c.plain[1], &c.plain[0])).collect();
    answered.sort_unstable();
    asked.sort_unstable();
    let lengths = |ends: &[(&Vec<u8>, &Vec<u8>)]| -> Vec<_> {
        ends.iter().map(|(request, response)| (request.len(), response.len())).collect()
    };
    let (here, there) = (lengths(&answered), lengths(&asked));
    assert!(answered == asked, "the two ends differ: {here:?} {there:?}");
    answered.into_iter().map(|(request, response)| (request.clone(), response.clone())).collect()
}

#[test]
#[ignore = "needs root and eBPF"]
fn curl_and_python_are_read_at_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let (agent, mut ring) = start();
    let server = python(folder.path());
    agent.set_selector(Some(Arc::new(Ends(server.child.id())))).unwrap();
    let sizes = [1, 100, 4096, 16_384, 16_385, 100_000];
    let mut pids = vec![server.child.id()];
    for (seed, size) in sizes.into_iter().enumerate() {
        let upload = folder.path().join("upload");
        fs::write(&upload, body(size, seed)).unwrap();
        // One connection for both requests.
        let url = format!("https://127.0.0.1:{}/[1-2]", server.port);
        let (pid, answer) =
            curl(&["--data-binary".to_owned(), format!("@{}", upload.display()), url]);
        assert_eq!(answer, body(size, seed).repeat(2));
        pids.push(pid);
    }
    let all = connections(&mut ring, 2 * sizes.len(), &pids);
    let seen = check(&all, server.child.id());
    assert_eq!(seen.len(), sizes.len());
    for (seed, size) in sizes.into_iter().enumerate() {
        let body = body(size, seed);
        let with = |(request, response): &&(Vec<u8>, Vec<u8>)| {
            request.ends_with(&body)
                && response.ends_with(&body)
                && request.starts_with(b"POST /1 ")
        };
        assert!(seen.iter().any(|exchange| with(&exchange)), "{size} bytes");
    }
    assert_eq!(agent.losses()[Loss::TlsUnjoined as usize].records, 0);
}

#[test]
#[ignore = "needs root and eBPF"]
fn curl_and_nginx_are_read_at_both_ends_in_every_version() {
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path());
        fs::write(folder.path().join("file"), body(70_000, 1)).unwrap();
        let (agent, mut ring) = start();
        let server = nginx(folder.path(), protocol);
        agent.set_selector(Some(Arc::new(Ends(server.child.id())))).unwrap();
        let url = format!("https://127.0.0.1:{}/file?[1-20]", server.port);
        let (pid, answer) = curl(&[url]);
        assert_eq!(answer, body(70_000, 1).repeat(20));
        let all = connections(&mut ring, 2, &[server.child.id(), pid]);
        let seen = check(&all, server.child.id());
        let (request, response) = &seen[0];
        let asked = request.windows(10).filter(|part| part == b"GET /file?").count();
        assert_eq!((seen.len(), asked), (1, 20), "{protocol}");
        assert!(response.ends_with(&body(70_000, 1)));
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn nothing_is_read_of_who_shall_not_be_decrypted() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    fs::write(folder.path().join("file"), body(1000, 1)).unwrap();
    let (agent, mut ring) = start();
    let server = nginx(folder.path(), "TLSv1.3");
    let ends = Ends(server.child.id());
    agent.set_selector(Some(Arc::new(Undisclosed(ends)))).unwrap();
    let (pid, _) = curl(&[format!("https://127.0.0.1:{}/file", server.port)]);
    let all = connections(&mut ring, 2, &[server.child.id(), pid]);
    assert!(all.values().all(Connection::has_its_hellos_alone));
    assert!(all.values().all(|connection| connection.plain.concat().is_empty()));
}
