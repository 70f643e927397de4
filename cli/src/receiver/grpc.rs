//! OTLP/gRPC: `LogsService/Export`.

use axum::Router;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
    logs_service_server::{LogsService, LogsServiceServer},
};
use tonic::{Request, Response, Status, codec::CompressionEncoding, service::Routes};

use super::intake::Intake;

/// The service as a router. `max_bytes` bounds a message before and after decompression.
pub(super) fn router(intake: Intake, max_bytes: usize) -> Router {
    let service = LogsServiceServer::new(Logs { intake })
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(max_bytes);
    Routes::new(service).into_axum_router()
}

struct Logs {
    intake: Intake,
}

#[tonic::async_trait]
impl LogsService for Logs {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        match self.intake.take(request.into_inner()).await {
            Ok(response) => Ok(Response::new(response)),
            Err(not_stored) => Err(Status::unavailable(not_stored.to_string())),
        }
    }
}
