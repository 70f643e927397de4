//! Servers with TLS.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{Server, gunicorn_at, loopback};
use crate::{
    artifacts::{self, Inside},
    process::{command, free_port, run},
};

/// Makes `cert.pem` and `key.pem` in `folder`.
///
/// # Errors
///
/// When openssl fails.
pub fn certificate(folder: &Path) -> Result<()> {
    let mut openssl = command("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=localhost"]);
    openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]);
    run(openssl).map(drop)
}

/// Starts a program that takes a port and the files of a certificate and its key.
fn with_certificate(name: &str, folder: &Path, mut command: Command) -> Result<Server> {
    certificate(folder)?;
    let port = free_port()?;
    command.arg(port.to_string()).arg(folder.join("cert.pem")).arg(folder.join("key.pem"));
    Server::start(name, folder, loopback(port), command)
}

/// Starts the server of Python's standard library with TLS, of any version that the client wants.
///
/// # Errors
///
/// When it does not start.
pub fn python_tls(folder: &Path) -> Result<Server> {
    let mut command = command("/usr/bin/python3");
    command.arg(artifacts::program("server.py"));
    with_certificate("python", folder, command)
}

/// Starts Node's own HTTPS server, whose TLS library never sees the socket.
///
/// # Errors
///
/// When it does not start.
pub fn node_tls(folder: &Path) -> Result<Server> {
    let mut command = command("node");
    command.arg(artifacts::program("server.js"));
    with_certificate("node", folder, command)
}

/// As [`super::gunicorn`], with TLS.
///
/// # Errors
///
/// When it does not start.
pub fn gunicorn_tls(folder: &Path) -> Result<Server> {
    certificate(folder)?;
    let port = free_port()?;
    let mut command = gunicorn_at(port)?;
    command.arg("--certfile").arg(folder.join("cert.pem"));
    command.arg("--keyfile").arg(folder.join("key.pem"));
    Server::start("gunicorn", folder, loopback(port), command)
}

/// Starts a server with OpenSSL inside of its program, which names its functions or nothing at all.
/// It serves one connection at a time.
///
/// # Errors
///
/// When it does not build or start.
pub fn openssl_inside(folder: &Path, inside: Inside) -> Result<Server> {
    let program = artifacts::with_openssl_inside("tlsecho", inside)?;
    with_certificate("tlsecho", folder, command(program))
}

/// As [`openssl_inside`], of a program that is larger than what is examined.
///
/// # Errors
///
/// When it does not build or start.
pub fn oversized_tls(folder: &Path) -> Result<Server> {
    let program = folder.join("tlsecho");
    let named = artifacts::with_openssl_inside("tlsecho", Inside::Named)?;
    fs::copy(named, &program).context("copy a program")?;
    let file = fs::OpenOptions::new().write(true).open(&program).context("open a program")?;
    file.set_len(300 << 20).context("make a program larger")?;
    drop(file);
    with_certificate("tlsecho", folder, command(program))
}

/// Starts Go's `net/http` with TLS, built with these flags.
///
/// # Errors
///
/// When it does not build or start.
pub fn go_tls(folder: &Path, flags: &[&str]) -> Result<Server> {
    go_server(folder, flags, None)
}

/// Starts Go's `net/http` with TLS and, for clients that want it, HTTP/2.
///
/// # Errors
///
/// When it does not build or start.
pub fn go_tls_http2(folder: &Path) -> Result<Server> {
    go_server(folder, &[], Some("http2"))
}

fn go_server(folder: &Path, flags: &[&str], protocol: Option<&str>) -> Result<Server> {
    certificate(folder)?;
    let port = free_port()?;
    let mut command = command(artifacts::go("server", flags)?);
    command.arg(format!("127.0.0.1:{port}"));
    command.arg(folder.join("cert.pem")).arg(folder.join("key.pem")).args(protocol);
    Server::start("go", folder, loopback(port), command)
}

/// Starts OpenSSL's own server, which answers with a page about the connection.
///
/// # Errors
///
/// When it does not start.
pub fn s_server_www(folder: &Path) -> Result<Server> {
    certificate(folder)?;
    let port = free_port()?;
    let mut command = command("openssl");
    command.current_dir(folder).args(["s_server", "-quiet", "-www", "-cert", "cert.pem"]);
    command.args(["-key", "key.pem", "-accept", &format!("127.0.0.1:{port}")]);
    Server::start("s_server", folder, loopback(port), command)
}

/// Starts PostgreSQL with TLS; anybody may come in.
///
/// # Errors
///
/// When it is not installed or does not start.
pub fn postgres_tls(folder: &Path) -> Result<Server> {
    certificate(folder)?;
    let (data, port) = (folder.join("data"), free_port()?);
    fs::create_dir(&data).context("make the database's folder")?;
    // It refuses to be root.
    for path in [folder, &data, &folder.join("key.pem"), &folder.join("cert.pem")] {
        chown(path, Some(NOBODY), Some(NOBODY)).context("give a file to nobody")?;
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).context("open a folder")?;
    let programs = postgres_programs()?;
    let mut initdb = as_nobody(&programs.join("initdb"));
    initdb.args(["--auth=trust", "--username=nobody", "--no-sync", "-D"]).arg(&data);
    run(initdb)?;
    let mut postgres = as_nobody(&programs.join("postgres"));
    postgres.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k", "", "-c", "ssl=on"]);
    for (setting, file) in [("ssl_cert_file", "cert.pem"), ("ssl_key_file", "key.pem")] {
        postgres.arg("-c").arg(format!("{setting}={}", folder.join(file).display()));
    }
    Server::start("postgres", folder, loopback(port), postgres)
}

const NOBODY: u32 = 65_534;

fn as_nobody(program: &Path) -> Command {
    let mut command = command("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--pdeathsig", "INT", "--"]);
    command.arg(program).current_dir("/");
    command
}

/// Debian keeps them apart from other programs.
fn postgres_programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|entry| entry.path().join("bin")).find(|bin| bin.is_dir());
    found.context("no PostgreSQL in /usr/lib/postgresql")
}
