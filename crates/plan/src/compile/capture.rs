//! `TrafficCapture` → [`CapturePlan`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use weir_api::v1alpha1::{
    Budget, CaptureDirection, ObjectReference, Protocol, Sampling, TlsMode, TrafficCaptureSpec,
};

use super::policy::Policy;
use super::value::{DurationField, SizeField, keep};
use super::{ObjectKind, Objects, Rejection, Verdict, Warning, policy, tenancy};
use crate::{BudgetPlan, CapturePlan, ExporterPlan, ObjectKey, SamplingPlan, Selector};

/// Bytes kept of a body when the capture does not say.
const DEFAULT_MAX_BODY_BYTES: u64 = 1 << 20;

const MAX_BODY_SIZE: SizeField =
    SizeField { field: "spec.maxBodySize", min: (0, "0"), max: (1 << 30, "1Gi") };

const BYTES_PER_SECOND: SizeField =
    SizeField { field: "spec.budget.bytesPerSecond", min: (1, "1"), max: (1 << 40, "1Ti") };

const DURATION: DurationField = DurationField {
    field: "spec.duration",
    min: (Duration::from_secs(1), "1s"),
    max: (Duration::from_hours(10_000), "10000h"),
};

/// Protocols with a dissector in this version.
const DISSECTED: [Protocol; 1] = [Protocol::Http];

pub(super) fn compile(
    (key, uid): (&ObjectKey, &str),
    spec: &TrafficCaptureSpec,
    objects: &Objects,
    policies: &[Policy<'_>],
    known: &BTreeMap<ObjectKey, Option<ExporterPlan>>,
) -> Verdict<CapturePlan> {
    // Exhaustive on purpose: a new field must not compile until it is planned for.
    let TrafficCaptureSpec {
        selector,
        direction,
        ports,
        protocols,
        tls,
        max_body_size,
        sampling,
        duration,
        budget,
        suspend,
        exporters,
        dlp_policies,
    } = spec;
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let selector = keep(
        Selector::new(selector)
            .map_err(|source| Rejection::InvalidSelector { field: "spec.selector", source }),
        &mut faults,
    );
    let ports = keep(read_ports(ports), &mut faults);
    let protocols = keep(read_protocols(protocols, &mut warnings), &mut faults);
    let max_body_bytes = keep(
        max_body_size.as_ref().map_or(Ok(DEFAULT_MAX_BODY_BYTES), |size| MAX_BODY_SIZE.read(size)),
        &mut faults,
    );
    let sampling = keep(sampling.map(read_sampling).transpose(), &mut faults);
    let duration = keep(duration.as_ref().map(|span| DURATION.read(span)).transpose(), &mut faults);
    let budget = keep(read_budget(budget.as_ref()), &mut faults);
    let (held_by, mut unresolved) =
        policy::resolve(dlp_policies, &key.namespace, objects, policies);
    faults.append(&mut unresolved);
    if *tls == Some(TlsMode::Decrypt) {
        warnings.push(Warning::TlsNotDecrypted);
    }

    let (exporters, mut unresolved) = resolve(exporters, &key.namespace, objects, known);
    let complete = faults.is_empty() && !exporters.is_empty();
    faults.append(&mut unresolved);
    let planned = (|| {
        Some(CapturePlan {
            key: key.clone(),
            uid: uid.to_owned(),
            selector: selector?,
            direction: direction.unwrap_or(CaptureDirection::Both),
            ports: ports?,
            protocols: protocols?,
            tls: tls.unwrap_or(TlsMode::Decrypt),
            max_body_bytes: max_body_bytes?,
            sampling: sampling?,
            duration: duration?,
            budget: budget?,
            suspended: suspend.unwrap_or(false),
            exporters,
            policies: held_by,
        })
    })()
    .filter(|_| complete);
    Verdict { planned, rejections: faults, warnings }
}

/// The exporters that can be used, and what is wrong with the others.
fn resolve(
    references: &[ObjectReference],
    namespace: &str,
    objects: &Objects,
    known: &BTreeMap<ObjectKey, Option<ExporterPlan>>,
) -> (Vec<ObjectKey>, Vec<Rejection>) {
    let (mut usable, mut faults) = (Vec::new(), Vec::new());
    if references.is_empty() {
        let (field, fault) = ("spec.exporters".to_owned(), "at least one exporter is required");
        faults.push(Rejection::InvalidValue { field, fault });
    }
    for (index, reference) in references.iter().enumerate() {
        let field = format!("spec.exporters[{index}]");
        let target = tenancy::target(reference, namespace);
        let kind = ObjectKind::Exporter;
        let permitted = may_use(&target, namespace, objects);
        match known.get(&target) {
            _ if !permitted => faults.push(tenancy::unusable(field, kind, target, namespace)),
            Some(Some(_)) if usable.contains(&target) => {
                let fault = "names an exporter a second time";
                faults.push(Rejection::InvalidValue { field, fault });
            }
            Some(Some(_)) => usable.push(target),
            _ => faults.push(Rejection::RefNotAccepted { field, kind, target }),
        }
    }
    (usable, faults)
}

/// Whether that exporter exists and may be named from `namespace`.
pub(super) fn may_use(target: &ObjectKey, namespace: &str, objects: &Objects) -> bool {
    let is_target = |metadata: &ObjectMeta| {
        metadata.name.as_deref() == Some(&target.name)
            && metadata.namespace.as_deref().unwrap_or_default() == target.namespace
    };
    objects.exporters.iter().find(|exporter| is_target(&exporter.metadata)).is_some_and(
        |exporter| {
            let allowed = exporter.spec.allowed_namespaces.as_ref();
            tenancy::permits(allowed, &target.namespace, namespace, objects)
        },
    )
}

fn read_ports(ports: &[i32]) -> Result<BTreeSet<u16>, Rejection> {
    ports
        .iter()
        .enumerate()
        .map(|(index, port)| match u16::try_from(*port) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(Rejection::InvalidValue {
                field: format!("spec.ports[{index}]"),
                fault: "must be from 1 to 65535",
            }),
        })
        .collect()
}

fn read_protocols(
    protocols: &[Protocol],
    warnings: &mut Vec<Warning>,
) -> Result<BTreeSet<Protocol>, Rejection> {
    let (dissected, others): (BTreeSet<_>, BTreeSet<_>) =
        protocols.iter().copied().partition(|protocol| DISSECTED.contains(protocol));
    if dissected.is_empty() && !others.is_empty() {
        return Err(Rejection::ProtocolsUnsupported);
    }
    warnings.extend(others.into_iter().map(|protocol| Warning::ProtocolNotDissected { protocol }));
    Ok(dissected)
}

fn read_sampling(sampling: Sampling) -> Result<SamplingPlan, Rejection> {
    let Sampling { keep, out_of } = sampling;
    match (u32::try_from(keep), u32::try_from(out_of)) {
        (Ok(keep), Ok(out_of)) if keep >= 1 && out_of >= keep => Ok(SamplingPlan { keep, out_of }),
        _ => Err(Rejection::InvalidValue {
            field: "spec.sampling".to_owned(),
            fault: "must have outOf >= keep >= 1",
        }),
    }
}

fn read_budget(budget: Option<&Budget>) -> Result<BudgetPlan, Rejection> {
    let Some(Budget { bytes_per_second, records }) = budget else {
        return Ok(BudgetPlan::default());
    };
    let fault = |field: &str, fault| Rejection::InvalidValue { field: field.to_owned(), fault };
    if bytes_per_second.is_none() && records.is_none() {
        return Err(fault("spec.budget", "at least one of bytesPerSecond and records is required"));
    }
    let records = match records.map(u64::try_from) {
        None => None,
        Some(Ok(records)) if records > 0 => Some(records),
        Some(_) => return Err(fault("spec.budget.records", "must be at least 1")),
    };
    let bytes_per_second =
        bytes_per_second.as_ref().map(|size| BYTES_PER_SECOND.read(size)).transpose()?;
    Ok(BudgetPlan { bytes_per_second, records })
}
