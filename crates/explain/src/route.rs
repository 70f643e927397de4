//! Which requests are siblings.

use std::fmt;

use weir_rrpair::{Direction, RrPair};

/// Requests that the same code serves, as far as one can tell from outside.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Route {
    /// `IN` or `OUT`.
    pub direction: &'static str,
    pub service: String,
    /// Host of a call that the service makes; empty for one that it answers.
    pub host: String,
    pub command: String,
    /// Path with `{}` for segments that look like values.
    pub path: String,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.command, self.host, self.path)
    }
}

/// The route of a record.
pub fn route(record: &RrPair) -> Route {
    let host = match (&record.http, record.direction) {
        (Some(http), Direction::Out) => http.req.host.clone(),
        _ => String::new(),
    };
    let path = match &record.http {
        Some(_) => template(&record.location),
        None => String::new(),
    };
    Route {
        direction: record.direction.as_str(),
        service: record.service.clone(),
        host,
        command: record.command.to_string(),
        path,
    }
}

fn template(path: &str) -> String {
    let segments = path.split('/').map(|segment| if is_value(segment) { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// A name is letters, with at most a version's digit; anything else is somebody's value.
pub(crate) fn is_value(segment: &str) -> bool {
    let version = segment.strip_prefix('v').is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 2 && rest.bytes().all(|byte| byte.is_ascii_digit())
    });
    let named = |byte: u8| byte.is_ascii_alphabetic() || b"-_.".contains(&byte);
    !version && (segment.len() > 40 || !segment.bytes().all(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_a_path_are_one_route() {
        for (path, expected) in [
            ("/v1/orders/42", "/v1/orders/{}"),
            ("/api/rocket", "/api/rocket"),
            ("/api/rocket/falcon-1\u{7f}/stage", "/api/rocket/{}/stage"),
            ("/users/3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01", "/users/{}"),
            ("/a.b.C/Do_It", "/a.b.C/Do_It"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(template(path), expected);
        }
    }
}
