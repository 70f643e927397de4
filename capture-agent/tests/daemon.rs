//! The agent as a process of its own, with the forwarder's side of the link in this test.
//!
//! Needs root and a cgroup v2 hierarchy. The captured process runs in a control group that is
//! named as a kubelet would name it.

#![expect(
    clippy::tests_outside_test_module,
    clippy::panic,
    clippy::unwrap_used,
    reason = "an integration test is a test module"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aya::maps::{Map, MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use weir_abi::RecordKind;
use weir_link::{
    Connection, FromAgent, FromForwarder, Hello, Kernel, LINK_VERSION, ProcessNews, Targets,
};

const UID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
const ID: &str = "3f1c9a7be2d45806";

/// A group below which a test makes others; removed at the end, when its processes are gone.
struct Groups(PathBuf);

impl Groups {
    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let mount = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields[2] == "cgroup2")
            .expect("no cgroup v2 hierarchy is mounted");
        let top = Path::new(mount[1]).join(format!("weir-test-{}", std::process::id()));
        fs::create_dir_all(top.join(format!("pod{UID}/{ID}"))).unwrap();
        Self(top)
    }

    fn admit(&self, pid: u32) {
        let file = self.0.join(format!("pod{UID}/{ID}/cgroup.procs"));
        fs::write(file, pid.to_string()).unwrap();
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for below in [format!("pod{UID}/{ID}"), format!("pod{UID}"), String::new()] {
            fs::remove_dir(self.0.join(below)).unwrap();
        }
    }
}

/// A child that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The forwarder's side of the link.
struct Forwarder {
    connection: Connection,
    ring: RingBuf<MapData>,
    hello: Hello,
    news: Vec<ProcessNews>,
    kernel: Kernel,
    revision: u64,
}

impl Forwarder {
    fn connect(socket: &Path) -> Self {
        let deadline = Instant::now() + Duration::from_mins(1);
        let connection = loop {
            match Connection::open(socket) {
                Ok(connection) => break connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let packet = loop {
            wait(&connection);
            if let Some(packet) = connection.receive::<FromAgent>().unwrap() {
                break packet;
            }
        };
        let FromAgent::Hello(hello) = packet.message else { panic!("{:?}", packet.message) };
        let ring = packet.descriptors.into_iter().next().unwrap();
        let ring = RingBuf::try_from(Map::RingBuf(MapData::from_fd(ring).unwrap())).unwrap();
        let (news, kernel) = (Vec::new(), Kernel::default());
        Self { connection, ring, hello, news, kernel, revision: 0 }
    }

    /// Names the pods to capture, and waits until the kernel side follows.
    fn capture(&mut self, uids: &[&str]) {
        self.revision += 1;
        let revision = self.revision;
        let pods = uids.iter().map(|&uid| uid.to_owned()).collect();
        self.connection
            .send(&FromForwarder::Targets(Targets { revision, pods, ..Targets::default() }), &[])
            .unwrap();
        self.take_until(|forwarder| forwarder.kernel.revision == revision);
        assert_eq!(self.kernel.attached, !uids.is_empty(), "{:?}", self.kernel);
    }

    /// Takes messages until `enough`.
    fn take_until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            wait(&self.connection);
            match self.connection.receive::<FromAgent>().unwrap().map(|packet| packet.message) {
                Some(FromAgent::Processes(news)) => self.news.extend(news),
                Some(FromAgent::Kernel(kernel)) => self.kernel = kernel,
                Some(FromAgent::Hello(hello)) => panic!("a second {hello:?}"),
                None => {}
            }
        }
    }

    fn knows(&self, pid: u32) -> bool {
        self.news.iter().any(|news| match news {
            ProcessNews::Captured { pid: captured, container } => {
                *captured == pid && container.pod_uid == UID && container.id == ID
            }
            ProcessNews::Tls { .. } | ProcessNews::Ended { .. } => false,
        })
    }

    /// Bytes of a process that the records of the ring carry. Others' may lie there too: a
    /// process is followed from its exec on, until the agent has decided.
    fn payload(&mut self, pid: u32) -> Vec<u8> {
        let mut payload = Vec::new();
        while let Some(item) = self.ring.next() {
            let word = |at: usize| u32::from_ne_bytes(item[at..at + 4].try_into().unwrap());
            let (bytes, tgid) = (word(24) as usize, word(32));
            if RecordKind::from_u8(item[36]) == Some(RecordKind::Data) && tgid == pid {
                payload.extend_from_slice(&item[40..40 + bytes]);
            }
        }
        payload
    }
}

fn wait(connection: &Connection) {
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&limit)).unwrap(), 1, "the agent says nothing");
}

/// A client that sends what it is given, and says when its system call has returned: the peer may
/// have the bytes before the hook at the call's end has run.
fn client(port: u16) -> Running {
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; while read -r line; do echo \"$line\" >&3; echo; done"
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    Running(bash.spawn().unwrap())
}

fn say(client: &mut Running, server: &mut TcpStream, line: &str) {
    let line = format!("{line}\n");
    client.0.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    let mut received = vec![0; line.len()];
    server.read_exact(&mut received).unwrap();
    assert_eq!(received, line.as_bytes());
    client.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_named_pod_is_captured_and_a_new_forwarder_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let agent = Command::new(env!("CARGO_BIN_EXE_weir-capture-agent"))
        .args(["--ring-bytes", "1048576", "--socket"])
        .arg(&socket)
        .spawn()
        .unwrap();
    let _agent = Running(agent);
    let groups = Groups::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = client(listener.local_addr().unwrap().port());
    let (mut server, _) = listener.accept().unwrap();
    let pid = client.0.id();
    groups.admit(pid);

    let mut first = Forwarder::connect(&socket);
    assert_eq!((first.hello.version, first.hello.ring_bytes), (LINK_VERSION, 1 << 20));
    first.capture(&["ffffffff-0000-4000-8000-000000000000"]);
    say(&mut client, &mut server, "of a pod that nobody named");
    assert!(!first.knows(pid));

    first.capture(&[UID]);
    assert!(first.knows(pid));
    say(&mut client, &mut server, "for the first");
    assert_eq!(first.payload(pid), b"for the first\n");

    // A second one takes over, as after the death of the first: the same connection is new to it.
    say(&mut client, &mut server, "left unread");
    let mut second = Forwarder::connect(&socket);
    second.capture(&[UID]);
    assert!(second.knows(pid));
    assert_eq!(second.kernel.abandoned_rings, 1);
    assert!(second.kernel.abandoned_bytes >= "left unread".len() as u64, "{:?}", second.kernel);
    say(&mut client, &mut server, "for the second");
    assert_eq!(second.payload(pid), b"for the second\n");

    // Without a target every hook is detached; a process that ends is told.
    second.capture(&[]);
    say(&mut client, &mut server, "after the capture");
    second.capture(&[UID]);
    drop(client);
    second.take_until(|forwarder| forwarder.news.contains(&ProcessNews::Ended { pid }));
    assert_eq!(second.payload(pid), b"");
    let gone = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(groups.0.join("cgroup.events")).unwrap().contains("populated 1") {
        assert!(Instant::now() < gone);
        std::thread::sleep(Duration::from_millis(5));
    }
}
