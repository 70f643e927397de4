//! `Exporter` → [`ExporterPlan`].

use std::time::Duration;

use weir_api::v1alpha1::{
    Compression, ExporterSpec, ExporterTls, ExporterTransport, ExpressionFilter, Header,
    OtlpExporter, Queue, SecretKeyReference, WhenFull,
};
use weir_filter::{Expressions, Filter, FilterSource, RuleDocument};

use super::policy::Policy;
use super::value::{DurationField, SizeField, keep};
use super::{Objects, Rejection, Verdict, Warning, policy, tenancy};
use crate::{Endpoint, ExporterPlan, HeaderPlan, ObjectKey, Scheme, SecretText, TlsPlan};

/// Time for one request when the exporter does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that may wait on a node when the exporter does not say.
const DEFAULT_QUEUE_BYTES: u64 = 64 << 20;

const TIMEOUT: DurationField = DurationField {
    field: "spec.otlp.timeout",
    min: (Duration::from_millis(1), "1ms"),
    max: (Duration::from_mins(10), "10m"),
};

const QUEUE_SIZE: SizeField =
    SizeField { field: "spec.queue.maxSize", min: (1 << 20, "1Mi"), max: (1 << 40, "1Ti") };

pub(super) fn compile(
    key: &ObjectKey,
    spec: &ExporterSpec,
    objects: &Objects,
    policies: &[Policy<'_>],
) -> Verdict<ExporterPlan> {
    // Exhaustive on purpose: a new field must not compile until it is planned for.
    let ExporterSpec { otlp, filter_rule, filter, dlp_policies, queue, allowed_namespaces } = spec;
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    faults.extend(tenancy::check(allowed_namespaces.as_ref()).err());
    let rule = keep(read_filter(filter_rule.as_deref(), filter.as_ref()), &mut faults);
    let (held_by, mut unresolved) =
        policy::resolve(dlp_policies, &key.namespace, objects, policies);
    faults.append(&mut unresolved);
    let (queue_bytes, when_full) = match queue {
        None => (Some(DEFAULT_QUEUE_BYTES), WhenFull::DropOldest),
        Some(Queue { max_size, when_full }) => {
            warnings.push(Warning::QueueInMemory);
            let bytes = max_size.as_ref().map_or(Ok(DEFAULT_QUEUE_BYTES), |s| QUEUE_SIZE.read(s));
            (keep(bytes, &mut faults), when_full.unwrap_or(WhenFull::DropOldest))
        }
    };
    let Some(otlp) = otlp else {
        let fault = "exactly one destination is required: otlp";
        faults.push(Rejection::InvalidValue { field: "spec".to_owned(), fault });
        return Verdict { planned: None, rejections: faults, warnings };
    };
    let OtlpExporter { endpoint, transport, headers, tls, compression, timeout } = otlp;
    let asked = transport.unwrap_or(ExporterTransport::Auto);
    let endpoint = keep(
        Endpoint::parse(endpoint, asked).map_err(|source| Rejection::InvalidEndpoint { source }),
        &mut faults,
    );
    let headers = read_headers(headers, &key.namespace, objects, &mut faults);
    let scheme = endpoint.as_ref().map(|(endpoint, ..)| endpoint.scheme);
    let tls = read_tls(tls.as_ref(), scheme, &key.namespace, objects, &mut faults);
    let timeout =
        keep(timeout.as_ref().map_or(Ok(DEFAULT_TIMEOUT), |span| TIMEOUT.read(span)), &mut faults);

    let planned = (|| {
        let (endpoint, transport, transport_reason) = endpoint?;
        Some(ExporterPlan {
            key: key.clone(),
            endpoint,
            transport,
            transport_reason,
            headers,
            tls,
            compression: compression.unwrap_or(Compression::None),
            timeout: timeout?,
            filter: rule?,
            policies: held_by,
            queue_bytes: queue_bytes?,
            when_full,
        })
    })()
    .filter(|_| faults.is_empty());
    Verdict { planned, rejections: faults, warnings }
}

fn read_filter(
    rule: Option<&str>,
    expressions: Option<&ExpressionFilter>,
) -> Result<Option<FilterSource>, Rejection> {
    match (rule, expressions) {
        (Some(_), Some(_)) => Err(Rejection::InvalidValue {
            field: "spec".to_owned(),
            fault: "only one of filterRule and filter is allowed",
        }),
        (None, Some(ExpressionFilter { keep, drop })) => {
            let expressions = Expressions { keep: keep.clone(), drop: drop.clone() };
            Filter::from_expressions(&expressions)
                .map_err(|source| Rejection::InvalidFilter { source: Box::new(source) })?;
            Ok(Some(FilterSource::Expressions(expressions)))
        }
        (None, None) => Ok(None),
        (Some(name), None) => RuleDocument::named(name)
            .map(|rule| Some(FilterSource::Rule(rule)))
            .map_err(|source| Rejection::FilterRuleNotFound { source }),
    }
}

/// Names that the transport sets itself.
const RESERVED_HEADERS: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "user-agent",
];

fn read_headers(
    headers: &[Header],
    namespace: &str,
    objects: &Objects,
    faults: &mut Vec<Rejection>,
) -> Vec<HeaderPlan> {
    let mut read: Vec<HeaderPlan> = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        let Header { name, value, value_from } = header;
        let field = format!("spec.otlp.headers[{index}]");
        let name = name.to_ascii_lowercase();
        if let Some(fault) = name_fault(&name, &read) {
            faults.push(Rejection::InvalidValue { field: format!("{field}.name"), fault });
            continue;
        }
        let value = match (value, value_from) {
            (Some(value), None) if is_header_value(value) => Ok(SecretText(value.clone())),
            (Some(_), None) => Err(Rejection::InvalidValue {
                field: format!("{field}.value"),
                fault: NOT_A_HEADER_VALUE,
            }),
            (None, Some(source)) => {
                let field = format!("{field}.valueFrom.secretKeyRef");
                secret_text(&field, &source.secret_key_ref, namespace, objects, is_header_value)
            }
            _ => Err(Rejection::InvalidValue {
                field,
                fault: "exactly one of value and valueFrom is required",
            }),
        };
        if let Some(value) = keep(value, faults) {
            read.push(HeaderPlan { name, value });
        }
    }
    read
}

const NOT_A_HEADER_VALUE: &str =
    "must be printable ASCII without line breaks, and no space at either end";

fn name_fault(name: &str, before: &[HeaderPlan]) -> Option<&'static str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Some("is no header name");
    }
    if RESERVED_HEADERS.contains(&name) || name.starts_with("grpc-") {
        return Some("is a header that the transport sets itself");
    }
    // gRPC reads such a value as base64 of bytes.
    if name.ends_with("-bin") {
        return Some("must not end with -bin");
    }
    before.iter().any(|header| header.name == name).then_some("names a header a second time")
}

fn is_header_value(value: &str) -> bool {
    value.trim() == value && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn is_pem(value: &str) -> bool {
    value.contains("-----BEGIN ")
}

fn secret_text(
    field: &str,
    reference: &SecretKeyReference,
    namespace: &str,
    objects: &Objects,
    fits: impl Fn(&str) -> bool,
) -> Result<SecretText, Rejection> {
    let SecretKeyReference { name, key } = reference;
    let secret = ObjectKey { namespace: namespace.to_owned(), name: name.clone() };
    let (field, key) = (field.to_owned(), key.clone());
    let Some(data) = objects.secrets.get(&secret) else {
        return Err(Rejection::SecretNotFound { field, secret });
    };
    let Some(bytes) = data.0.get(&key) else {
        return Err(Rejection::SecretKeyNotFound { field, secret, key });
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if fits(text) => Ok(SecretText(text.to_owned())),
        Ok(text) if fits(text.trim_end_matches(['\r', '\n'])) => {
            let fault = "ends with a line break; make the Secret without it";
            Err(Rejection::InvalidSecret { field, secret, key, fault })
        }
        _ => {
            let fault = "cannot be used here: a header needs printable ASCII, TLS needs PEM";
            Err(Rejection::InvalidSecret { field, secret, key, fault })
        }
    }
}

fn read_tls(
    tls: Option<&ExporterTls>,
    scheme: Option<Scheme>,
    namespace: &str,
    objects: &Objects,
    faults: &mut Vec<Rejection>,
) -> Option<TlsPlan> {
    let Some(ExporterTls { ca_ref, client_certificate_ref, server_name }) = tls else {
        return (scheme == Some(Scheme::Https)).then(TlsPlan::default);
    };
    if scheme == Some(Scheme::Http) {
        faults.push(Rejection::InvalidValue {
            field: "spec.otlp.tls".to_owned(),
            fault: "is allowed only with an https:// endpoint",
        });
    }
    let ca_pem = ca_ref.as_ref().and_then(|reference| {
        keep(secret_text("spec.otlp.tls.caRef", reference, namespace, objects, is_pem), faults)
    });
    let client_pem = client_certificate_ref.as_ref().and_then(|reference| {
        let mut read = |key: &str| {
            let reference =
                SecretKeyReference { name: reference.name.clone(), key: key.to_owned() };
            let field = "spec.otlp.tls.clientCertificateRef";
            keep(secret_text(field, &reference, namespace, objects, is_pem), faults)
        };
        let (certificate, key) = (read("tls.crt"), read("tls.key"));
        certificate.zip(key)
    });
    Some(TlsPlan { ca_pem, client_pem, server_name: server_name.clone() })
}
