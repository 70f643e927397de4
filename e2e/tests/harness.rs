//! The harness itself, without any capture: a client's truth has to be true.
#![cfg(test)]

use std::path::Path;

use weir_e2e::{
    load::{Load, Mix},
    servers::{self, Family, Nginx, Server},
    truth::Exchange,
};

fn check(server: &Server, load: Load) -> Vec<Exchange> {
    let sent = load.run().unwrap_or_else(|error| panic!("{error:?}\n{}", server.process.output()));
    assert_eq!(sent.len(), load.connections * load.requests);
    for exchange in &sent {
        let expected = if exchange.uri.starts_with("/none") { 204 } else { 200 };
        assert_eq!(exchange.status, expected, "{}", exchange.uri);
    }
    sent
}

fn check_echo(server: &Server) {
    for depth in [1, 16] {
        let load = Load { body_limit: 100_000, depth, ..Load::new(server.address, Mix::Sized) };
        let load = if depth > 1 { Load { body_limit: 1000, ..load } } else { load };
        for exchange in check(server, load) {
            if exchange.uri.starts_with("/echo") {
                assert_eq!(exchange.request_body, exchange.response_body, "{}", exchange.uri);
            }
        }
    }
}

fn in_folder(test: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(folder.path());
}

#[test]
#[ignore = "needs nginx"]
fn nginx_answers_as_the_client_expects() {
    in_folder(|folder| {
        let nginx = Nginx { sendfile: true, workers: 2, upstream: None }.start(folder).unwrap();
        check(&nginx, Load { body_limit: 1 << 20, ..Load::new(nginx.address, Mix::Downloads) });
        check(&nginx, Load { depth: 16, ..Load::new(nginx.address, Mix::Sized) });
    });
}

#[test]
#[ignore = "needs Node"]
fn node_answers_as_the_client_expects() {
    in_folder(|folder| {
        let node = servers::node(folder).unwrap();
        check_echo(&node);
        check(&node, Load::new(node.address, Mix::All));
    });
}

#[test]
#[ignore = "needs Python"]
fn python_answers_as_the_client_expects() {
    in_folder(|folder| {
        let python = servers::python(folder).unwrap();
        check_echo(&python);
        check(&python, Load::new(python.address, Mix::All));
    });
}

#[test]
#[ignore = "needs gunicorn from PyPI"]
fn gunicorn_answers_as_the_client_expects() {
    in_folder(|folder| {
        let gunicorn = servers::gunicorn(folder).unwrap();
        let load = Load::new(gunicorn.address, Mix::All);
        check(&gunicorn, Load { connections: 32, ..load });
    });
}

#[test]
#[ignore = "needs Go"]
fn go_answers_as_the_client_expects() {
    in_folder(|folder| {
        let go = servers::go(folder).unwrap();
        check_echo(&go);
        check(&go, Load::new(go.address, Mix::All));
    });
}

#[test]
#[ignore = "needs a C compiler"]
fn the_server_of_chosen_system_calls_answers_as_the_client_expects() {
    let calls = [
        (Family::V4, "read", "write", "threads"),
        (Family::V6, "readv", "writev", "fork"),
        (Family::Mapped, "recvfrom", "sendto", "pass"),
        (Family::V4, "recvmsg", "sendmsg", "dup"),
        (Family::V4, "recvmmsg", "sendmmsg", "threads"),
        (Family::V4, "read", "sendfile", "threads"),
        (Family::V4, "read", "splice", "threads"),
    ];
    for (family, read, write, form) in calls {
        in_folder(|folder| {
            check_echo(&servers::syscalls(folder, family, read, write, form).unwrap());
        });
    }
}
