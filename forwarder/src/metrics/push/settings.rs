//! Where metrics are pushed to, as the variables of OpenTelemetry's specification say
//! ("OpenTelemetry Protocol Exporter", "General SDK Configuration").

use std::{env, time::Duration};

use weir_plan::{Endpoint, ParseEndpoint, Scheme, Transport};

const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_";
const ALL: &str = "OTEL_EXPORTER_OTLP_";

/// Where metrics are pushed to, and as whose. Headers, the interval and the rest are read from the
/// environment by the SDK: `…_HEADERS`, `…_TIMEOUT`, `…_COMPRESSION`,
/// `…_METRICS_TEMPORALITY_PREFERENCE`, `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_RESOURCE_ATTRIBUTES`.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsPush {
    /// With the whole path when the transport is HTTP.
    pub endpoint: Endpoint,
    pub transport: Transport,
    /// `service.name`; what the environment says when absent.
    pub service: Option<String>,
    /// `service.instance.id`: tells this forwarder from the others.
    pub instance: String,
    /// What the environment says when absent, a minute if it says nothing.
    pub interval: Option<Duration>,
}

/// Why metrics cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum MetricsPushError {
    #[error("{variable} is not an endpoint")]
    Endpoint {
        variable: String,
        #[source]
        source: ParseEndpoint,
    },
    #[error("{variable} is {value:?}; grpc and http/protobuf are known")]
    Protocol { variable: String, value: String },
    #[error("could not make a client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("could not make the exporter")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl MetricsPush {
    /// As the environment has it; none without an endpoint there. Without an `instance` the
    /// machine's name tells it from others.
    ///
    /// # Errors
    ///
    /// [`MetricsPushError`] names the variable.
    pub fn from_env(
        service: &str,
        instance: Option<&str>,
    ) -> Result<Option<Self>, MetricsPushError> {
        let machine = rustix::system::uname();
        let machine = machine.nodename().to_string_lossy();
        Self::read(|name| env::var(name).ok(), service, instance.unwrap_or(&machine))
    }

    fn read(
        variable: impl Fn(&str) -> Option<String>,
        service: &str,
        instance: &str,
    ) -> Result<Option<Self>, MetricsPushError> {
        // Empty is as good as absent, says the specification.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let says = |name: &str, word: &str| {
            variable(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        if says("OTEL_SDK_DISABLED", "true") || says("OTEL_METRICS_EXPORTER", "none") {
            return Ok(None);
        }
        let setting = |name: &str| {
            let own = format!("{METRICS}{name}");
            let all = format!("{ALL}{name}");
            let of = |name: String| variable(&name).map(|value| (name, value));
            of(own).or_else(|| of(all))
        };
        let Some((variable_of_endpoint, text)) = setting("ENDPOINT") else { return Ok(None) };
        let transport = match setting("PROTOCOL") {
            None => Transport::Http,
            Some((_, value)) if value == "http/protobuf" => Transport::Http,
            Some((_, value)) if value == "grpc" => Transport::Grpc,
            Some((variable, value)) => {
                return Err(MetricsPushError::Protocol { variable, value });
            }
        };
        let mut endpoint = Endpoint::parse_for(&text, transport).map_err(|source| {
            MetricsPushError::Endpoint { variable: variable_of_endpoint.clone(), source }
        })?;
        // That of one signal is taken as it is.
        if transport == Transport::Http && !variable_of_endpoint.starts_with(METRICS) {
            endpoint.path.push_str("/v1/metrics");
        }
        let service = variable("OTEL_SERVICE_NAME").is_none().then(|| service.to_owned());
        let instance = instance.to_owned();
        Ok(Some(Self { endpoint, transport, service, instance, interval: None }))
    }

    /// Of OTLP/HTTP.
    pub(super) fn url(&self) -> String {
        let scheme = match self.endpoint.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}{}", self.endpoint.authority(), self.endpoint.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<MetricsPush>, MetricsPushError> {
        let of = |name: &str| variables.iter().find(|(key, _)| *key == name);
        MetricsPush::read(|name| of(name).map(|(_, value)| (*value).to_owned()), "weir", "node-1")
    }

    #[test]
    fn without_an_endpoint_nothing_is_pushed() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318")],
            &[endpoint, ("OTEL_SDK_DISABLED", "True")],
            &[endpoint, ("OTEL_METRICS_EXPORTER", "none")],
        ] {
            assert_eq!(read(variables).unwrap(), None, "{variables:?}");
        }
    }

    #[test]
    fn the_variable_of_metrics_wins_and_is_taken_as_it_is() {
        for (variables, transport, url) in [
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")][..],
                Transport::Http,
                "http://c:4318/v1/metrics",
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp/")],
                Transport::Http,
                "https://c:443/otlp/v1/metrics",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
                    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:9090/api/v1/otlp/v1/metrics"),
                ],
                Transport::Http,
                "http://m:9090/api/v1/otlp/v1/metrics",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
                ],
                Transport::Grpc,
                "http://c:4317",
            ),
        ] {
            let push = read(variables).unwrap().unwrap();
            assert_eq!((push.transport, &*push.url()), (transport, url), "{variables:?}");
            assert_eq!((push.service.as_deref(), &*push.instance), (Some("weir"), "node-1"));
        }
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_SERVICE_NAME", "edge")];
        assert_eq!(read(&variables).unwrap().unwrap().service, None);
    }

    #[test]
    fn what_cannot_be_carried_out_names_its_variable() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for (variables, expected) in [
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c")][..], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (
                &[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
                "OTEL_EXPORTER_OTLP_PROTOCOL is \"http/json\"",
            ),
        ] {
            let error = read(variables).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
