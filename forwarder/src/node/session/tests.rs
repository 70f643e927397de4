use weir_link::{Container, Listener, TlsOpaque, packets_of_news};
use weir_plan::Plan;

use super::*;
use crate::{
    Completion,
    node::{Pod, PodNews},
    testing::capture,
};

/// A session, and the agent's end of its link.
fn session() -> (Session, Connection, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = Listener::bind(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    let (agent, _) = listener.accept().unwrap().unwrap();
    let directory = Directory::default();
    let captures = vec![capture("all", &[])];
    directory.follow(Completion::default().live(&Plan { captures, ..Plan::default() }));
    for uid in ["a", "b"] {
        directory.take(PodNews::Applied(Pod {
            uid: uid.to_owned(),
            namespace: "default".to_owned(),
            name: format!("{uid}-0"),
            ..Pod::default()
        }));
    }
    (Session::new(connection, Arc::new(directory)), agent, folder)
}

fn captured(pid: u32, uid: &str) -> ProcessNews {
    let container = Container { pod_uid: uid.to_owned(), id: "c".to_owned() };
    ProcessNews::Captured { pid, container }
}

fn tell(agent: &Connection, news: Vec<ProcessNews>) {
    packets_of_news(news).for_each(|message| agent.send(&message, &[]).unwrap());
}

fn name(session: &Session, pid: u32) -> Option<String> {
    session.workload(pid, 0).map(|workload| workload.pod_name.clone())
}

#[test]
fn whoever_misses_a_process_reads_what_waits_on_the_link() {
    let (session, agent, _folder) = session();
    assert_eq!(name(&session, 7), None);
    tell(&agent, vec![captured(7, "a"), captured(8, "of nobody")]);
    assert_eq!(name(&session, 7).as_deref(), Some("a-0"));
    assert_eq!(name(&session, 8), None);
}

#[test]
fn an_ended_process_is_remembered_until_its_number_is_used_again() {
    let (session, agent, _folder) = session();
    tell(&agent, vec![captured(7, "a"), ProcessNews::Ended { pid: 7 }]);
    assert_eq!(name(&session, 7).as_deref(), Some("a-0"));
    tell(&agent, vec![captured(7, "b")]);
    session.pump().unwrap();
    assert_eq!(name(&session, 7).as_deref(), Some("b-0"));
}

#[test]
fn what_is_said_of_encryption_is_of_that_process_alone() {
    let (session, agent, _folder) = session();
    let coverage = TlsCoverage::Opaque(TlsOpaque::Java);
    tell(&agent, vec![captured(7, "a"), ProcessNews::Tls { pid: 7, coverage }]);
    assert_eq!(session.tls(7), coverage);
    // It is selected again, ends, and another one gets its number.
    tell(&agent, vec![captured(7, "a"), ProcessNews::Ended { pid: 7 }]);
    assert_eq!(session.tls(7), coverage);
    tell(&agent, vec![captured(7, "b"), ProcessNews::Tls { pid: 8, coverage }]);
    assert_eq!((session.tls(7), session.tls(8)), (TlsCoverage::Unknown, TlsCoverage::Unknown));
}

#[test]
fn what_is_remembered_has_a_limit() {
    let (session, agent, _folder) = session();
    tell(&agent, vec![captured(1, "a")]);
    session.pump().unwrap();
    // Of a pod that is not captured any more no end is told.
    let pods = ["b".to_owned()].into();
    session.capture(Targets { revision: 1, pods, ..Targets::default() }).unwrap();
    assert_eq!(name(&session, 1).as_deref(), Some("a-0"));
    let last = u32::try_from(REMEMBERED).unwrap() + 2;
    for pid in 2..=last {
        tell(&agent, vec![captured(pid, "b"), ProcessNews::Ended { pid }]);
        session.pump().unwrap();
    }
    assert_eq!(session.heard().processes.len(), REMEMBERED);
    assert_eq!((name(&session, 1), name(&session, 2)), (None, None));
    assert_eq!(name(&session, last).as_deref(), Some("b-0"));
}

#[test]
fn a_link_that_ended_says_so_each_time() {
    let (session, agent, _folder) = session();
    tell(&agent, vec![captured(7, "a")]);
    drop(agent);
    assert_eq!(name(&session, 7).as_deref(), Some("a-0"), "what was said before counts");
    assert!(session.pump().is_err() && session.pump().is_err());
    assert!(session.capture(Targets::default()).is_err());
}

#[tokio::test]
async fn what_the_reader_takes_from_the_link_is_told_of_too() {
    let (session, agent, _folder) = session();
    assert_eq!(name(&session, 7), None);
    let nothing = tokio::time::timeout(std::time::Duration::ZERO, session.taken()).await;
    assert!(nothing.is_err(), "nothing came");
    let kernel = Kernel { revision: 5, ..Kernel::default() };
    agent.send(&FromAgent::Kernel(kernel.clone()), &[]).unwrap();
    assert_eq!(name(&session, 7), None);
    session.taken().await;
    assert_eq!(session.pump().unwrap(), kernel);
    drop(agent);
    assert_eq!(name(&session, 7), None);
    session.taken().await;
    assert!(session.pump().is_err());
}
