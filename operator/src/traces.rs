//! Traces of the operator's own work, sent by OTLP where its environment names an endpoint.
//!
//! The variables are those of OpenTelemetry's specification ("OpenTelemetry Protocol Exporter"
//! and "General SDK Configuration"): `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_PROTOCOL`, `…_HEADERS`,
//! `…_TIMEOUT`, each also as `OTEL_EXPORTER_OTLP_TRACES_…`; `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`, `OTEL_SDK_DISABLED`.

use std::{env, fmt::Display, future::poll_fn, pin::pin, time::Duration};

use anyhow::{Context as _, bail};
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, SpanData},
};
use tokio::runtime::Handle;
use tracing::{Span, Subscriber, field::Empty, info_span, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};
use weir_plan::ObjectKey;

const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES";
const ALL: &str = "OTEL_EXPORTER_OTLP";
/// For one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends spans until it is ended.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// As the environment has it; none without an endpoint. To be called inside `runtime`, which
    /// does the sending.
    ///
    /// # Errors
    ///
    /// When the environment cannot be carried out.
    pub fn from_env(runtime: &Handle, identity: &str) -> anyhow::Result<Option<Self>> {
        let disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if disabled || setting("ENDPOINT").is_none() {
            return Ok(None);
        }
        let _inside = runtime.enter();
        let exporter = exporter().context("send traces as the OTEL_ variables say")?;
        let mut resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", identity.to_owned()));
        if variable("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("weir-operator");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Inside { runtime: runtime.clone(), exporter })
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("weir-operator");
        Ok(Some(Self { provider, tracer }))
    }

    /// Takes the operator's own spans, and nobody else's.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_filter(Targets::new().with_target("weir_operator", LevelFilter::INFO))
    }

    /// Sends what is left. Waits, so it is not for a thread of the runtime.
    pub fn end(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "not every trace was sent");
        }
    }
}

/// A pass over all objects: the root of what happens in it.
pub(crate) fn reconcile() -> Span {
    info_span!(
        "reconcile",
        captures = Empty,
        exporters = Empty,
        policies = Empty,
        plan.revision = Empty,
        result = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// A write of one object's status.
pub(crate) fn write_status(kind: &str, key: &ObjectKey) -> Span {
    info_span!(
        "write status",
        otel.kind = "client",
        object.kind = kind,
        object.namespace = key.namespace,
        object.name = key.name,
        object.ready = Empty,
        result = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// It went well, and came to this.
pub(crate) fn succeeded(span: &Span, result: &str) {
    span.record("result", result);
    span.record("otel.status_code", "OK");
}

/// It did not.
pub(crate) fn failed(span: &Span, error: &(impl Display + ?Sized)) {
    span.record("result", "failed");
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", format!("{error:#}"));
}

/// What a variable of the exporter says: that of traces, else that of all signals.
fn setting(name: &str) -> Option<String> {
    variable(&format!("{TRACES}_{name}")).or_else(|| variable(&format!("{ALL}_{name}")))
}

/// Empty is as good as absent, says the specification.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn exporter() -> anyhow::Result<SpanExporter> {
    match setting("PROTOCOL").as_deref() {
        Some("grpc") => Ok(SpanExporter::builder().with_tonic().build()?),
        None | Some("http/protobuf") => {
            let builder = SpanExporter::builder().with_http();
            let encrypted = setting("ENDPOINT").is_some_and(|url| url.starts_with("https://"));
            let builder = if encrypted {
                let roots = HttpsConnectorBuilder::new().with_native_roots();
                let connector = roots.context("read this system's certificate authorities")?;
                let connector = connector.https_only().enable_http1().build();
                builder.with_http_client(HyperClient::new(connector, TIMEOUT, None))
            } else {
                builder.with_http_client(HyperClient::with_default_connector(TIMEOUT, None))
            };
            Ok(builder.build()?)
        }
        Some(other) => bail!("{ALL}_PROTOCOL is {other:?}; grpc and http/protobuf are known"),
    }
}

/// The SDK polls its exporter on a thread of its own, where the clients find no runtime.
#[derive(Debug)]
struct Inside {
    runtime: Handle,
    exporter: SpanExporter,
}

impl opentelemetry_sdk::trace::SpanExporter for Inside {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(batch));
        poll_fn(|context| {
            let _inside = self.runtime.enter();
            export.as_mut().poll(context)
        })
        .await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
