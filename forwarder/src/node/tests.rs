//! A whole node without Kubernetes and without a kernel: plan and pods come from the test, the
//! agent is played by it, and the receiver is real.

use std::{
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::Instant,
};

use tokio::{sync::oneshot, task::JoinHandle};
use weir_link::{
    Connection, Container, FromAgent, FromForwarder, Hello, LINK_VERSION, Listener, ProcessNews,
    Targets,
};
use weir_plan::{ExporterPlan, Transport};
use weir_rrpair::RrPair;

use super::*;
use crate::{
    export::RetryPolicy,
    testing::{
        Call, Kernel as Rings, PATIENCE, Receiver, Speaks, capture, exporter, key, plan, request,
        response,
    },
};

/// The agent's side of one session.
struct Agent {
    connection: Connection,
    kernel: Kernel,
}

impl Agent {
    /// Waits for the forwarder, and hands over the ring.
    async fn meet(listener: &Listener, rings: &Rings) -> Self {
        let (connection, _) = until(|| listener.accept().unwrap()).await;
        let (ring, ring_bytes) = rings.ring();
        let hello = Hello {
            version: LINK_VERSION,
            abi: weir_abi::ABI_VERSION,
            ring_bytes,
            hook: "test".to_owned(),
            kernel: "test".to_owned(),
        };
        connection.send(&FromAgent::Hello(hello), &[ring.as_fd()]).unwrap();
        Self { connection, kernel: Kernel::default() }
    }

    /// Follows targets until they are these.
    async fn follow(&mut self, uids: &[&str]) {
        loop {
            let packet = until(|| self.connection.receive::<FromForwarder>().unwrap()).await;
            let FromForwarder::Targets(Targets { revision, pods, undisclosed: _ }) = packet.message;
            self.kernel.revision = revision;
            self.kernel.attached = !pods.is_empty();
            self.connection.send(&FromAgent::Kernel(self.kernel.clone()), &[]).unwrap();
            if pods.iter().eq(uids.iter()) {
                return;
            }
        }
    }

    fn captured(&self, pid: u32, uid: &str) {
        let container = Container { pod_uid: uid.to_owned(), id: "c".to_owned() };
        let news = vec![ProcessNews::Captured { pid, container }];
        self.connection.send(&FromAgent::Processes(news), &[]).unwrap();
    }
}

/// Asks again until there is an answer.
async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "nothing came");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

struct Running {
    news: mpsc::Sender<News>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<LedgerSnapshot, NodeError>>,
    admin: SocketAddr,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let mut forwarder = ForwarderConfig::without_ring("minikube", "v0.1.0");
        forwarder.retry =
            RetryPolicy { min: Duration::from_millis(1), max: Duration::from_millis(8) };
        forwarder.admin = Some(([127, 0, 0, 1], 0).into());
        let node = Node::start(NodeConfig {
            forwarder,
            agent_socket: socket(folder),
            state_dir: folder.to_owned(),
            node: "node-0".to_owned(),
            own_pod: None,
            drain_time: PATIENCE,
        })
        .unwrap();
        let admin = node.admin_address().unwrap();
        let (news, heard) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(node.run(heard, async {
            stopped.await.ok();
        }));
        Self { news, stop, task, admin }
    }

    async fn tell(&self, news: News) {
        self.news.send(news).await.unwrap();
    }

    async fn page(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn status(&self) -> weir_plan::NodeStatus {
        serde_json::from_str(&self.page("/status").await.1).unwrap()
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("agent.sock")
}

fn shop() -> Pod {
    Pod {
        uid: "uid-a".to_owned(),
        namespace: "default".to_owned(),
        name: "shop-6c9f7d5b8-q2x4z".to_owned(),
        labels: [("app", "shop-web"), ("pod-template-hash", "6c9f7d5b8")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        owner: Some(Owner { kind: "ReplicaSet".to_owned(), name: "shop-6c9f7d5b8".to_owned() }),
    }
}

fn document(exporters: Vec<ExporterPlan>) -> PlanDocument {
    PlanDocument::new(plan(exporters))
}

fn exchange(rings: &mut Rings, path: &str) {
    rings.exchange(1, Call::SERVER, &request(path, b"question"), &response(b"answer"));
}

async fn records(receiver: &Receiver, count: usize) -> Vec<RrPair> {
    let taken = until(|| {
        let taken = receiver.taken();
        (taken.len() >= count).then_some(taken)
    });
    taken.await.into_iter().map(|record| record.record().unwrap()).collect()
}

#[tokio::test]
async fn records_of_a_planned_pod_arrive_with_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rings, receiver) = (Rings::new(), Receiver::start(Speaks::Http1));
    let listener = Listener::bind(&socket(folder.path())).unwrap();
    let node = Running::start(folder.path());
    let mut agent = Agent::meet(&listener, &rings).await;
    agent.follow(&[]).await;
    node.tell(News::Pods(PodNews::All(vec![shop()]))).await;
    let document = document(vec![exporter("a", receiver.port, Transport::Http)]);
    node.tell(News::Plan(document.clone())).await;
    // Nobody is told of a pod that the kernel side does not follow yet.
    let known = loop {
        let status = node.status().await;
        if !status.captures.is_empty() {
            break status;
        }
    };
    assert_eq!((known.captures[0].matched_pods, known.plan_revision), (0, None));
    agent.follow(&["uid-a"]).await;
    agent.captured(Call::TGID, "uid-a");
    rings.open(1, Call::SERVER);
    exchange(&mut rings, "/a");
    let [record] = &records(&receiver, 1).await[..] else { panic!("one record") };
    assert_eq!((&*record.service, &*record.namespace), ("shop", "default"));
    assert_eq!(record.tags.value("k8sAppLabel"), Some("shop-web"));
    assert_eq!(record.tags.value("k8sAppPodName"), Some("shop-6c9f7d5b8-q2x4z"));

    let status = node.status().await;
    assert_eq!(status.plan_revision.as_deref(), Some(document.revision()));
    assert_eq!((&*status.node, status.captures[0].matched_pods), ("node-0", 1));
    assert!(status.agent.connected && status.agent.hooks_attached);
    assert_eq!(node.page("/readyz").await.0, 200);
    let metrics = node.page("/metrics").await.1;
    assert!(metrics.contains("capture_hooks_attached 1"), "{metrics}");

    // Without the capture every hook is detached, and the plan is in force when that is so.
    let after = PlanDocument::new(Plan::default());
    node.tell(News::Plan(after.clone())).await;
    agent.follow(&[]).await;
    let revision = Some(after.revision());
    while node.status().await.plan_revision.as_deref() != revision {
        tokio::task::yield_now().await;
    }
    assert!(!node.status().await.agent.hooks_attached);
    node.stop.send(()).unwrap();
    agent.follow(&[]).await;
    node.task.await.unwrap().unwrap().check().unwrap();
}

#[tokio::test]
async fn a_new_agent_is_read_after_all_that_the_old_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let (mut old, receiver) = (Rings::new(), Receiver::start(Speaks::Http1));
    let listener = Listener::bind(&socket(folder.path())).unwrap();
    let node = Running::start(folder.path());
    node.tell(News::Pods(PodNews::All(vec![shop()]))).await;
    let exporters = vec![exporter("a", receiver.port, Transport::Http)];
    node.tell(News::Plan(document(exporters))).await;
    let mut agent = Agent::meet(&listener, &old).await;
    agent.follow(&["uid-a"]).await;
    agent.captured(Call::TGID, "uid-a");
    old.open(1, Call::SERVER);
    exchange(&mut old, "/old");
    drop(agent);

    // The new ring has the same connection and process numbers, of another pod.
    let mut new = Rings::new();
    let mut agent = Agent::meet(&listener, &new).await;
    agent.follow(&["uid-a"]).await;
    let other = Pod { uid: "uid-b".to_owned(), name: "other".to_owned(), owner: None, ..shop() };
    node.tell(News::Pods(PodNews::Applied(other))).await;
    agent.follow(&["uid-a", "uid-b"]).await;
    agent.captured(Call::TGID, "uid-b");
    new.open(1, Call::SERVER);
    exchange(&mut new, "/new");
    let records = records(&receiver, 2).await;
    let pods = records.iter().map(|r| (&*r.location, r.tags.value("k8sAppPodName").unwrap()));
    assert_eq!(pods.collect::<Vec<_>>(), [("/old", "shop-6c9f7d5b8-q2x4z"), ("/new", "other")]);
    node.stop.send(()).unwrap();
    agent.follow(&[]).await;
    node.task.await.unwrap().unwrap().check().unwrap();
}

#[tokio::test]
async fn a_restart_needs_nobody_but_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rings, receiver) = (Rings::new(), Receiver::start(Speaks::Http1));
    let listener = Listener::bind(&socket(folder.path())).unwrap();
    let first = Running::start(folder.path());
    first.tell(News::Pods(PodNews::All(vec![shop()]))).await;
    let exporters = vec![exporter("a", receiver.port, Transport::Http)];
    let document = document(exporters);
    first.tell(News::Plan(document.clone())).await;
    let mut agent = Agent::meet(&listener, &rings).await;
    agent.follow(&["uid-a"]).await;
    until(|| folder.path().join("pods.json").exists().then_some(())).await;
    first.stop.send(()).unwrap();
    agent.follow(&[]).await;
    first.task.await.unwrap().unwrap();

    let second = Running::start(folder.path());
    let mut agent = Agent::meet(&listener, &rings).await;
    agent.follow(&["uid-a"]).await;
    agent.captured(Call::TGID, "uid-a");
    rings.open(1, Call::SERVER);
    exchange(&mut rings, "/after");
    assert_eq!(&*records(&receiver, 1).await[0].location, "/after");
    // The same plan again changes nothing.
    second.tell(News::Plan(document)).await;
    second.stop.send(()).unwrap();
    agent.follow(&[]).await;
    second.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_complete_capture_detaches_the_hooks() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rings, receiver) = (Rings::new(), Receiver::start(Speaks::Http1));
    let listener = Listener::bind(&socket(folder.path())).unwrap();
    let node = Running::start(folder.path());
    node.tell(News::Pods(PodNews::All(vec![shop()]))).await;
    let mut limited = capture("all", &["a"]);
    limited.budget.records = Some(1);
    let exporters = vec![exporter("a", receiver.port, Transport::Http)];
    node.tell(News::Plan(PlanDocument::new(Plan {
        captures: vec![limited],
        exporters,
        ..Plan::default()
    })))
    .await;
    let mut agent = Agent::meet(&listener, &rings).await;
    agent.follow(&["uid-a"]).await;
    agent.captured(Call::TGID, "uid-a");
    rings.open(1, Call::SERVER);
    exchange(&mut rings, "/only");
    agent.follow(&[]).await;
    assert_eq!(node.status().await.captures[0].key, key("all"));
    node.stop.send(()).unwrap();
    agent.follow(&[]).await;
    node.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_agent_of_another_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::bind(&socket(folder.path())).unwrap();
    let node = Running::start(folder.path());
    let (connection, _) = until(|| listener.accept().unwrap()).await;
    let hello = Hello {
        version: LINK_VERSION + 1,
        abi: weir_abi::ABI_VERSION,
        ring_bytes: 4096,
        hook: String::new(),
        kernel: String::new(),
    };
    connection.send(&FromAgent::Hello(hello), &[]).unwrap();
    let error = loop {
        match node.status().await.agent.error {
            Some(error) if error.contains("version") => break error,
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(error.contains(&format!("version {}", LINK_VERSION + 1)), "{error}");
    node.stop.send(()).unwrap();
    node.task.await.unwrap().unwrap();
}
