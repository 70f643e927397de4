//! The API server of the cluster that `e2e/cluster/cluster.sh` starts: the tests end it and start
//! it again.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::kubectl;
use crate::{artifacts, process::run, wait};

/// Everything of the cluster, as `cluster.sh` has it.
pub(super) fn folder() -> PathBuf {
    env::var_os("WEIR_CLUSTER").map_or_else(|| "/var/tmp/weir-cluster".into(), PathBuf::from)
}

/// An API server that was killed. Started again at the latest when this is dropped.
#[derive(Debug)]
pub struct ApiServer {
    down: bool,
}

impl ApiServer {
    /// Kills it, as the kernel does when memory is out.
    ///
    /// # Errors
    ///
    /// When there is none that `cluster.sh` started.
    pub fn kill() -> Result<Self> {
        let pid = fs::read_to_string(folder().join("pids/apiserver"))
            .context("no API server that cluster.sh started")?;
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).context("read its pid")?;
        kill_process(pid, Signal::KILL).context("kill the API server")?;
        let killed = Self { down: true };
        wait::until("the API server's end", || test_kill_process(pid).err())?;
        Ok(killed)
    }

    /// Starts it again and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn start(mut self) -> Result<()> {
        self.up()?;
        wait::until("the API server", || kubectl(&["get", "--raw", "/readyz"]).ok())?;
        Ok(())
    }

    fn up(&mut self) -> Result<()> {
        // It starts whatever does not run.
        let mut up = Command::new(artifacts::folder().join("cluster/cluster.sh"));
        up.arg("up");
        run(up)?;
        self.down = false;
        Ok(())
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if self.down {
            // The test that failed has told why; the ones after it want a cluster.
            self.up().ok();
        }
    }
}
