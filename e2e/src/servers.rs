//! Servers to capture. All answer `/echo` with the request's body, `/bytes/<n>` with n bytes
//! and `/none` with 204; nginx answers `/echo` with a fixed text.

mod tls;

pub use self::tls::{
    certificate, go_tls, go_tls_http2, gunicorn_tls, node_tls, openssl_inside, oversized_tls,
    postgres_tls, python_tls, s_server_www,
};

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    artifacts,
    process::{Running, command, free_port},
    random::Random,
};

/// Sizes of the files that nginx serves under `/bytes/`.
pub const FILE_SIZES: [usize; 8] = [0, 1, 100, 1024, 16_384, 65_536, 262_144, 1 << 20];

/// A running server.
#[derive(Debug)]
pub struct Server {
    pub process: Running,
    pub address: SocketAddr,
}

impl Server {
    fn start(name: &str, folder: &Path, address: SocketAddr, command: Command) -> Result<Self> {
        let mut process = Running::start(name, folder, command)?;
        process.wait_for_listener(address)?;
        Ok(Self { process, address })
    }

    /// Waits until it has closed every connection: then it has seen all that clients sent.
    ///
    /// # Errors
    ///
    /// As [`Running::wait_until`].
    pub fn wait_for_no_connections(&mut self) -> Result<()> {
        let port = self.address.port();
        self.process.wait_until("the end of its connections", |_| {
            let table = fs::read_to_string("/proc/net/tcp").ok()?;
            (!table.lines().any(|line| is_in_use(line, port))).then_some(())
        })
    }

    /// Whether it is still the process that was started, i.e. was not restarted.
    #[must_use]
    pub fn is_unharmed(&mut self) -> bool {
        std::net::TcpStream::connect(self.address).is_ok()
    }
}

/// A line of `/proc/net/tcp` of a connection of this local port that its process holds.
fn is_in_use(line: &str, port: u16) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    // ESTABLISHED or CLOSE_WAIT
    words.get(1).is_some_and(|local| local.ends_with(&format!(":{port:04X}")))
        && words.get(3).is_some_and(|state| matches!(*state, "01" | "08"))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// How to start nginx.
#[derive(Clone, Copy, Debug)]
pub struct Nginx {
    pub sendfile: bool,
    pub workers: u32,
    /// Where `/proxy/` goes.
    pub upstream: Option<SocketAddr>,
}

impl Nginx {
    /// Starts it with its files in `folder`.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(self, folder: &Path) -> Result<Server> {
        let port = free_port()?;
        let files = folder.join("bytes");
        fs::create_dir_all(&files).context("make the folder of files")?;
        for size in FILE_SIZES {
            fs::write(files.join(size.to_string()), Random::new(9).bytes(size))
                .context("write a file to serve")?;
        }
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, self.configuration(folder, port)?).context("write nginx.conf")?;
        // The workers drop to their own user; the test's folder is root's alone by default.
        for path in [folder, &files] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .context("open a folder")?;
        }
        let mut command = command("nginx");
        command.arg("-c").arg(&configuration).arg("-p").arg(folder);
        Server::start("nginx", folder, loopback(port), command)
    }

    fn configuration(self, folder: &Path, port: u16) -> Result<String> {
        let folder = folder.display();
        let sendfile = if self.sendfile { "on" } else { "off" };
        let mut text = format!(
            "daemon off; user root; worker_processes {}; pid {folder}/nginx.pid;\n\
             error_log stderr warn;\n\
             events {{ worker_connections 20000; }}\n\
             http {{\n\
             log_format short \"$request_uri $status\";\n\
             access_log {folder}/access.log short; sendfile {sendfile}; keepalive_requests 100000000;\n\
             keepalive_timeout 600; client_max_body_size 16m; client_body_buffer_size 2m;\n\
             default_type application/octet-stream; client_body_temp_path {folder}/body;\n\
             proxy_temp_path {folder}/proxy; proxy_buffers 16 128k;\n\
             fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;\n\
             scgi_temp_path {folder}/scgi;\n",
            self.workers,
        );
        if let Some(upstream) = self.upstream {
            writeln!(text, "upstream back {{ server {upstream}; keepalive 16; }}")?;
        }
        writeln!(text, "server {{ listen 127.0.0.1:{port} backlog=4096; root {folder};")?;
        writeln!(text, "location /none {{ return 204; }}")?;
        writeln!(text, "location /echo {{ return 200 \"received\\n\"; }}")?;
        if self.upstream.is_some() {
            text.push_str(
                "location /proxy/ { proxy_pass http://back/; proxy_http_version 1.1; \
                 proxy_set_header Connection \"\"; }\n",
            );
        }
        text.push_str("} }\n");
        Ok(text)
    }
}

/// Starts Node's own HTTP server.
///
/// # Errors
///
/// When it does not start.
pub fn node(folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = command("node");
    command.arg(artifacts::program("server.js")).arg(port.to_string());
    Server::start("node", folder, loopback(port), command)
}

/// Starts the server of Python's standard library, a thread per connection.
///
/// # Errors
///
/// When it does not start.
pub fn python(folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = command("python3");
    command.arg(artifacts::program("server.py")).arg(port.to_string());
    Server::start("python", folder, loopback(port), command)
}

/// Starts gunicorn with two worker processes of 40 threads.
///
/// # Errors
///
/// When it does not start.
pub fn gunicorn(folder: &Path) -> Result<Server> {
    let port = free_port()?;
    Server::start("gunicorn", folder, loopback(port), gunicorn_at(port)?)
}

fn gunicorn_at(port: u16) -> Result<Command> {
    let mut command = command(artifacts::gunicorn()?);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["--workers", "2", "--worker-class", "gthread", "--threads", "40"]);
    command.args(["--keep-alive", "600", "--bind", &format!("127.0.0.1:{port}")]);
    command.arg("--chdir").arg(artifacts::folder().join("programs")).arg("server:wsgi");
    Ok(command)
}

/// Starts Go's `net/http`.
///
/// # Errors
///
/// When it does not build or start.
pub fn go(folder: &Path) -> Result<Server> {
    let port = free_port()?;
    let mut command = command(artifacts::go_server()?);
    command.arg(format!("127.0.0.1:{port}"));
    Server::start("go", folder, loopback(port), command)
}

/// The address family of a [`syscalls`] server; its word on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    V4,
    V6,
    /// An IPv6 socket reached over IPv4.
    Mapped,
}

impl Family {
    /// The program's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V4 => "4",
            Self::V6 => "6",
            Self::Mapped => "dual",
        }
    }
}

/// Starts the server that reads and writes with the named system calls.
///
/// # Errors
///
/// When it does not build or start.
pub fn syscalls(
    folder: &Path,
    family: Family,
    read: &str,
    write: &str,
    form: &str,
) -> Result<Server> {
    let port = free_port()?;
    let ip = match family {
        Family::V4 | Family::Mapped => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let mut command = command(artifacts::syscalls()?);
    command.args(["serve", family.word(), &port.to_string(), read, write, form]);
    Server::start("syscalls", folder, SocketAddr::new(ip, port), command)
}
