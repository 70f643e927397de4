//! A PostgreSQL of the demo's own: a fresh cluster in a temporary folder, run without privileges.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;

/// PostgreSQL refuses to run as root; packages create this account for it.
const ACCOUNT: &str = "postgres";

/// A running server; its files go when it is stopped or dropped.
#[derive(Debug)]
pub struct Database {
    server: Process,
    folder: TempDir,
    url: String,
}

impl Database {
    /// Creates a cluster and starts a server on `port` of the loopback address.
    ///
    /// # Errors
    ///
    /// When PostgreSQL is not installed, or does not start.
    pub async fn start(port: u16, logs: &Path) -> anyhow::Result<Self> {
        let programs = programs()?;
        let account = if rustix::process::geteuid().is_root() { Some(account()?) } else { None };
        let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir();
        let folder = folder.context("create a temporary folder")?;
        let password = password()?;
        let password_file = folder.path().join("password");
        fs::write(&password_file, &password).context("write the password")?;
        fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600))
            .context("protect the password")?;
        if let Some((user, group)) = account {
            for path in [folder.path(), &password_file] {
                chown(path, Some(user), Some(group)).context("hand over the folder")?;
            }
        }
        let data = folder.path().join("data");
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(folder.path()).env("LC_ALL", "C").env("TZ", "UTC");
            if let Some((user, group)) = account {
                command.uid(user).gid(group);
            }
            command
        };

        let mut create = command("initdb");
        create.arg("--pgdata").arg(&data).args(["--no-sync", "--encoding=UTF8", "--locale=C"]);
        create.args(["--username=rockets", "--auth=scram-sha-256", "--pwfile"]).arg(&password_file);
        Process::start("initdb", create, logs)?.end().await?;
        fs::remove_file(&password_file).context("remove the password file")?;

        let mut serve = command("postgres");
        serve.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-F", "-k"]);
        serve.arg(folder.path());
        // SIGINT is a "fast" shutdown: sessions are ended, data is written.
        let server = Process::start("postgres", serve, logs)?.stopped_by(Signal::INT);
        server.line(|line| line.contains("database system is ready to accept")).await?;
        let url = format!("postgres://rockets:{password}@127.0.0.1:{port}/postgres");
        Ok(Self { server, folder, url })
    }

    /// Where clients connect, with the password of this run.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server and removes its files.
    ///
    /// # Errors
    ///
    /// When the server does not stop in order or the files cannot be removed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.server.stop().await?;
        self.folder.close().context("remove the database's folder")
    }
}

/// The folder with `initdb` and `postgres`: of the newest packaged version, or on the path.
fn programs() -> anyhow::Result<PathBuf> {
    let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = packaged.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    newest(versions)
        .or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file()))
        .context("no PostgreSQL server found: `make setup` installs it (Debian: postgresql)")
}

fn newest(versions: impl Iterator<Item = (u32, PathBuf)>) -> Option<PathBuf> {
    versions
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .max_by_key(|(version, _)| *version)
        .map(|(_, folder)| folder)
}

/// User and group id of the unprivileged account.
fn account() -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("read the user list")?;
    ids(&users, ACCOUNT)
        .with_context(|| format!("no user {ACCOUNT}: PostgreSQL does not run as root"))
}

fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some((user, group))
    })
}

/// Other users of the machine can reach the port, so the password is a fresh one.
fn password() -> anyhow::Result<String> {
    let mut random = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("read random bytes")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_from_the_line_of_that_very_user() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresql:x:7:8::/:/bin/sh\n\
                     postgres:x:101:110:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids(users, "postgres"), Some((101, 110)));
        assert_eq!(ids(users, "nobody"), None);
        assert_eq!(ids("postgres:x:broken", "postgres"), None);
    }

    #[test]
    fn version_16_is_newer_than_version_9_and_one_without_a_server_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let folder = |version: u32| (version, root.path().join(version.to_string()));
        for version in [9, 16] {
            fs::create_dir(folder(version).1).unwrap();
            fs::write(folder(version).1.join("initdb"), "").unwrap();
        }
        fs::create_dir(folder(17).1).unwrap();
        let found = newest([folder(9), folder(16), folder(17)].into_iter());
        assert_eq!(found, Some(root.path().join("16")));
    }

    #[test]
    fn two_passwords_differ() {
        assert_ne!(password().unwrap(), password().unwrap());
    }
}
