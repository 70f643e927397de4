//! The space program as a whole: the database, the services over it, and the driver.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use crate::database::Database;
use crate::exchange::{self, Exchange};
use crate::process::Process;

/// TCP ports on the loopback address; 0 lets the system choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub gateway: u16,
    pub outerspace: u16,
    pub telemetry: u16,
    /// The database has to be told its port: 0 is none.
    pub database: u16,
}

impl Ports {
    /// The ports of `make demo`.
    pub const DEMO: Self =
        Self { gateway: 18080, outerspace: 18081, telemetry: 18082, database: 15432 };
}

/// Which build of the service with the bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// It answers 500 to an id that ends in DEL.
    Buggy,
    /// It answers 404, as to any other rocket that does not exist.
    Fixed,
}

/// All processes of the program, running.
#[derive(Debug)]
pub struct Program {
    database: Database,
    services: Vec<(Process, SocketAddr)>,
    driver: Process,
    folder: PathBuf,
}

/// What the program's own processes know of the exchanges that they made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Requests of the driver.
    pub driver: Vec<Exchange>,
    /// Calls of the gateway, those of the warm-up among them.
    pub gateway: Vec<Exchange>,
}

impl Program {
    /// Starts everything and warms it up: afterwards every connection is open and has been used.
    ///
    /// `programs` has the executables; journals and logs go to `folder`.
    ///
    /// # Errors
    ///
    /// When a process does not start, with the end of its log.
    pub async fn start(
        programs: &Path,
        folder: &Path,
        ports: Ports,
        build: Build,
    ) -> anyhow::Result<Self> {
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).context("create the log folder")?;
        let database = Database::start(ports.database, &logs).await?;
        let service = async |name: &str, port: u16, arguments: &[&str]| {
            let mut command = Command::new(programs.join(name));
            command.arg(format!("127.0.0.1:{port}")).args(arguments);
            command.env("DATABASE_URL", database.url());
            // A deployment names its services; without it the name is that of the systemd unit
            // which somebody's shell runs in, or of the executable.
            command.env("OTEL_SERVICE_NAME", name).env_remove("RUST_BACKTRACE");
            let process = Process::start(name, command, &logs)?;
            let ready = process.line(|line| line.contains(" ready on ")).await?;
            let address = ready.rsplit(' ').next().unwrap_or_default();
            let address: SocketAddr = address.parse().context("parse the service's address")?;
            Ok::<_, anyhow::Error>((process, address))
        };
        let fixed: &[&str] = if build == Build::Fixed { &["--fixed"] } else { &[] };
        let outerspace = service("outerspace-server", ports.outerspace, fixed).await?;
        let telemetry = service("telemetry", ports.telemetry, &[]).await?;
        let (rockets, readings) = (outerspace.1.to_string(), telemetry.1.to_string());
        let calls = folder.join("gateway.jsonl");
        let calls = calls.to_str().context("the output folder's name is not text")?;
        let gateway = service("gateway", ports.gateway, &[&rockets, &readings, calls]).await?;

        let mut command = Command::new(programs.join("space-driver"));
        command
            .arg(gateway.1.to_string())
            .arg(folder.join("driver.jsonl"))
            .env_remove("RUST_BACKTRACE");
        let driver = Process::start("space-driver", command, &logs)?;
        driver.line(|line| line == "warm").await?;
        let services = vec![gateway, telemetry, outerspace];
        Ok(Self { database, services, driver, folder: folder.to_owned() })
    }

    /// Name and process id of each service.
    pub fn services(&self) -> impl Iterator<Item = (&str, u32)> {
        self.services.iter().filter_map(|(service, _)| Some((service.name(), service.id()?)))
    }

    /// Where a service listens.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        let service = self.services.iter().find(|(service, _)| service.name() == name);
        service.map(|(_, address)| *address)
    }

    /// Lets the driver send its list, waits for its end and returns what it said last.
    ///
    /// # Errors
    ///
    /// When a request fails or is answered with another status than the list says.
    pub async fn drive(&mut self) -> anyhow::Result<String> {
        self.driver.tell("go\n").await?;
        self.driver.end().await?;
        self.driver.line(|line| line.starts_with("sent ")).await
    }

    /// Stops everything in order and returns the truth.
    ///
    /// # Errors
    ///
    /// When a process does not end in order, or a journal cannot be read.
    pub async fn stop(mut self) -> anyhow::Result<Truth> {
        for (service, _) in &mut self.services {
            service.stop().await?;
        }
        self.database.stop().await?;
        Ok(Truth {
            driver: exchange::read(&self.folder.join("driver.jsonl"))?,
            gateway: exchange::read(&self.folder.join("gateway.jsonl"))?,
        })
    }
}
