//! What the tests share: plans, a simulated kernel side, real receivers.

mod kernel;
mod receiver;

use std::{sync::Arc, time::Duration};

use weir_plan::{
    BudgetPlan, CaptureDirection, CapturePlan, Compression, Endpoint, ExporterPlan, ObjectKey,
    Plan, Scheme, Selector, TlsMode, Transport, WhenFull,
};

pub(crate) use self::{
    kernel::{Call, Kernel, request, response},
    receiver::{Certificates, Receiver, Reply, Speaks, free_port},
};
use crate::{Attribution, Forwarder, ForwarderConfig, Workload, export::RetryPolicy};

/// Far above what anything here takes; no test waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "default".to_owned(), name: name.to_owned() }
}

/// A capture of everything.
pub(crate) fn capture(name: &str, exporters: &[&str]) -> CapturePlan {
    CapturePlan {
        key: key(name),
        uid: String::new(),
        selector: Selector::default(),
        direction: CaptureDirection::Both,
        ports: [].into(),
        protocols: [].into(),
        tls: TlsMode::Decrypt,
        max_body_bytes: 1 << 20,
        sampling: None,
        duration: None,
        budget: BudgetPlan::default(),
        suspended: false,
        exporters: exporters.iter().map(|name| key(name)).collect(),
        policies: Vec::new(),
    }
}

/// An exporter to `http://127.0.0.1:port` without a filter.
pub(crate) fn exporter(name: &str, port: u16, transport: Transport) -> ExporterPlan {
    ExporterPlan {
        key: key(name),
        endpoint: Endpoint {
            text: format!("http://127.0.0.1:{port}"),
            scheme: Scheme::Http,
            host: "127.0.0.1".to_owned(),
            port,
            path: String::new(),
        },
        transport,
        transport_reason: "the test says so".to_owned(),
        headers: Vec::new(),
        tls: None,
        compression: Compression::None,
        timeout: PATIENCE,
        filter: None,
        policies: Vec::new(),
        queue_bytes: 64 << 20,
        when_full: WhenFull::DropOldest,
    }
}

/// One capture of everything, sent to these exporters.
pub(crate) fn plan(exporters: Vec<ExporterPlan>) -> Plan {
    let names: Vec<_> = exporters.iter().map(|exporter| exporter.key.name.as_str()).collect();
    Plan { captures: vec![capture("all", &names)], exporters, policies: Vec::new() }
}

/// Knows the process [`Call::TGID`] as `shop`, captured by the given captures.
pub(crate) struct Shop(pub(crate) Vec<ObjectKey>);

impl Attribution for Shop {
    fn workload(&self, tgid: u32, _: u64) -> Option<Arc<Workload>> {
        (tgid == Call::TGID).then(|| Arc::new(shop(&self.0)))
    }
}

pub(crate) fn shop(captures: &[ObjectKey]) -> Workload {
    Workload {
        service: "shop".to_owned(),
        namespace: "default".to_owned(),
        pod_name: "shop-0".to_owned(),
        app_label: "shop".to_owned(),
        captures: captures.to_vec(),
    }
}

/// A forwarder on the kernel's ring, with short waits between attempts.
pub(crate) fn forwarder(kernel: &Kernel, change: impl FnOnce(&mut ForwarderConfig)) -> Forwarder {
    let attribution = Arc::new(Shop(vec![key("all"), key("two")]));
    let mut config = ForwarderConfig::new(kernel.ring(), attribution, "minikube", "v0.1.0");
    config.retry = RetryPolicy { min: Duration::from_millis(1), max: Duration::from_millis(8) };
    change(&mut config);
    Forwarder::start(config).unwrap()
}
