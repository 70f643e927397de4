//! Programs that are over at once: what they do in their first moments is captured, too.
#![cfg(test)]

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use weir_e2e::{
    artifacts,
    capture::{Collect, HOOKS, Run, Setup, Transport},
    ledger::Ledger,
    servers,
    truth::Pair,
};

/// Captures all programs named `exe` while a shell runs `script`.
fn capture(folder: &Path, exe: &str, hook: &'static str, script: &str) -> (Ledger, Vec<Pair>) {
    let collect = Collect::start(folder).unwrap();
    let endpoint = collect.endpoint(Transport::Grpc);
    let setup = Setup {
        labels: vec![("weir.dev/exe", exe.to_owned())],
        direction: "Outbound",
        hook: Some(hook),
        ..Setup::port(0, vec![endpoint])
    };
    // None of them lives yet.
    let run = Run::start(folder, &setup).unwrap();
    // The shell is new, too: of its children the kernel side hears from their fork on.
    let status = Command::new("sh").arg("-ec").arg(script).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{status}");
    let ledger = run.finish().unwrap();
    let pairs = collect.finish().unwrap();
    assert!(ledger.balances(), "{ledger:?}");
    (ledger, pairs)
}

fn targets(pairs: &[Pair]) -> BTreeSet<usize> {
    let number = |pair: &Pair| {
        assert!(!pair.is_half() && !pair.has_hole());
        let response = pair.response.as_ref().unwrap();
        let number = pair.uri.as_deref().unwrap().rsplit('/').next().unwrap().parse().unwrap();
        assert_eq!(response.body.len(), number);
        number
    };
    pairs.iter().map(number).collect()
}

const PROGRAMS: usize = 200;

#[test]
#[ignore = "needs root and eBPF"]
fn the_first_request_of_two_hundred_new_programs_is_captured() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::python(folder.path()).unwrap();
        let program = artifacts::c_program("hurry").unwrap();
        let exe = program.file_name().unwrap().to_string_lossy().into_owned();
        let script = format!(
            "n=1; while [ $n -le {PROGRAMS} ]; do {} {} /bytes/$n; n=$((n+1)); done",
            program.display(),
            server.address.port(),
        );
        let (ledger, pairs) = capture(folder.path(), &exe, hook, &script);
        assert_eq!((pairs.len(), ledger.lost_exchanges), (PROGRAMS, 0), "{hook} {ledger:?}");
        assert_eq!(targets(&pairs), (1..=PROGRAMS).collect());
    }
}

/// A probe belongs to a file: the first program that uses it may be faster than its probes, the next
/// ones meet them.
#[test]
#[ignore = "needs root and eBPF"]
fn the_first_request_of_two_hundred_new_programs_is_read_inside_tls() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::python_tls(folder.path()).unwrap();
    let port = server.address.port();
    let script = format!(
        "get() {{ curl --silent --show-error --fail --insecure --noproxy '*' -o /dev/null \
         https://127.0.0.1:{port}/bytes/$1; }}; get 1000; get 1001; \
         n=1; while [ $n -le {PROGRAMS} ]; do get $n; n=$((n+1)); done",
    );
    let (ledger, pairs) = capture(folder.path(), "curl", HOOKS[0], &script);
    let mut seen = targets(&pairs);
    assert_eq!((pairs.len(), ledger.lost_exchanges), (seen.len(), 0), "each once: {ledger:?}");
    let first = [1000, 1001].map(|number| seen.remove(&number));
    assert_eq!(seen, (1..=PROGRAMS).collect(), "{ledger:?}");
    // Who was too early is counted.
    let early = first.iter().filter(|read| !**read).count() as u64;
    assert_eq!(ledger.tls_opaque.values().sum::<u64>(), early, "{ledger:?}");
}
