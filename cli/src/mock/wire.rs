//! A client's connection: requests read from it one after the other.

use std::io::{self, Cursor};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use weir_replay::message::{Kind, Malformed, Message, Reader};

use crate::dial::Stream;

/// Largest body of a request.
pub(super) const MAX_BODY_BYTES: usize = 64 << 20;

pub(super) struct Client {
    pub(super) stream: Box<dyn Stream>,
    /// Bytes after the last request.
    pending: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoRequest {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the body is larger than 64 MiB")]
    TooLarge,
}

impl Client {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// The next request; `None` when the client has ended the connection.
    pub(super) async fn request(&mut self) -> Result<Option<Message>, NoRequest> {
        let mut reader = Reader::new(Kind::Request, MAX_BODY_BYTES);
        let mut waits = true;
        loop {
            let taken = reader.feed(&self.pending)?;
            self.pending.drain(..taken);
            if reader.is_complete() {
                break;
            }
            // A client that asks before it sends a body waits for this.
            if waits
                && reader.head_so_far().is_some_and(|head| head.lists("expect", "100-continue"))
            {
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
                waits = false;
            }
            let mut buffer = vec![0; 16 * 1024];
            let count = self.stream.read(&mut buffer).await?;
            if count == 0 {
                if reader.is_untouched() {
                    return Ok(None);
                }
                reader.end()?;
                break;
            }
            self.pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        let message = reader.take().ok_or(Malformed::Ended)?;
        if message.body_bytes > message.body.len() as u64 {
            return Err(NoRequest::TooLarge);
        }
        Ok(Some(message))
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The connection itself, with what came after the last request before all else.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        put_back(self.stream, self.pending)
    }
}

/// Reads the first byte without taking it; `None` at the end of the stream.
pub(super) async fn peek(mut stream: Box<dyn Stream>) -> io::Result<Option<(u8, Box<dyn Stream>)>> {
    let mut first = [0];
    if stream.read(&mut first).await? == 0 {
        return Ok(None);
    }
    Ok(Some((first[0], put_back(stream, first.to_vec()))))
}

fn put_back(stream: Box<dyn Stream>, bytes: Vec<u8>) -> Box<dyn Stream> {
    if bytes.is_empty() {
        return stream;
    }
    let (read, write) = tokio::io::split(stream);
    Box::new(tokio::io::join(Cursor::new(bytes).chain(read), write))
}
