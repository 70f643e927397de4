//! The same over OTLP/gRPC, in its status codes.

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
    logs_service_client::LogsServiceClient,
    logs_service_server::{LogsService, LogsServiceServer},
};
use tokio::sync::mpsc;
use tonic::{
    Code, Request, Response, Status, codegen::tokio_stream::wrappers::ReceiverStream,
    transport::Server,
};
use tonic_types::{ErrorDetails, StatusExt as _};
use weir_rrpair::otlp::from_request;

use super::{Manner, State};

type Answer = Result<Response<ExportLogsServiceResponse>, Status>;

/// Until the process ends.
pub(super) fn serve(listener: TcpListener, state: Arc<State>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (let_in, incoming) = mpsc::channel(16);
        let service = LogsServiceServer::new(Service(Arc::clone(&state)));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(ReceiverStream::new(incoming));
        let accepting = async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if *state.usual.lock().unwrap() == Manner::Down {
                    state.requests.fetch_add(1, Ordering::AcqRel);
                } else if let_in.send(Ok::<_, std::io::Error>(stream)).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(accepting, serving).1.unwrap();
    });
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(&self, request: Request<ExportLogsServiceRequest>) -> Answer {
        let Self(state) = self;
        state.requests.fetch_add(1, Ordering::AcqRel);
        let manner = state.script.lock().unwrap().pop_front();
        let manner = manner.unwrap_or_else(|| *state.usual.lock().unwrap());
        let request = request.into_inner();
        match manner {
            Manner::Pass => pass(state, request).await,
            Manner::Slow => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                pass(state, request).await
            }
            Manner::Busy(429, after) => {
                // A time of the day says the same as no time at all here.
                let delay = Duration::from_secs(after.parse().unwrap_or(0));
                let details = ErrorDetails::with_retry_info(Some(delay));
                Err(Status::with_error_details(Code::ResourceExhausted, "later", details))
            }
            Manner::Down | Manner::Busy(..) => Err(Status::unavailable("not now")),
            Manner::Partial(rejected_log_records) => {
                pass(state, request).await?;
                let error_message = "some of them are odd".to_owned();
                let partial = ExportLogsPartialSuccess { rejected_log_records, error_message };
                Ok(Response::new(ExportLogsServiceResponse { partial_success: Some(partial) }))
            }
            Manner::Invalid => {
                let records = from_request(request).records;
                let locations = records.iter().map(|record| record.body["location"].as_str());
                let locations = locations.map(|location| location.unwrap().to_owned());
                state.invalid.lock().unwrap().extend(locations);
                Err(Status::invalid_argument("odd"))
            }
        }
    }
}

async fn pass(state: &State, request: ExportLogsServiceRequest) -> Answer {
    let receiver = *state.receiver.lock().unwrap();
    let address = format!("http://127.0.0.1:{receiver}");
    let away = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    LogsServiceClient::connect(address).await.map_err(away)?.export(request).await
}
