//! What is read of encrypted traffic, each line with the test that shows it. The table in
//! `docs/tls-support.md` is written from here.

use std::fmt::Write as _;

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Library, and the program that was tried.
    pub program: &'static str,
    /// What becomes of its connections.
    pub state: &'static str,
    /// Name of the component test; empty where nothing was tried.
    pub test: &'static str,
}

const fn read(program: &'static str, test: &'static str) -> Case {
    Case { program, state: "read", test }
}

const fn opaque(program: &'static str, state: &'static str, test: &'static str) -> Case {
    Case { program, state, test }
}

const fn untried(program: &'static str, state: &'static str) -> Case {
    Case { program, state, test: "" }
}

/// Everything that is claimed.
pub const CASES: [Case; 28] = [
    read("OpenSSL 3, dynamic: curl, as a client", "curl_and_python_are_read_at_both_ends"),
    read("OpenSSL 3, dynamic: Python", "python_over_tls_gives_every_pair_byte_for_byte"),
    read(
        "OpenSSL 3: Python requests as a client, gunicorn as the server",
        "python_requests_and_gunicorn_give_every_pair_at_both_ends",
    ),
    read(
        "OpenSSL 3, dynamic: nginx, TLS 1.2 and 1.3",
        "curl_and_nginx_are_read_at_both_ends_in_every_version",
    ),
    read(
        "OpenSSL 3: `openssl s_server`, TLS 1.2 and 1.3",
        "openssl_s_server_gives_every_pair_byte_for_byte",
    ),
    read(
        "OpenSSL 3 inside a program with symbols (C)",
        "openssl_inside_a_program_gives_every_pair_byte_for_byte",
    ),
    read(
        "OpenSSL 3 inside Node, which encrypts in memory, as a server",
        "node_whose_library_never_sees_the_socket_gives_every_pair_byte_for_byte",
    ),
    read("The same, as a client and a server", "node_asks_node_and_both_ends_give_every_pair"),
    read("OpenSSL 1.1, dynamic: pycurl", "openssl_1_1_in_pycurl_gives_every_pair_byte_for_byte"),
    read(
        "BoringSSL inside a library with symbols: curl_cffi",
        "boringssl_with_symbols_in_curl_cffi_gives_every_pair_byte_for_byte",
    ),
    read("GnuTLS, dynamic: wget", "a_client_with_gnutls_gives_every_pair_byte_for_byte"),
    read(
        "TLS that begins after other bytes: PostgreSQL (its own protocol is not decoded yet)",
        "postgres_begins_tls_on_a_connection_that_is_under_way_and_is_read",
    ),
    read(
        "Go `crypto/tls`, server: with symbols, stripped, PIE",
        "go_servers_give_every_pair_byte_for_byte_with_and_without_symbols",
    ),
    read(
        "Go `crypto/tls`, client, 64 connections: stripped, PIE",
        "a_go_client_with_many_connections_gives_every_pair",
    ),
    read(
        "Go `crypto/tls`, server, 64 connections",
        "a_go_server_with_many_connections_gives_every_pair",
    ),
    opaque(
        "HTTP/2 inside TLS (ALPN `h2`)",
        "`http2` in `opaque_connections`",
        "http2_inside_tls_is_counted_and_named",
    ),
    read(
        "64 connections at once; resumed sessions",
        "many_connections_at_once_and_resumed_ones_give_every_pair",
    ),
    read(
        "Connections older than the capture",
        "a_connection_that_is_older_than_the_capture_is_read_from_then_on",
    ),
    opaque(
        "Older connections of a library that encrypts in memory (Node)",
        "opaque: `AttachedLate`",
        "a_connection_whose_beginning_was_missed_in_memory_is_counted_as_late",
    ),
    opaque(
        "A program without symbols, static or not (so is BoringSSL in most programs)",
        "opaque: `StaticStripped`, `NoSymbols`",
        "a_program_that_names_nothing_is_counted_as_opaque",
    ),
    opaque(
        "rustls: uv",
        "opaque: `UnsupportedLibrary`",
        "a_client_with_rustls_is_counted_as_opaque",
    ),
    opaque("Java", "opaque: `Java`", "a_java_client_is_counted_as_opaque"),
    opaque(
        "OpenSSL through its own BIO that encrypts (`s_server -www`)",
        "opaque: `Unjoined`",
        "openssl_that_is_called_by_its_own_other_functions_is_counted_as_opaque",
    ),
    opaque(
        "A program larger than 256 MiB",
        "opaque: `NotExamined`",
        "a_program_that_is_too_large_is_counted_as_opaque",
    ),
    opaque("`tls: Ignore`", "nothing is read", "nothing_is_read_of_who_shall_not_be_decrypted"),
    untried("NSS, mbed TLS, wolfSSL, s2n", "opaque: `UnsupportedLibrary`"),
    untried("Other machines than x86-64", "opaque: `UnsupportedMachine`"),
    untried("TLS inside the kernel (kTLS)", "not recognised"),
];

/// The table in Markdown.
#[must_use]
pub fn table() -> String {
    let mut table =
        String::from("| Program | Connections | Component test |\n| --- | --- | --- |\n");
    for Case { program, state, test } in CASES {
        let shown = if test.is_empty() { "not tried".to_owned() } else { format!("`{test}`") };
        let written = writeln!(table, "| {program} | {state} | {shown} |");
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf};

    use super::*;
    use crate::artifacts;

    const BEGIN: &str = "<!-- written by `UPDATE=1 cargo test -p weir-e2e tls_support` -->\n";
    const END: &str = "<!-- end -->\n";

    fn file(path: &str) -> PathBuf {
        artifacts::folder().join("..").join(path)
    }

    #[test]
    fn each_claim_has_a_test() {
        let sources = [
            "e2e/tests/tls/main.rs",
            "e2e/tests/tls/go.rs",
            "e2e/tests/tls/opaque.rs",
            "e2e/tests/tls/others.rs",
            "e2e/tests/tls/software.rs",
            "capture-agent/tests/probes.rs",
        ];
        let sources = sources.map(|path| fs::read_to_string(file(path)).unwrap()).concat();
        for Case { program, test, .. } in CASES {
            let found = test.is_empty() || sources.contains(&format!("fn {test}()"));
            assert!(found, "{program}: no test {test}");
        }
    }

    #[test]
    fn the_document_has_the_table() {
        let path = file("docs/tls-support.md");
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let fresh = [before, BEGIN, &table(), END, after].concat();
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, &fresh).unwrap();
        }
        assert!(text == fresh || env::var_os("UPDATE").is_some(), "UPDATE=1 writes the table");
    }
}
