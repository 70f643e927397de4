//! `--test-against [service=]address`: where a request goes instead (contract §5.2).

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use weir_rrpair::RrPair;

/// Parts of an address; what is missing stays as it was recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Against {
    /// Of this service only.
    service: Option<String>,
    tls: Option<bool>,
    host: Option<String>,
    port: Option<u16>,
}

/// Text that is no address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseAgainst {
    #[error(
        "write [service=][http://|https://][host][:port], for example :8080 or shop=localhost:8080"
    )]
    Empty,
    #[error("the scheme {0:?} is neither http nor https")]
    Scheme(String),
    #[error("the port {0:?} is no number from 1 to 65535")]
    Port(String),
    #[error("a path ({0:?}) cannot be part of it: requests keep their own")]
    Path(String),
    #[error("{0:?} is no host")]
    Host(String),
}

/// Where a request goes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Target {
    pub tls: bool,
    /// Without the brackets of an IPv6 literal.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", Authority(self, true))
    }
}

/// Host and, where it is needed, port.
struct Authority<'a>(&'a Target, bool);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Target { tls, host, port }, always) = self;
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            f.write_str(host)?;
        }
        let default = if *tls { 443 } else { 80 };
        if *always || *port != default { write!(f, ":{port}") } else { Ok(()) }
    }
}

impl Target {
    /// As in a `Host` field: the scheme's own port is left out.
    pub fn authority(&self) -> String {
        Authority(self, false).to_string()
    }
}

impl FromStr for Against {
    type Err = ParseAgainst;

    fn from_str(text: &str) -> Result<Self, ParseAgainst> {
        let (service, address) = match text.split_once('=') {
            Some((service, address)) => (Some(service.trim().to_owned()), address),
            None => (None, text),
        };
        if address.is_empty() || service.as_deref() == Some("") {
            return Err(ParseAgainst::Empty);
        }
        let (tls, rest) = match address.split_once("://") {
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some((scheme, _)) => return Err(ParseAgainst::Scheme(scheme.to_owned())),
            None => (None, address),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some((_, path)) = rest.split_once('/') {
            return Err(ParseAgainst::Path(format!("/{path}")));
        }
        let (host, port) = split_port(rest);
        let port = port.map(parse_port).transpose()?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@?#[]".contains(c);
        if host.contains(odd) {
            return Err(ParseAgainst::Host(host.to_owned()));
        }
        let host = (!host.is_empty()).then(|| host.to_owned());
        Ok(Self { service, tls, host, port })
    }
}

impl Against {
    /// Where a record's request goes; `None` when this is for another service.
    pub fn apply(&self, record: &RrPair) -> Option<Target> {
        if self.service.as_ref().is_some_and(|service| *service != record.service) {
            return None;
        }
        let recorded = recorded(record);
        let tls = self.tls.unwrap_or(recorded.tls);
        // A new host or scheme without a port means that scheme's own port.
        let own = if tls { 443 } else { 80 };
        let moved = self.host.is_some() || self.tls.is_some_and(|tls| tls != recorded.tls);
        let port = self.port.unwrap_or(if moved { own } else { recorded.port });
        Some(Target { tls, host: self.host.clone().unwrap_or(recorded.host), port })
    }
}

/// Where a record's request went.
pub fn recorded(record: &RrPair) -> Target {
    let tls = record.is_tls || record.l7protocol == "https";
    let own = if tls { 443 } else { 80 };
    let said = record.http.as_ref().map(|http| http.req.host.as_str()).unwrap_or_default();
    let (host, port) = split_port(said);
    let network = record.network_address.as_deref().unwrap_or_default();
    let (network_host, network_port) = split_port(network);
    let port = port.or(network_port).and_then(|port| port.parse().ok()).unwrap_or(own);
    let host = if host.is_empty() { network_host } else { host };
    Target { tls, host: host.to_owned(), port }
}

/// Host and port of `a`, `a:1`, `:1`, `[::1]`, `[::1]:1`, `::1`.
pub fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((literal, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (literal, rest.strip_prefix(':'));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

fn parse_port(text: &str) -> Result<u16, ParseAgainst> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| ParseAgainst::Port(text.to_owned()))
}
