//! One connection, HTTP/1 on it byte for byte.

use std::{io, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use weir_replay::{
    message::{Kind, Malformed, Message, Reader},
    target::Target,
};

use crate::dial::{Stream, dial};

/// Bytes of an answer's body that are kept.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 16 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
    #[error("the answer cannot be read: {0}")]
    Malformed(#[source] Malformed),
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// Before the first byte of an answer: on a connection that was used before, the server had
    /// closed it already.
    #[error("the server closed the connection without an answer")]
    Closed,
}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Box<[u8]>,
    /// It was used before.
    pub(super) is_used: bool,
}

impl Connection {
    pub(super) async fn open(target: &Target, tls: &Arc<ClientConfig>) -> Result<Self, NoAnswer> {
        let stream = dial(target, tls).await.map_err(NoAnswer::Connect)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES].into(), is_used: false })
    }

    /// Sends a request and reads its answer.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        to_head: bool,
    ) -> Result<Message, NoAnswer> {
        let mut reader = Reader::new(Kind::Response { to_head }, MAX_BODY_BYTES);
        let buffer = &mut self.buffer;
        let (mut read, mut write) = tokio::io::split(&mut self.stream);
        // A server may answer and close before it has read everything.
        let writing = async {
            let written = write.write_all(request).await;
            match written {
                Ok(()) => write.flush().await,
                Err(error) => Err(error),
            }
        };
        let reading = async {
            loop {
                let count = match read.read(buffer).await {
                    Ok(count) => count,
                    Err(_) if reader.is_untouched() => return Err(NoAnswer::Closed),
                    Err(error) => return Err(NoAnswer::Io(error)),
                };
                if count == 0 {
                    if reader.is_untouched() {
                        return Err(NoAnswer::Closed);
                    }
                    reader.end().map_err(NoAnswer::Malformed)?;
                    return Ok(false);
                }
                let bytes = buffer.get(..count).unwrap_or_default();
                let taken = reader.feed(bytes).map_err(NoAnswer::Malformed)?;
                if reader.is_complete() {
                    // More than one answer to one request: not to be trusted any further.
                    return Ok(taken == count);
                }
            }
        };
        tokio::pin!(writing, reading);
        let persists = tokio::select! {
            biased;
            answered = &mut reading => answered?,
            // What was not written shows in the answer, or in its absence.
            _ = &mut writing => reading.await?,
        };
        let mut message = reader.take().ok_or(NoAnswer::Closed)?;
        message.persists &= persists;
        self.is_used = true;
        Ok(message)
    }
}
