//! Starting, watching and ending the processes of the demo, each by its own id.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// How long a process may take for one step before the demo gives up; nothing waits this long
/// when all is well.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a process may take to stop once the demo has failed.
const LAST_PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// A running process whose output goes to a log file and can be waited for.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: watch::Receiver<Output>,
    log: PathBuf,
    stop_by: Signal,
}

#[derive(Debug, Default)]
struct Output {
    lines: Vec<String>,
    /// Streams that have not ended: standard output and standard error.
    open: u8,
}

impl Process {
    /// Starts `command` with its output in `logs/NAME.log`.
    ///
    /// # Errors
    ///
    /// When the program cannot be started or the log not be created.
    pub fn start(name: &str, mut command: Command, logs: &Path) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let file = Arc::new(Mutex::new(file));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("start {}", command.as_std().get_program().to_string_lossy())
            })?;
        let (sender, output) = watch::channel(Output { lines: Vec::new(), open: 2 });
        let sender = Arc::new(sender);
        let stdout = child.stdout.take().context("take standard output")?;
        let stderr = child.stderr.take().context("take standard error")?;
        tokio::spawn(follow(stdout, Arc::clone(&file), Arc::clone(&sender)));
        tokio::spawn(follow(stderr, file, sender));
        Ok(Self { name: name.to_owned(), child, output, log, stop_by: Signal::TERM })
    }

    /// Makes `signal` what this process is asked to stop by, instead of SIGTERM.
    #[must_use]
    pub fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop_by = signal;
        self
    }

    /// The name given to [`Process::start`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id; `None` once the process has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for an output line that `wanted` accepts, among past ones too, and returns it.
    ///
    /// # Errors
    ///
    /// When the output ends or a minute passes without such a line.
    pub async fn line(&self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let found = |output: &Output| output.lines.iter().find(|line| wanted(line)).cloned();
        let mut output = self.output.clone();
        let reached = tokio::time::timeout(
            PATIENCE,
            output.wait_for(|output| found(output).is_some() || output.open == 0),
        )
        .await;
        let line = match reached {
            Ok(Ok(output)) => found(&output),
            Ok(Err(_)) | Err(_) => None,
        };
        line.with_context(|| {
            let end = self.tail();
            format!("{} did not get ready; the end of {}:\n{end}", self.name, self.log.display())
        })
    }

    /// The lines so far that `wanted` accepts.
    pub fn lines(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.output.borrow().lines.iter().filter(|line| wanted(line)).cloned().collect()
    }

    /// Writes one line to the standard input.
    ///
    /// # Errors
    ///
    /// When the process no longer reads.
    pub async fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.child.stdin.as_mut().context("standard input is closed")?;
        stdin.write_all(line.as_bytes()).await.with_context(|| format!("write to {}", self.name))
    }

    /// Waits for the end of the process and of its output.
    ///
    /// # Errors
    ///
    /// When it ends with another status than 0, or not within a minute.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        let status = self.wait().await?;
        anyhow::ensure!(
            status.success(),
            "{} ended with {status}; the end of {}:\n{}",
            self.name,
            self.log.display(),
            self.tail()
        );
        Ok(())
    }

    /// Asks the process to stop, then as [`Process::end`].
    ///
    /// # Errors
    ///
    /// As [`Process::end`].
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.pid() {
            kill_process(pid, self.stop_by).with_context(|| format!("signal {}", self.name))?;
        }
        self.end().await
    }

    /// The id while the child is not reaped: until then it cannot go to another process.
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id()?.try_into().ok()?)
    }

    async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(PATIENCE, async {
            let status = self.child.wait().await?;
            // An error here means that both streams have ended: just what is waited for.
            drop(self.output.wait_for(|output| output.open == 0).await);
            Ok::<_, std::io::Error>(status)
        });
        match ended.await {
            Ok(status) => status.with_context(|| format!("wait for {}", self.name)),
            Err(_) => anyhow::bail!(
                "{} did not end; the end of {}:\n{}",
                self.name,
                self.log.display(),
                self.tail()
            ),
        }
    }

    fn tail(&self) -> String {
        let output = self.output.borrow();
        let from = output.lines.len().saturating_sub(12);
        let lines: Vec<String> =
            output.lines.iter().skip(from).map(|line| format!("    {line}")).collect();
        lines.join("\n")
    }
}

/// What is still running when the demo gives up is asked to stop, and made to if it does not.
impl Drop for Process {
    fn drop(&mut self) {
        let Some(pid) = self.pid() else { return };
        let asked = kill_process(pid, self.stop_by);
        let ended = asked.and_then(|()| {
            let handle = pidfd_open(pid, PidfdFlags::empty())?;
            poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&LAST_PATIENCE))
        });
        if !matches!(ended, Ok(1..)) {
            self.child.start_kill().ok();
        }
    }
}

/// Copies a stream line by line to the log and to whoever waits for a line.
async fn follow(
    stream: impl AsyncRead + Unpin,
    log: Arc<Mutex<File>>,
    output: Arc<watch::Sender<Output>>,
) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(read) = reader.read_until(b'\n', &mut line).await {
        if read == 0 {
            break;
        }
        // A full disk must not stop the demo from reading: a blocked pipe would look like a hang.
        log.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).ok();
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        output.send_modify(|output| output.lines.push(text));
        line.clear();
    }
    output.send_modify(|output| output.open -= 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    /// A shell that waits for its signal. Not by `read`: a signal that comes just before it
    /// blocks is seen only when it ends.
    const LOOP: &str = "while :; do sleep 0.05; done";

    #[tokio::test]
    async fn a_line_is_found_on_either_stream_and_the_log_has_both() {
        let logs = tempfile::tempdir().unwrap();
        let script = "echo one; echo two >&2; read answer; echo got $answer";
        let mut process = Process::start("talker", shell(script), logs.path()).unwrap();
        assert_eq!(process.line(|line| line.contains("tw")).await.unwrap(), "two");
        assert_eq!(process.line(|line| line == "one").await.unwrap(), "one");
        process.tell("it\n").await.unwrap();
        process.end().await.unwrap();
        assert_eq!(process.lines(|line| line.starts_with("got")), ["got it"]);
        let log = std::fs::read_to_string(logs.path().join("talker.log")).unwrap();
        assert!(log.contains("one\n") && log.contains("two\n"), "{log}");
    }

    #[tokio::test]
    async fn a_process_that_ends_early_is_an_error_with_its_last_words() {
        let logs = tempfile::tempdir().unwrap();
        let script = shell("echo no such database >&2; exit 3");
        let mut process = Process::start("failing", script, logs.path()).unwrap();
        let error = process.line(|line| line == "ready").await.unwrap_err();
        assert!(error.to_string().contains("no such database"), "{error}");
        let error = process.end().await.unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_process_is_stopped_by_its_own_signal() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("stopped");
        // Not SIGINT: whoever runs this in the background has it ignored, and a shell keeps that.
        let script = format!("trap 'touch {}; exit 0' USR1; echo up; {LOOP}", mark.display());
        let process = Process::start("dropped", shell(&script), folder.path()).unwrap();
        let process = process.stopped_by(Signal::USR1);
        process.line(|line| line == "up").await.unwrap();
        drop(process);
        assert!(mark.exists());
    }

    #[tokio::test]
    async fn stopping_ends_exactly_that_process() {
        let logs = tempfile::tempdir().unwrap();
        let script = format!("trap 'echo bye; exit 0' TERM; echo up; {LOOP}");
        let mut first = Process::start("first", shell(&script), logs.path()).unwrap();
        let mut second = Process::start("second", shell("echo up; read x"), logs.path()).unwrap();
        first.line(|line| line == "up").await.unwrap();
        second.line(|line| line == "up").await.unwrap();
        second.tell("go\n").await.unwrap();
        second.end().await.unwrap();
        assert!(first.id().is_some());
        first.child.stdin.take();
        first.stop().await.unwrap();
        assert_eq!(first.lines(|line| line == "bye"), ["bye"]);
    }
}
