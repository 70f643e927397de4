//! Bad input, missing rights, and what must not happen.
#![cfg(test)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use weir_e2e::{
    artifacts,
    capture::{Collect, Endpoint, HOOKS, Run, Setup, Transport},
    http::{Connection, Request},
    load::{Load, Mix},
    process::free_port,
    random::Random,
    servers::{self, Family},
    truth::{Bodies, compare},
};

/// `weir run` on these manifests, to its end.
fn run_manifest(folder: &Path, text: &str, wrapper: &[&str]) -> Output {
    let manifests = folder.join("manifests");
    fs::create_dir_all(&manifests).unwrap();
    fs::write(manifests.join("test.yaml"), text).unwrap();
    for path in [folder, &manifests] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new("timeout");
    command.arg("60").args(wrapper).arg(artifacts::weir().unwrap());
    command.arg("run").arg("-f").arg(&manifests).output().unwrap()
}

fn setup() -> Setup {
    let exporter =
        Endpoint { name: "collect", port: free_port().unwrap(), transport: Transport::Grpc };
    Setup::port(free_port().unwrap(), vec![exporter])
}

#[test]
#[ignore = "needs root and eBPF"]
fn without_the_rights_there_is_one_message_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let output = run_manifest(folder.path(), &setup().manifests(), &nobody);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    let says = |word: &str| errors.to_lowercase().contains(word);
    assert!(says("root") || says("cap_"), "{errors}");
    assert!(!says("panicked"), "{errors}");
    assert_eq!(errors.lines().filter(|line| line.starts_with("weir:")).count(), 1, "{errors}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_bad_manifest_is_refused_with_its_file_line_and_field() {
    let good = setup().manifests();
    let cases = [
        ("direction: Inbound", "directoin: Inbound", "directoin"),
        ("direction: Inbound", "direction: Sideways", "direction"),
        ("maxBodySize: 4Mi", "maxBodySize: plenty", "maxBodySize"),
        ("transport: GRPC", "transport: PIGEON", "transport"),
        ("transport: GRPC", "transprot: GRPC", "transprot"),
    ];
    for (from, to, field) in cases {
        let folder = tempfile::tempdir().unwrap();
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        let line = 1 + bad.lines().position(|line| line.contains(to)).unwrap();
        let output = run_manifest(folder.path(), &bad, &[]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{to}: {errors}");
        assert!(errors.contains(&format!("test.yaml:{line}")), "{to}: {errors}");
        assert!(errors.contains(field), "{to}: {errors}");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn garbage_on_a_captured_socket_gives_no_pair_and_is_counted() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server =
            servers::syscalls(folder.path(), Family::V4, "read", "write", "threads").unwrap();
        let collect = Collect::start(folder.path()).unwrap();
        let endpoint = collect.endpoint(Transport::Grpc);
        let setup =
            Setup { hook: Some(hook), ..Setup::port(server.address.port(), vec![endpoint]) };
        let run = Run::start(folder.path(), &setup).unwrap();
        let mut random = Random::new(11);
        let mut bytes = 0;
        for number in 0..20 {
            let mut connection = Connection::open(server.address).unwrap();
            // No end of a head anywhere, so the server answers nothing.
            let mut garbage = random.bytes(1 + number * 500);
            garbage.retain(|&byte| byte != b'\n');
            bytes += garbage.len() as u64;
            connection.send_raw(&garbage).unwrap();
        }
        let sent = Load::new(server.address, Mix::Sized).run().unwrap();
        let ledger = run.finish().unwrap();
        let differences = compare(&sent, &collect.finish().unwrap(), Bodies::Exact);
        assert!(differences.is_empty(), "{differences}");
        assert!(ledger.balances(), "{ledger:?}");
        assert_eq!(ledger.undecodable_bytes, bytes, "{ledger:?}");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn its_own_traffic_is_never_captured() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::go(folder.path()).unwrap();
        let collect = Collect::start(folder.path()).unwrap();
        let endpoint = collect.endpoint(Transport::Http);
        let everything = Setup {
            hook: Some(hook),
            labels: Vec::new(),
            direction: "Both",
            ..Setup::port(0, vec![endpoint])
        };
        let run = Run::start(folder.path(), &everything).unwrap();
        let sent = Load::new(server.address, Mix::All).run().unwrap();
        // A loop would go on feeding itself: nothing waits for that to settle, since every
        // record that was delivered by now would itself have become one.
        collect.wait_for(sent.len()).unwrap();
        run.finish().unwrap();
        let host = format!("127.0.0.1:{}", endpoint.port);
        let server = server.address.to_string();
        let (mut own, mut inbound) = (0, Vec::new());
        for pair in collect.finish().unwrap() {
            let to = pair.record["http"]["req"]["host"].as_str().unwrap_or_default().to_owned();
            own += usize::from(to == host);
            // The test's client is selected too: each request is one IN and one OUT.
            if to == server && pair.direction == "IN" {
                inbound.push(pair);
            }
        }
        assert_eq!(own, 0);
        let differences = compare(&sent, &inbound, Bodies::Exact);
        assert!(differences.is_empty(), "{differences}");
    }
}

/// eBPF links that the process holds.
fn links(pid: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = descriptors.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    texts.filter(|text| text.lines().any(|line| line.starts_with("link_id:"))).count()
}

#[test]
#[ignore = "needs root and eBPF"]
fn hooks_are_attached_only_while_a_capture_lives() {
    for hook in HOOKS {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::go(folder.path()).unwrap();
        let collect = Collect::start(folder.path()).unwrap();
        let endpoint = collect.endpoint(Transport::Grpc);
        let live = Setup { hook: Some(hook), ..Setup::port(server.address.port(), vec![endpoint]) };
        let suspended =
            live.manifests().replace("spec:\n  selector", "spec:\n  suspend: true\n  selector");
        assert_ne!(suspended, live.manifests());
        let mut run = Run::start(folder.path(), &live).unwrap();
        let pid = run.process.pid();
        assert!(links(pid) > 0);
        let mut sent = Load::new(server.address, Mix::All).run().unwrap();

        fs::write(run.manifest(), suspended).unwrap();
        run.wait_for_ready(2).unwrap();
        assert_eq!(links(pid), 0);
        Load { seed: 2, ..Load::new(server.address, Mix::All) }.run().unwrap();

        fs::write(run.manifest(), live.manifests()).unwrap();
        run.wait_for_ready(3).unwrap();
        assert!(links(pid) > 0);
        sent.extend(Load { seed: 3, ..Load::new(server.address, Mix::All) }.run().unwrap());
        run.finish().unwrap();
        let differences = compare(&sent, &collect.finish().unwrap(), Bodies::Exact);
        assert!(differences.is_empty(), "{differences}");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_bad_edit_keeps_the_last_good_plan_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::go(folder.path()).unwrap();
    let collect = Collect::start(folder.path()).unwrap();
    let setup = Setup::port(server.address.port(), vec![collect.endpoint(Transport::Grpc)]);
    let mut run = Run::start(folder.path(), &setup).unwrap();
    let bad = setup.manifests().replace("direction: Inbound", "directoin: Inbound");
    fs::write(run.manifest(), bad).unwrap();
    run.process.wait_for_text("directoin").unwrap();
    let sent = Load::new(server.address, Mix::All).run().unwrap();
    run.finish().unwrap();
    let differences = compare(&sent, &collect.finish().unwrap(), Bodies::Exact);
    assert!(differences.is_empty(), "{differences}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_secret_in_traffic_is_not_in_the_logs() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::go(folder.path()).unwrap();
    let collect = Collect::start(folder.path()).unwrap();
    let setup = Setup::port(server.address.port(), vec![collect.endpoint(Transport::Grpc)]);
    let run = Run::start(folder.path(), &setup).unwrap();
    let canary = "canary-3f9c";
    let mut connection = Connection::open(server.address).unwrap();
    let request = Request {
        headers: vec![("Authorization".to_owned(), format!("Bearer {canary}"))],
        ..Request::post(format!("/echo?{canary}"), canary.as_bytes().to_vec())
    };
    connection.exchange(&request).unwrap();
    // Also where nothing can be decoded.
    Connection::open(server.address).unwrap().send_raw(canary.as_bytes()).unwrap();
    collect.wait_for(1).unwrap();
    let mut process = run.process;
    process.terminate().unwrap();
    assert!(!process.stdout().contains(canary) && !process.stderr().contains(canary));
}
