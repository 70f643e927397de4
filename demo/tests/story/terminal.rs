//! Commands as somebody at a terminal gives them.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::process::Command;

/// For what others do in their own time; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_gateway")).parent().unwrap()
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}, as the scripts in hack/ do"))
}

/// What `weir` said and how it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

/// Runs `weir` and shows it as a terminal would.
pub(crate) async fn weir(arguments: &[&str]) -> Ended {
    let mut command = Command::new(programs().join("weir"));
    let output = command.args(arguments).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = text(output.stdout) + &text(output.stderr);
    println!("\n$ weir {}\n{said}", arguments.join(" "));
    Ended { code: output.status.code(), said }
}

/// The JSON that a server answers.
pub(crate) async fn curl(arguments: &[&str]) -> Value {
    let mut command = Command::new("curl");
    command.args(["-sS", "-H", "Content-Type: application/json"]).args(arguments);
    let output = command.output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
