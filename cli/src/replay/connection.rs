//! One connection, HTTP/1 on it byte for byte.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use weir_replay::{
    message::{Kind, Malformed, Message, Reader},
    target::Target,
};

use crate::dial::{Stream, dial};

/// Bytes of an answer's body that are kept.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Bytes that are read at once: most answers.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

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
    /// It was used before.
    pub(super) is_used: bool,
}

impl Connection {
    pub(super) async fn open(target: &Target, tls: &Arc<ClientConfig>) -> Result<Self, NoAnswer> {
        let stream = dial(target, tls).await.map_err(NoAnswer::Connect)?;
        Ok(Self { stream, is_used: false })
    }

    /// Sends a request and reads its answer through `buffer`.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        to_head: bool,
        buffer: &mut [u8],
    ) -> Result<Message, NoAnswer> {
        let mut reader = Reader::new(Kind::Response { to_head }, MAX_BODY_BYTES);
        let mut sending = Sending::Bytes(request);
        let stream = &mut self.stream;
        let ends_here = loop {
            let reading = poll_fn(|context| {
                // A server may answer and close before it has read everything.
                sending.poll(stream, context);
                let mut free = ReadBuf::new(buffer);
                let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut free));
                Poll::Ready(read.map(|()| free.filled().len()))
            });
            let count = match reading.await {
                Ok(count) => count,
                Err(_) if reader.is_untouched() => return Err(NoAnswer::Closed),
                Err(error) => return Err(NoAnswer::Io(error)),
            };
            if count == 0 {
                if reader.is_untouched() {
                    return Err(NoAnswer::Closed);
                }
                reader.end().map_err(NoAnswer::Malformed)?;
                break false;
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            let taken = reader.feed(bytes).map_err(NoAnswer::Malformed)?;
            if reader.is_complete() {
                // More than one answer to one request: not to be trusted any further.
                break taken == count;
            }
        };
        let mut message = reader.take().ok_or(NoAnswer::Closed)?;
        // The rest of a request that was answered before its end would begin the next one.
        message.persists &= ends_here && matches!(sending, Sending::Done);
        self.is_used = true;
        Ok(message)
    }
}

/// How far a request has been sent.
enum Sending<'a> {
    Bytes(&'a [u8]),
    Flush,
    Done,
    /// What was not sent shows in the answer, or in its absence.
    Failed,
}

impl Sending<'_> {
    /// Sends what the stream takes now.
    fn poll(&mut self, stream: &mut Box<dyn Stream>, context: &mut Context<'_>) {
        loop {
            let mut stream = Pin::new(&mut *stream);
            *self = match self {
                Self::Bytes([]) => Self::Flush,
                Self::Bytes(rest) => match stream.as_mut().poll_write(context, rest) {
                    Poll::Ready(Ok(count @ 1..)) => {
                        Self::Bytes(rest.get(count..).unwrap_or_default())
                    }
                    Poll::Ready(_) => Self::Failed,
                    Poll::Pending => return,
                },
                Self::Flush => match stream.as_mut().poll_flush(context) {
                    Poll::Ready(Ok(())) => Self::Done,
                    Poll::Ready(Err(_)) => Self::Failed,
                    Poll::Pending => return,
                },
                Self::Done | Self::Failed => return,
            }
        }
    }
}
