//! The thread on which all exporters send.

use std::{io, thread::JoinHandle, time::Duration};

use tokio::runtime::{Builder, Handle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// For tasks that are told to end.
const GRACE: Duration = Duration::from_secs(2);

/// Owns every task of the forwarder; nothing is spawned outside it.
#[derive(Debug)]
pub(crate) struct Senders {
    handle: Handle,
    cancel: CancellationToken,
    tasks: TaskTracker,
    thread: Option<JoinHandle<()>>,
}

impl Senders {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (cancelled, tracker) = (cancel.clone(), tasks.clone());
        let thread =
            std::thread::Builder::new().name("weir-sender".to_owned()).spawn(move || {
                runtime.block_on(async {
                    cancelled.cancelled().await;
                    tracker.close();
                    if tokio::time::timeout(GRACE, tracker.wait()).await.is_err() {
                        tracing::warn!("some senders did not end in time");
                    }
                });
                // A name look-up may hang in its own thread; it must not hold us.
                runtime.shutdown_background();
            })?;
        Ok(Self { handle, cancel, tasks, thread: Some(thread) })
    }

    /// Runs `body` until it ends, or the returned token or the thread is cancelled; then it is
    /// dropped where it waits.
    pub(crate) fn spawn(
        &self,
        body: impl Future<Output = ()> + Send + 'static,
    ) -> CancellationToken {
        let cancel = self.cancel.child_token();
        let cancelled = cancel.clone();
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    () = body => {}
                }
            },
            &self.handle,
        );
        cancel
    }

    /// The runtime, for what has to be made inside it.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends all tasks and the thread.
    pub(crate) fn stop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sender thread had panicked");
        }
    }
}
