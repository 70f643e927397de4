//! Child processes that a test starts, waits for, and never leaves behind.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait::{self, PATIENCE};

/// A running child in a process group of its own, with its output in files.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command`; its output goes to `<folder>/<name>.stdout` and `.stderr`.
    ///
    /// # Errors
    ///
    /// When the files cannot be made or the program cannot be started.
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Result<Self> {
        let stdout = folder.join(format!("{name}.stdout"));
        let stderr = folder.join(format!("{name}.stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).context("create a file for stdout")?)
            .stderr(File::create(&stderr).context("create a file for stderr")?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process wrote to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// What the process wrote to its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// Waits until `probe` gives a value.
    ///
    /// # Errors
    ///
    /// When the process ends before, or patience does; the message has the process's output.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let mut ended = None;
        let found = wait::until(what, || {
            if let Some(value) = probe(self) {
                return Some(Some(value));
            }
            ended = self.child.try_wait().ok().flatten();
            ended.is_some().then_some(None)
        });
        match found {
            Ok(Some(value)) => Ok(value),
            Ok(None) => bail!("{} ended ({ended:?}) before {what}\n{}", self.name, self.output()),
            Err(error) => Err(error.context(self.output())),
        }
    }

    /// Waits until `text` stands in the output.
    ///
    /// # Errors
    ///
    /// As [`Self::wait_until`].
    pub fn wait_for_text(&mut self, text: &str) -> Result<()> {
        self.wait_until(&format!("the text {text:?}"), |running| {
            (running.stdout().contains(text) || running.stderr().contains(text)).then_some(())
        })
    }

    /// Waits until something accepts connections at `address`.
    ///
    /// # Errors
    ///
    /// As [`Self::wait_until`].
    pub fn wait_for_listener(&mut self, address: SocketAddr) -> Result<()> {
        self.wait_until(&format!("a listener at {address}"), |_| TcpStream::connect(address).ok())?;
        Ok(())
    }

    /// Sends a signal to the process itself.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.id()?, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    ///
    /// When it does not end within patience.
    pub fn wait_exit(&mut self) -> Result<ExitStatus> {
        let name = self.name.clone();
        let child = &mut self.child;
        let status = wait::until(&format!("the end of {name}"), || child.try_wait().ok().flatten());
        status.with_context(|| self.output())
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    ///
    /// As [`Self::signal`] and [`Self::wait_exit`].
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_exit()
    }

    /// Process ids of the direct children, e.g. nginx workers.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        children(self.pid())
    }

    /// Both outputs, for a message.
    #[must_use]
    pub fn output(&self) -> String {
        format!(
            "--- {0} stdout\n{1}\n--- {0} stderr\n{2}",
            self.name,
            tail(&self.stdout()),
            tail(&self.stderr())
        )
    }

    fn id(&self) -> Result<Pid> {
        i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("not a process id")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Ok(id) = self.id() else { return };
        if matches!(self.child.try_wait(), Ok(None)) {
            // Continued first: a stopped process does not see SIGTERM.
            kill_process(id, Signal::CONT).ok();
            kill_process(id, Signal::TERM).ok();
            let end = Instant::now() + PATIENCE / 6;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // The group is our own child's; after a clean end there is nothing left in it.
        kill_process_group(id, Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// A command that also ends when the test process is killed.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program);
    command
}

/// Runs a command to its end and gives its standard output.
///
/// # Errors
///
/// When it cannot be started or does not end with 0; the message has its standard error.
pub fn run(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}\n{text}\n{errors}", output.status);
    }
    Ok(text)
}

/// A port that was free a moment ago, on the IPv4 and the IPv6 loopback.
///
/// # Errors
///
/// When the kernel gives none.
pub fn free_port() -> Result<u16> {
    // Ports of earlier calls stay out, since their servers may not listen yet.
    static USED: std::sync::Mutex<Vec<u16>> = std::sync::Mutex::new(Vec::new());
    for _ in 0..100 {
        let listener = TcpListener::bind("127.0.0.1:0").context("bind a port")?;
        let port = listener.local_addr().context("read the port")?.port();
        let mut used = USED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !used.contains(&port) && TcpListener::bind(("::1", port)).is_ok() {
            used.push(port);
            return Ok(port);
        }
    }
    bail!("no free port")
}

/// Process ids of the direct children of `pid`.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(60)).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_is_gone_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo started; wait"]);
        let mut running = Running::start("sh", folder.path(), command).unwrap();
        running.wait_for_text("started").unwrap();
        let children = running.children();
        assert_eq!(children.len(), 1);
        drop(running);
        for child in children {
            // Reaped by whoever adopted it; until then it is a zombie.
            wait::until("the end of the child", || {
                let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
                (stat.is_empty() || stat.contains(") Z ")).then_some(())
            })
            .unwrap();
        }
    }

    #[test]
    fn a_process_that_ends_early_is_said_to_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo because >&2; exit 3"]);
        let mut running = Running::start("sh", folder.path(), command).unwrap();
        let error = running.wait_for_text("never").unwrap_err().to_string();
        assert!(error.contains("because"), "{error}");
    }

    #[test]
    fn ports_are_not_given_twice() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        let mut unique = ports.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ports.len());
    }
}
