//! A small OTLP logs receiver: gRPC on one port, HTTP on the other.
//!
//! Every request becomes a [`Batch`] on a bounded channel, and is answered only after whoever
//! reads that channel says that its pairs are stored. So an answer of success means that
//! nothing is lost, and a slow disk holds the sender back instead of filling memory.

mod grpc;
mod http;
mod intake;
mod port;
mod records;

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    intake::Counts,
    records::{Pair, Rejected, pairs},
};
use self::{intake::Intake, port::Port};

/// How long requests that are being answered may take once the receiver stops.
const GRACE: Duration = Duration::from_secs(3);

/// Where a receiver listens, and what it accepts.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// `host:port` for OTLP/gRPC; port 0 lets the system choose.
    pub grpc: String,
    /// `host:port` for OTLP/HTTP.
    pub http: String,
    /// Largest request in bytes, before and after decompression.
    pub max_request_bytes: usize,
}

/// The pairs of one request, to be stored and answered for.
#[derive(Debug)]
pub struct Batch {
    pub pairs: Vec<Pair>,
    pub reply: oneshot::Sender<Result<Stored, NotStored>>,
}

/// What became of a batch that was taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stored {
    /// Pairs at the end of the batch that are not wanted: the limit of the run is reached.
    pub surplus: u64,
}

/// The batch could not be stored now; the sender is asked to try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the records could not be stored; try again")]
pub struct NotStored;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for {transport}{hint}")]
pub struct BindError {
    pub address: String,
    pub transport: &'static str,
    hint: String,
    #[source]
    pub source: io::Error,
}

/// Both listeners, bound: from here on nobody is refused a connection.
#[derive(Debug)]
pub struct Receiver {
    grpc: TcpListener,
    http: TcpListener,
    grpc_address: SocketAddr,
    http_address: SocketAddr,
    max_request_bytes: usize,
}

impl Receiver {
    /// Binds both ports.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the address that is taken, malformed or not local.
    pub async fn bind(config: &ReceiverConfig) -> Result<Self, BindError> {
        let (grpc, grpc_address) = bind(&config.grpc, Port::Grpc).await?;
        let (http, http_address) = bind(&config.http, Port::Http).await?;
        let max_request_bytes = config.max_request_bytes;
        Ok(Self { grpc, http, grpc_address, http_address, max_request_bytes })
    }

    /// The address that OTLP/gRPC is received on, with its real port.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// The address that OTLP/HTTP is received on, with its real port.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Receives until `stop` is cancelled, then finishes the requests that are being
    /// answered (3 s at most) and closes `batches`.
    pub async fn serve(self, batches: mpsc::Sender<Batch>, stop: CancellationToken) -> Counts {
        let intake = Intake::new(batches.downgrade());
        let limit = self.max_request_bytes;
        let grpc = port::Served {
            port: Port::Grpc,
            other: self.http_address,
            router: grpc::router(intake.clone(), limit),
            counters: intake.counters(),
            requests: port::request_places(),
        };
        let http = port::Served {
            port: Port::Http,
            other: self.grpc_address,
            router: http::router(intake.clone(), limit),
            counters: intake.counters(),
            requests: port::request_places(),
        };
        tokio::join!(
            grpc.serve(self.grpc, stop.clone(), GRACE),
            http.serve(self.http, stop, GRACE)
        );
        // The only strong sender: requests still open after the grace find the door closed.
        drop(batches);
        intake.counters().counts()
    }
}

async fn bind(address: &str, port: Port) -> Result<(TcpListener, SocketAddr), BindError> {
    let refused = |source: io::Error| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                format!(" (is another collector running? choose a port with {})", port.flag())
            }
            io::ErrorKind::InvalidInput => format!(" ({} takes HOST:PORT)", port.flag()),
            _ => String::new(),
        };
        BindError { address: address.to_owned(), transport: port.transport(), hint, source }
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    Ok((listener, local))
}
