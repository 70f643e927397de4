//! Delivery of one exporter's queue to its receiver over OTLP/gRPC or OTLP/HTTP
//! (contract §2.2, §3.2).

mod compress;
mod failure;
mod grpc;
mod http;
mod own;
mod probe;
mod sender;
mod throttle;
mod tls;

#[cfg(test)]
mod tests;

pub use self::{
    failure::{Answer, Failure},
    own::OwnEndpoints,
    sender::{ExporterHealth, Health, RetryPolicy, Sender},
};
pub(crate) use self::{
    grpc::channel,
    http::connector,
    own::{MARK, is_marked},
};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use weir_plan::{ExporterPlan, Transport};

use self::{grpc::GrpcClient, http::HttpClient};

/// Client of one receiver.
enum Client {
    Grpc(Box<GrpcClient>),
    Http(Box<HttpClient>),
    /// Answers from a list, for tests of time.
    #[cfg(test)]
    Scripted(std::sync::Mutex<std::collections::VecDeque<Result<Answer, Failure>>>),
}

/// Settings from which no client can be made. Only a new plan can mend it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildClient {
    #[error("the endpoint makes no URL")]
    Url(#[source] ::http::Error),
    #[error("header {name:?} has a name or value that HTTP does not allow")]
    Header { name: String },
    #[error("could not read the TLS settings")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Client {
    fn new(plan: &ExporterPlan, own: &OwnEndpoints) -> Result<Self, BuildClient> {
        Ok(match plan.transport {
            Transport::Grpc => Self::Grpc(Box::new(GrpcClient::new(plan, own)?)),
            Transport::Http => Self::Http(Box::new(HttpClient::new(plan, own)?)),
        })
    }

    /// Sends one encoded `ExportLogsServiceRequest`.
    async fn send(&self, request: Bytes) -> Result<Answer, Failure> {
        match self {
            Self::Grpc(client) => client.send(request).await,
            Self::Http(client) => client.send(request).await,
            #[cfg(test)]
            Self::Scripted(answers) => answers.lock().unwrap().pop_front().unwrap(),
        }
    }
}

/// The plan's headers as HTTP has them, marked as sensitive, and our own mark.
fn headers(plan: &ExporterPlan) -> Result<HeaderMap, BuildClient> {
    let mut headers = HeaderMap::new();
    headers.insert(MARK, HeaderValue::from_static("1"));
    for header in &plan.headers {
        let name = HeaderName::try_from(&header.name).ok();
        let value = HeaderValue::try_from(header.value.expose()).ok();
        let (Some(name), Some(mut value)) = (name, value) else {
            return Err(BuildClient::Header { name: header.name.clone() });
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}
