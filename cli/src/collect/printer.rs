//! Live lines on a thread of their own, so that a terminal that stopped reading (Ctrl-S, a
//! full pipe) holds back neither the sender nor the writing of files.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

/// Lines that wait for a slow terminal; those after them are counted, not shown.
const WAITING: usize = 1024;

/// Prints lines to `W` and gives it back at the end.
#[derive(Debug)]
pub(super) struct Printer<W> {
    lines: SyncSender<String>,
    unshown: Arc<AtomicU64>,
    finished: Receiver<W>,
}

impl<W: Write + Send + 'static> Printer<W> {
    pub(super) fn start(out: W) -> Self {
        let (lines, waiting) = mpsc::sync_channel(WAITING);
        let (done, finished) = mpsc::sync_channel(1);
        let unshown = Arc::new(AtomicU64::new(0));
        let skipped = Arc::clone(&unshown);
        thread::spawn(move || {
            let out = print(out, &waiting, &skipped);
            done.send(out).ok(); // nobody waits any more: the process is ending
        });
        Self { lines, unshown, finished }
    }

    /// A handle that offers lines.
    pub(super) fn lines(&self) -> Lines {
        Lines { lines: self.lines.clone(), unshown: Arc::clone(&self.unshown) }
    }

    /// Prints what waits and gives the writer back; `None` when the terminal takes longer
    /// than `patience`. Every [`Lines`] must be gone by then.
    pub(super) fn finish(self, patience: Duration) -> Option<W> {
        drop(self.lines);
        self.finished.recv_timeout(patience).ok()
    }
}

/// Offers lines without ever waiting.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    lines: SyncSender<String>,
    unshown: Arc<AtomicU64>,
}

impl Lines {
    pub(super) fn offer(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.unshown.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn print<W: Write>(mut out: W, waiting: &Receiver<String>, unshown: &AtomicU64) -> W {
    // A reader that went away (`| head`) ends the printing, not the collecting.
    while let Ok(line) = waiting.recv() {
        if print_some(&mut out, line, waiting, unshown).is_err() {
            for _ in waiting {}
            break;
        }
    }
    out
}

/// Prints everything that waits with one flush.
fn print_some(
    out: &mut impl Write,
    first: String,
    waiting: &Receiver<String>,
    unshown: &AtomicU64,
) -> io::Result<()> {
    writeln!(out, "{first}")?;
    for line in waiting.try_iter().take(WAITING) {
        writeln!(out, "{line}")?;
    }
    match unshown.swap(0, Ordering::Relaxed) {
        0 => {}
        skipped => writeln!(out, "… {skipped} more not shown, but written")?,
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_in_order_and_the_writer_comes_back() {
        let printer = Printer::start(Vec::new());
        let lines = printer.lines();
        lines.offer("one".to_owned());
        lines.offer("two".to_owned());
        drop(lines);
        assert_eq!(printer.finish(Duration::MAX), Some(b"one\ntwo\n".to_vec()));
    }

    /// A terminal that takes its first byte only when told to.
    struct Stuck {
        written: Vec<u8>,
        reached: mpsc::Sender<()>,
        go: Receiver<()>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.written.is_empty() {
                self.reached.send(()).map_err(io::Error::other)?;
                self.go.recv().map_err(io::Error::other)?;
            }
            self.written.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_terminal_costs_lines_and_no_waiting() {
        let ((reached, is_stuck), (go, told)) = (mpsc::channel(), mpsc::channel());
        let printer = Printer::start(Stuck { written: Vec::new(), reached, go: told });
        let lines = printer.lines();
        lines.offer("first".to_owned());
        is_stuck.recv().unwrap();
        for number in 0..WAITING + 7 {
            lines.offer(number.to_string()); // would hang here if it waited
        }
        go.send(()).unwrap();
        drop(lines);
        let text = String::from_utf8(printer.finish(Duration::MAX).unwrap().written).unwrap();
        assert_eq!(text.lines().count(), 1 + WAITING + 1);
        assert_eq!(text.lines().last(), Some("… 7 more not shown, but written"));
    }

    /// A pipe without a reader.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_ends_the_printing_only() {
        let printer = Printer::start(Broken);
        let lines = printer.lines();
        lines.offer("one".to_owned());
        lines.offer("two".to_owned());
        drop(lines);
        assert!(printer.finish(Duration::MAX).is_some());
    }
}
