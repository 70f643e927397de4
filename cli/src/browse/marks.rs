//! What is odd about a pair, and easily overlooked.

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::visible::{self, Part};

/// A set of oddities, for the index.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Marks(u8);

/// One oddity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// A control character in the URI, raw or percent-encoded.
    ControlInUri = 1,
    /// The URI's percent-escapes do not give UTF-8.
    InvalidUtf8 = 2,
    /// A field that may occur once occurs more often (RFC 9110 section 5.3).
    DuplicateHeader = 4,
    /// Content-Length beside Transfer-Encoding (RFC 9112 section 6.3): request smuggling.
    LengthConflict = 8,
    /// There is no response.
    NoResponse = 16,
}

impl Mark {
    pub(crate) const ALL: [Self; 5] = [
        Self::ControlInUri,
        Self::InvalidUtf8,
        Self::DuplicateHeader,
        Self::LengthConflict,
        Self::NoResponse,
    ];

    /// Word that the filter box knows: `mark:control`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ControlInUri => "control",
            Self::InvalidUtf8 => "utf8",
            Self::DuplicateHeader => "duplicate",
            Self::LengthConflict => "length",
            Self::NoResponse => "no-response",
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::ControlInUri => "control character in the URI",
            Self::InvalidUtf8 => "URI is not UTF-8 when decoded",
            Self::DuplicateHeader => "a header that may occur once occurs twice",
            Self::LengthConflict => "Content-Length beside Transfer-Encoding",
            Self::NoResponse => "no response was seen",
        }
    }
}

impl Marks {
    pub(crate) fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.into_iter().filter(move |mark| self.has(*mark))
    }

    fn add(&mut self, mark: Mark, holds: bool) {
        if holds {
            self.0 |= mark as u8;
        }
    }
}

/// Fields with one value at most; lists such as `Accept` may be split over several lines.
const SINGLE: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "authorization",
    "content-encoding",
    "location",
    "etag",
    "date",
    "user-agent",
];

pub(crate) fn of(body: &Map<String, Value>) -> Marks {
    let mut marks = Marks::default();
    let http = body.get("http");
    let uri = http.and_then(|http| http.get("req")?.get("uri")?.as_str()).unwrap_or_default();
    let control = |part| matches!(part, Part::Control { .. });
    marks.add(
        Mark::ControlInUri,
        uri.chars().any(char::is_control) || visible::parts(uri).any(control),
    );
    marks.add(Mark::InvalidUtf8, percent_decode_str(uri).decode_utf8().is_err());
    for message in ["req", "res"] {
        let headers = http.and_then(|http| http.get(message)?.get("headers")?.as_object());
        let Some(headers) = headers else { continue };
        let count = |name: &str| {
            let values = headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            values.map(|(_, value)| value.as_array().map_or(1, Vec::len)).sum::<usize>()
        };
        marks.add(Mark::DuplicateHeader, SINGLE.iter().any(|name| count(name) > 1));
        marks.add(
            Mark::LengthConflict,
            count("content-length") > 0 && count("transfer-encoding") > 0,
        );
    }
    let answered = http.is_none_or(|http| http.get("res").is_some());
    marks.add(Mark::NoResponse, !answered);
    marks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(document: Value) -> Vec<&'static str> {
        of(document.as_object().unwrap()).iter().map(Mark::word).collect()
    }

    fn request(uri: &str, headers: Value) -> Value {
        json!({ "http": { "req": { "uri": uri, "headers": headers }, "res": {} } })
    }

    #[test]
    fn a_control_character_in_the_uri_is_marked_in_either_form() {
        assert_eq!(words(request("/a%7F", json!({}))), ["control"]);
        assert_eq!(words(request("/a\u{7f}", json!({}))), ["control"]);
        assert!(words(request("/a%41%", json!({}))).is_empty());
    }

    #[test]
    fn escapes_that_are_no_utf8_are_marked() {
        assert_eq!(words(request("/%ff", json!({}))), ["utf8"]);
        assert!(words(request("/%c3%bc/%zz/%+1", json!({}))).is_empty());
    }

    #[test]
    fn a_repeated_host_and_two_lengths_are_marked() {
        assert_eq!(words(request("/", json!({ "Host": ["a", "b"] }))), ["duplicate"]);
        assert!(words(request("/", json!({ "Accept": ["a", "b"] }))).is_empty());
        let both = json!({ "Content-Length": ["1"], "Transfer-Encoding": ["chunked"] });
        assert_eq!(words(request("/", both)), ["length"]);
    }

    #[test]
    fn a_missing_response_is_marked_for_http_alone() {
        assert_eq!(words(json!({ "http": { "req": {} } })), ["no-response"]);
        assert!(words(json!({ "postgres": {} })).is_empty());
    }
}
