//! Where an exporter sends to, and over which transport (contract §3.1, §3.2).

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use weir_api::v1alpha1::ExporterTransport;

/// Port of OTLP/gRPC, and of an endpoint without a port.
const GRPC_PORT: u16 = 4317;
/// Port of OTLP/HTTP.
const HTTP_PORT: u16 = 4318;

/// An endpoint in its parts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Endpoint {
    /// As the user wrote it; for log lines and status.
    pub text: String,
    pub scheme: Scheme,
    /// Host name, IPv4 address, or IPv6 address in brackets.
    pub host: String,
    pub port: u16,
    /// Path before `/v1/logs`, without a slash at its end; empty when there is none.
    pub path: String,
}

/// Plaintext or TLS.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Scheme {
    Http,
    Https,
}

/// OTLP transport in use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Transport {
    Http,
    Grpc,
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseEndpoint {
    #[error("scheme {scheme:?} is not one of http, https")]
    Scheme { scheme: String },
    #[error("user names and passwords do not belong in an endpoint; use headers with valueFrom")]
    UserInfo,
    #[error("has no host")]
    NoHost,
    #[error("host {host:?} is no host name, IPv4 address or [IPv6 address]")]
    Host { host: String },
    #[error("port {port:?} is not a number from 1 to 65535")]
    Port { port: String },
    #[error("a query or fragment is not allowed")]
    Query,
    #[error("path {path:?} has a character that is not allowed in a URL")]
    Path { path: String },
    #[error("path {path:?} needs transport: HTTP, since OTLP/gRPC has no path")]
    PathWithGrpc { path: String },
}

impl Endpoint {
    /// Reads `http://host:port`, `https://host:port` or `host:port` (plaintext), each with an
    /// optional path, and chooses the transport. The second part is the reason in words.
    ///
    /// # Errors
    ///
    /// [`ParseEndpoint`]; none of its texts repeats more of the endpoint than the bad part.
    ///
    /// # Source
    ///
    /// Contract §3.2. A port of 4318 means OTLP/HTTP without a scheme as well, since no gRPC
    /// receiver listens there.
    pub fn parse(
        text: &str,
        asked: ExporterTransport,
    ) -> Result<(Self, Transport, String), ParseEndpoint> {
        let (scheme, rest) = split_scheme(text)?;
        if rest.contains(['?', '#']) {
            return Err(ParseEndpoint::Query);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let path = path.trim_end_matches('/');
        if !path.bytes().all(is_path_byte) {
            return Err(ParseEndpoint::Path { path: path.to_owned() });
        }
        let (host, port) = split_authority(authority)?;
        let (transport, reason) = choose(asked, port);
        if transport == Transport::Grpc && !path.is_empty() {
            return Err(ParseEndpoint::PathWithGrpc { path: path.to_owned() });
        }
        let port = port.unwrap_or(match (transport, scheme) {
            (Transport::Grpc, _) => GRPC_PORT,
            // As in any URL, and as OpenTelemetry's own OTLP/HTTP exporters do.
            (Transport::Http, Scheme::Http) => 80,
            (Transport::Http, Scheme::Https) => 443,
        });
        let endpoint = Self {
            text: text.to_owned(),
            scheme,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        };
        Ok((endpoint, transport, reason))
    }

    /// Reads the same for a transport that is known already.
    ///
    /// # Errors
    ///
    /// [`ParseEndpoint`].
    pub fn parse_for(text: &str, transport: Transport) -> Result<Self, ParseEndpoint> {
        let asked = match transport {
            Transport::Http => ExporterTransport::Http,
            Transport::Grpc => ExporterTransport::Grpc,
        };
        Self::parse(text, asked).map(|(endpoint, ..)| endpoint)
    }

    /// `host:port`, as a Host header or authority has it.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Path of OTLP/HTTP requests: `/v1/logs` after the endpoint's own path, unless that
    /// already ends with it.
    pub fn logs_path(&self) -> String {
        if self.path.ends_with("/v1/logs") {
            return self.path.clone();
        }
        format!("{}/v1/logs", self.path)
    }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), ParseEndpoint> {
    match text.split_once("://") {
        None => Ok((Scheme::Http, text)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((Scheme::Http, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok((Scheme::Https, rest)),
        Some((scheme, _)) => Err(ParseEndpoint::Scheme { scheme: scheme.to_owned() }),
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), ParseEndpoint> {
    if authority.contains('@') {
        return Err(ParseEndpoint::UserInfo);
    }
    // The colons of an IPv6 address end at its bracket.
    let port_colon = match authority.rfind(']') {
        Some(bracket) => authority.rfind(':').filter(|colon| *colon > bracket),
        None => authority.find(':'),
    };
    let (host, port) = match port_colon {
        Some(colon) => {
            let (host, with_colon) = authority.split_at(colon);
            (host, with_colon.strip_prefix(':'))
        }
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(ParseEndpoint::NoHost);
    }
    if !is_host(host) {
        return Err(ParseEndpoint::Host { host: host.to_owned() });
    }
    let Some(port) = port else { return Ok((host, None)) };
    let number =
        port.parse::<u16>().ok().filter(|n| *n > 0 && port.bytes().all(|b| b.is_ascii_digit()));
    match number {
        Some(number) => Ok((host, Some(number))),
        None => Err(ParseEndpoint::Port { port: port.to_owned() }),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// RFC 3986 `pchar` and `/`, percent signs taken as they are.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

/// The transport and the reason for it, in the words of contract §3.2.
fn choose(asked: ExporterTransport, port: Option<u16>) -> (Transport, String) {
    match (asked, port) {
        (ExporterTransport::Http, _) => {
            (Transport::Http, "transport HTTP is set on the exporter".to_owned())
        }
        (ExporterTransport::Grpc, _) => {
            (Transport::Grpc, "transport GRPC is set on the exporter".to_owned())
        }
        (ExporterTransport::Auto, Some(HTTP_PORT)) => {
            (Transport::Http, "endpoint port :4318 is the OTLP/HTTP default".to_owned())
        }
        (ExporterTransport::Auto, Some(GRPC_PORT)) => {
            (Transport::Grpc, "endpoint port :4317 is the OTLP/gRPC default".to_owned())
        }
        (ExporterTransport::Auto, None) => (
            Transport::Grpc,
            "endpoint has no port and OTLP/gRPC on :4317 is the default".to_owned(),
        ),
        (ExporterTransport::Auto, Some(port)) => (
            Transport::Grpc,
            format!("endpoint port :{port} is no OTLP default, so OTLP/gRPC is assumed"),
        ),
    }
}

#[cfg(test)]
mod tests;
