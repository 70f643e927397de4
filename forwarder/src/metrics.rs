//! The ledger as metrics: asked for by Prometheus, or pushed by OTLP. Both are told the same.

mod family;
mod ledger;
mod push;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use weir_plan::NodeStatus;

use self::family::{Families, Family, Kind};
pub(crate) use self::push::Push;
pub use self::push::{MetricsPush, MetricsPushError};
use crate::{admin::Pages, exporters::Ledger, ledger::LedgerSnapshot};

/// Of what [`encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where every number comes from: the ledger, and the node when there is one.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) ledger: Ledger,
    pub(crate) pages: Option<Arc<dyn Pages>>,
}

impl Source {
    fn families(&self) -> Families {
        let ledger = self.ledger.read();
        let node = self.pages.as_ref().map(|pages| pages.status(&ledger));
        ledger::families(&ledger, node.as_ref())
    }

    /// Text exposition.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Reading(self.families())));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

/// Every metric that there is, without numbers.
fn names() -> Families {
    ledger::families(&LedgerSnapshot::default(), None::<&NodeStatus>)
}

#[derive(Debug)]
struct Reading(Families);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Families(families) = &self.0;
        families.iter().try_for_each(|family| encode(family, &mut encoder))
    }
}

fn encode(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
    };
    let unit = family.in_bytes.then_some(Unit::Bytes);
    let mut metric = encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
    if family.labels.is_empty() {
        return match family.rows.first() {
            Some((_, number)) => row(family.kind, *number, metric),
            None => Ok(()),
        };
    }
    for (values, number) in &family.rows {
        let pairs: Vec<_> = family.labels.iter().copied().zip(values.iter().cloned()).collect();
        row(family.kind, *number, metric.encode_family(&pairs)?)?;
    }
    Ok(())
}

fn row(kind: Kind, number: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
    match kind {
        Kind::Counter => ConstCounter::new(number).encode(encoder),
        Kind::Gauge => ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX)).encode(encoder),
    }
}
