//! Metrics by OTLP, through the SDK of OpenTelemetry: its instruments ask for our numbers when it
//! is time to send. The delivery goes the way of our exporters: marked, and to an address that is
//! known as our own, so that no capture records it.

mod settings;

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter, MeterProvider as _},
};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{
        Instrument, PeriodicReader, SdkMeterProvider, Stream, Temporality, data::ResourceMetrics,
        exporter::PushMetricExporter,
    },
};
use tokio::runtime::Handle;
use tonic::metadata::{MetadataMap, MetadataValue};
use weir_plan::Transport;

pub use self::settings::{MetricsPush, MetricsPushError};
use super::{
    Source,
    family::{Family, Kind},
    names,
};
use crate::{
    chain,
    export::{MARK, OwnEndpoints, channel, connector},
    reader::lock,
    senders::Senders,
};

/// For one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Rows of one metric; more are summed up by the SDK in a row that says so.
const MAX_ROWS: usize = 20_000;

/// Sends until it is ended.
pub(crate) struct Push(SdkMeterProvider);

impl Push {
    /// Sends from now on, on the senders' thread.
    pub(crate) fn start(
        settings: &MetricsPush,
        source: &Source,
        own: &OwnEndpoints,
        senders: &Senders,
    ) -> Result<Self, MetricsPushError> {
        let runtime = senders.handle().clone();
        let exporter = {
            let _inside = runtime.enter();
            Inside { exporter: exporter(settings, own)?, runtime }
        };
        let mut reader = PeriodicReader::builder(exporter);
        if let Some(interval) = settings.interval {
            reader = reader.with_interval(interval);
        }
        let resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", settings.instance.clone()));
        let resource = match &settings.service {
            Some(name) => resource.with_service_name(name.clone()),
            None => resource,
        };
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.build())
            .with_resource(resource.build())
            .with_view(room)
            .build();
        instruments(&provider.meter("weir"), source);
        let (endpoint, transport) = (&settings.endpoint.text, settings.transport);
        tracing::info!(endpoint, ?transport, "pushing metrics by OTLP");
        Ok(Self(provider))
    }

    /// Sends once more. Waits for that, but not for long.
    pub(crate) fn end(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(error = chain(&error), "the last metrics were not sent");
        }
    }
}

/// The SDK keeps this much room for rows from the start.
fn room(instrument: &Instrument) -> Option<Stream> {
    let names = names();
    let family = names.0.iter().find(|family| family.name == instrument.name())?;
    let rows = if family.labels.is_empty() { 1 } else { MAX_ROWS };
    Stream::builder().with_cardinality_limit(rows).build().ok()
}

/// One for each metric.
fn instruments(meter: &Meter, source: &Source) {
    let families = names().0;
    let reading = Arc::new(Reading {
        source: source.clone(),
        last: Mutex::new(Last { families: Vec::new(), asked: vec![true; families.len()] }),
    });
    for (place, Family { name, help, kind, in_bytes, .. }) in families.into_iter().enumerate() {
        let unit = if in_bytes { "By" } else { "" };
        let reading = Arc::clone(&reading);
        let observe = move |observer: &dyn AsyncInstrument<u64>| reading.tell(place, observer);
        // The provider keeps what these return.
        match kind {
            Kind::Counter => {
                let builder = meter.u64_observable_counter(name).with_description(help);
                let _kept = builder.with_unit(unit).with_callback(observe).build();
            }
            Kind::Gauge => {
                let builder = meter.u64_observable_gauge(name).with_description(help);
                let _kept = builder.with_unit(unit).with_callback(observe).build();
            }
        }
    }
}

/// What all instruments of one round tell of: the ledger of one moment.
struct Reading {
    source: Source,
    last: Mutex<Last>,
}

struct Last {
    families: Vec<Family>,
    /// Which of them were told. Whoever is asked again is in a new round.
    asked: Vec<bool>,
}

impl Reading {
    fn tell(&self, place: usize, observer: &dyn AsyncInstrument<u64>) {
        let mut last = lock(&self.last);
        if last.asked[place] {
            last.families = self.source.families().0;
            last.asked.fill(false);
        }
        last.asked[place] = true;
        let family = &last.families[place];
        for (values, number) in &family.rows {
            let labels = family.labels.iter().copied().zip(values);
            let attributes: Vec<_> =
                labels.map(|(label, value)| KeyValue::new(label, value.clone())).collect();
            observer.observe(*number, &attributes);
        }
    }
}

fn exporter(
    settings: &MetricsPush,
    own: &OwnEndpoints,
) -> Result<MetricExporter, MetricsPushError> {
    let endpoint = &settings.endpoint;
    let build = |error: ExporterBuildError| MetricsPushError::Exporter(Box::new(error));
    match settings.transport {
        Transport::Grpc => {
            let channel = channel(endpoint, None, TIMEOUT, own)
                .map_err(|error| MetricsPushError::Client(Box::new(error)))?;
            let mut mark = MetadataMap::new();
            mark.insert(MARK, MetadataValue::from_static("1"));
            let builder = MetricExporter::builder().with_tonic();
            builder.with_channel(channel).with_metadata(mark).build().map_err(build)
        }
        Transport::Http => {
            let connector = connector(endpoint, None, own)
                .map_err(|error| MetricsPushError::Client(Box::new(error)))?;
            let mark = HashMap::from([(MARK.to_owned(), "1".to_owned())]);
            let builder = MetricExporter::builder().with_http();
            let client = HyperClient::new(connector, TIMEOUT, None);
            let builder = builder.with_http_client(client).with_headers(mark);
            builder.with_endpoint(settings.url()).build().map_err(build)
        }
    }
}

/// The SDK polls its exporter on a thread of its own, where the clients find no runtime.
#[derive(Debug)]
struct Inside {
    runtime: Handle,
    exporter: MetricExporter,
}

impl PushMetricExporter for Inside {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(metrics));
        poll_fn(|context| {
            let _inside = self.runtime.enter();
            export.as_mut().poll(context)
        })
        .await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}
