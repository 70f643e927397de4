//! Bodies for reading: codings undone, laid out by what they are.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use weir_replay::coding;
use weir_rrpair::markdown::pretty_json;

/// Bytes that a body may grow to when its codings are undone.
const LARGEST: usize = 32 << 20;
/// Levels that are indented: a body of opening tags alone must not grow with its square.
const DEEPEST: usize = 40;

/// A body of a message.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Content codings undone, as far as they can be.
    pub bytes: Vec<u8>,
    pub media_type: String,
    /// What was done, or why nothing could be.
    pub note: String,
}

impl Body {
    /// The body of a message's document, `http.req` or `http.res`.
    pub(crate) fn of(message: &Value) -> Self {
        let media_type =
            header(message, "content-type").or_else(|| message.get("contentType")?.as_str());
        let media_type = media_type.unwrap_or_default().to_owned();
        let text = message.get("bodyBase64").and_then(Value::as_str).unwrap_or_default();
        let Ok(sent) = BASE64_STANDARD.decode(text) else {
            return Self {
                media_type,
                note: "the body is no base64".to_owned(),
                bytes: Vec::new(),
            };
        };
        let codings = header(message, "content-encoding").unwrap_or_default();
        let (bytes, note) = match coding::decode(codings, &sent, LARGEST) {
            Ok(Cow::Owned(bytes)) => {
                (bytes, format!("{codings}, {} bytes on the wire", sent.len()))
            }
            Ok(Cow::Borrowed(_)) => (sent, String::new()),
            Err(error) => (sent, format!("{codings}: {error}")),
        };
        Self { bytes, media_type, note }
    }
}

/// The first value of a field.
pub(crate) fn header<'a>(message: &'a Value, name: &str) -> Option<&'a str> {
    let headers = message.get("headers")?.as_object()?;
    let (_, values) = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    values.as_str().or_else(|| values.get(0)?.as_str())
}

/// The name of a form and the text in it; `None` when text is best shown as it is.
pub(crate) fn layout(text: &str, media_type: &str) -> Option<(&'static str, String)> {
    let trimmed = text.trim();
    let media_type = media_type.to_ascii_lowercase();
    if let Some(pretty) = pretty_json(trimmed) {
        return Some(graphql(trimmed).map_or(("JSON", pretty), |text| ("GraphQL", text)));
    }
    if media_type.contains("x-www-form-urlencoded") {
        return Some(("form", form(trimmed)));
    }
    if media_type.contains("xml") || media_type.contains("html") {
        return Some(("XML", xml(trimmed)));
    }
    None
}

/// The query with its lines, then everything else.
fn graphql(text: &str) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    let query = document.as_object_mut()?.remove("query")?;
    let query = query.as_str().filter(|query| query.contains('{'))?;
    let rest = pretty_json(&document.to_string()).filter(|rest| rest != "{}");
    Some(format!("{query}{}{}", if rest.is_some() { "\n\n" } else { "" }, rest.unwrap_or_default()))
}

fn form(text: &str) -> String {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        // Bytes that are no text are left as they were sent.
        percent_decode_str(&spaced).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
    };
    let lines = text.split('&').map(|pair| match pair.split_once('=') {
        Some((key, value)) => format!("{} = {}", decoded(key), decoded(value)),
        None => decoded(pair),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One element a line.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut rest = text;
    while !rest.is_empty() {
        let (line, more) = first_line(rest);
        rest = more;
        if line.starts_with("</") {
            depth = depth.saturating_sub(1);
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
        out.push_str(line);
        let opens = line.starts_with('<') && !line.starts_with("</") && !line.starts_with("<!");
        if opens && !line.starts_with("<?") && !line.ends_with("/>") && !line.contains("</") {
            depth += 1;
        }
    }
    out
}

/// Up to where one tag ends and, after blanks alone, the next begins.
fn first_line(text: &str) -> (&str, &str) {
    for (at, _) in text.match_indices('>') {
        let Some((line, more)) = text.split_at_checked(at + 1) else { break };
        if more.trim_start().starts_with('<') {
            return (line, more.trim_start());
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_keeps_its_digits_and_graphql_its_lines() {
        let (name, text) = layout(r#"{"a":12345678901234567890.10,"b":[]}"#, "").unwrap();
        assert_eq!(
            (name, text.as_str()),
            ("JSON", "{\n  \"a\": 12345678901234567890.10,\n  \"b\": []\n}")
        );
        let query = json!({ "query": "query {\n  me\n}", "variables": { "a": 1 } }).to_string();
        let (name, text) = layout(&query, "application/json").unwrap();
        assert_eq!(name, "GraphQL");
        assert_eq!(text, "query {\n  me\n}\n\n{\n  \"variables\": {\n    \"a\": 1\n  }\n}");
    }

    #[test]
    fn a_form_is_a_line_for_each_field_and_xml_one_for_each_element() {
        let form = layout("a=1+2&b=%7f&c&d=%ff", "application/x-www-form-urlencoded").unwrap().1;
        assert_eq!(form, "a = 1 2\nb = \u{7f}\nc\nd = %ff");
        let xml = layout("<?xml?><a><b x='1'>t</b>  <c/></a>", "text/xml").unwrap().1;
        assert_eq!(xml, "<?xml?>\n<a>\n  <b x='1'>t</b>\n  <c/>\n</a>");
        assert_eq!(layout("plain", "text/plain"), None);
    }

    #[test]
    fn a_coding_is_undone_and_a_damaged_one_named() {
        let gzip = "H4sIAAAAAAACA0vOzy0oSi0uTk0BAB5LVpcKAAAA";
        let message =
            |body: &str| json!({ "headers": { "content-encoding": ["gzip"] }, "bodyBase64": body });
        let body = Body::of(&message(gzip));
        assert_eq!(body.note, "gzip, 30 bytes on the wire");
        assert_eq!(body.bytes, b"compressed");
        let damaged = Body::of(&message("AAAA"));
        assert_eq!(
            (damaged.bytes.len(), damaged.note.as_str()),
            (3, "gzip: its content coding is damaged")
        );
    }

    proptest! {
        #[test]
        fn any_text_is_laid_out_or_left(text in "[<>/a?! {}\\[\\]\":,&=%+\u{e4}]{0,40}", kind in "(text/xml|application/json|application/x-www-form-urlencoded)") {
            let shown = layout(&text, &kind);
            if let Some(("XML", shown)) = shown {
                let squeeze = |text: &str| text.split_whitespace().collect::<String>();
                prop_assert_eq!(squeeze(&shown), squeeze(&text));
            }
        }
    }
}
