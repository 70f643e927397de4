//! HTTP archives (HAR 1.2) as records.
//!
//! An archive holds bodies decoded, so the headers that told of their coding and length are left
//! out; everything else is as it was.

use anyhow::{Context as _, anyhow, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::error::Category;
use weir_rrpair::{
    Body, Direction, Fields, Http, HttpRequest, HttpResponse, RrPair, Timestamp, Uuid, header,
    session, signature,
};

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: String,
    #[serde(default)]
    time: f64,
    request: Request,
    response: Option<Response>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    http_version: String,
    #[serde(default)]
    headers: Vec<Named>,
    post_data: Option<Content>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    /// 0 or below when there was none.
    status: i64,
    #[serde(default)]
    status_text: String,
    #[serde(default)]
    headers: Vec<Named>,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    encoding: Option<String>,
}

/// The records of an archive in its order.
pub(super) fn records(
    text: &[u8],
    direction: Direction,
    service: Option<&str>,
    mut uuid: impl FnMut() -> Uuid,
) -> anyhow::Result<Vec<RrPair>> {
    // Some programs begin the file with a byte order mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let archive: Archive = parse(text)?;
    let entries = archive.log.entries.into_iter().enumerate();
    entries
        .map(|(number, entry)| {
            let record = record(entry, direction, service, uuid());
            record.with_context(|| format!("entry {}", number + 1))
        })
        .collect()
}

/// Says where it is wrong and how, and never what is there: that was captured.
fn parse(text: &[u8]) -> anyhow::Result<Archive> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let archive = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        let reason = match error.classify() {
            Category::Eof => "it ends too early".to_owned(),
            Category::Syntax => "not JSON".to_owned(),
            // Names a field of ours; the other texts quote values.
            Category::Data if error.to_string().starts_with("missing field") => {
                let text = error.to_string();
                text.split(" at line").next().unwrap_or_default().to_owned()
            }
            Category::Data | Category::Io => "not of the kind that belongs there".to_owned(),
        };
        anyhow!(
            "no HTTP archive: {path}: {reason} (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    reader.end().map_err(|error| {
        anyhow!("no HTTP archive: more follows its end (line {})", error.line())
    })?;
    Ok(archive)
}

fn record(
    entry: Entry,
    direction: Direction,
    service: Option<&str>,
    uuid: Uuid,
) -> anyhow::Result<RrPair> {
    let ts: Timestamp = entry.started_date_time.parse().context("startedDateTime")?;
    let (tls, host, uri) = split(&entry.request.url)?;
    let path = uri.split('?').next().unwrap_or_default().to_owned();
    let request = HttpRequest {
        url: path.clone(),
        uri: uri.to_owned(),
        version: version(&entry.request.http_version).into(),
        method: entry.request.method.clone().into(),
        host: host.to_owned(),
        headers: fields(entry.request.headers),
        body: body(entry.request.post_data)?,
        ..HttpRequest::default()
    };
    let response = entry.response.filter(|response| response.status > 0);
    let response = response.map(answer).transpose()?;
    let status = response.as_ref().map(|res| res.status_code.to_string()).unwrap_or_default();
    let signature = signature::of(&request);
    let http = Http { req: request, res: response, ..Http::default() };
    let name = service.unwrap_or_else(|| host.split(':').next().unwrap_or_default());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let duration = entry.time.max(0.0).round() as u64;
    let mut record = RrPair {
        ts,
        uuid,
        direction,
        duration,
        resource: name.to_owned(),
        service: name.to_owned(),
        l7protocol: if tls { "https" } else { "http" }.into(),
        is_tls: tls,
        command: entry.request.method.into(),
        location: path,
        status: status.into(),
        session: session::of(&http),
        http: Some(http),
        signature: Some(signature),
        ..RrPair::default()
    };
    record.tags.push("source", "har");
    Ok(record)
}

fn answer(response: Response) -> anyhow::Result<HttpResponse> {
    let mut headers = fields(response.headers);
    headers.0.retain(|(name, _)| {
        !["Content-Encoding", "Content-Length", "Transfer-Encoding"].contains(&name.as_ref())
    });
    let status_code = u64::try_from(response.status)?;
    Ok(HttpResponse {
        content_type: headers.first("Content-Type").unwrap_or_default().to_owned(),
        status_code,
        status_message: format!("{status_code} {}", response.status_text).into(),
        headers,
        body: body(response.content)?,
        ..HttpResponse::default()
    })
}

fn body(content: Option<Content>) -> anyhow::Result<Body> {
    let Some(Content { text: Some(text), encoding }) = content else { return Ok(Body::default()) };
    match encoding.as_deref() {
        Some("base64") => {
            let bytes = BASE64_STANDARD.decode(text.trim()).ok();
            bytes.map(Body).context("a body is no base64")
        }
        _ => Ok(Body(text.into_bytes())),
    }
}

/// Without the pseudo-fields of HTTP/2, which are no headers.
fn fields(named: Vec<Named>) -> Fields {
    let mut fields = Fields::default();
    for Named { name, value } in named.into_iter().filter(|named| !named.name.starts_with(':')) {
        fields.push(header::canonical(&name), value);
    }
    fields
}

fn version(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    match text.trim_start_matches("http/") {
        "1.0" => "1.0",
        "2" | "2.0" | "h2" => "2.0",
        "3" | "3.0" | "h3" => "3.0",
        _ => "1.1",
    }
}

/// TLS, host with its port, and the rest without the fragment.
fn split(url: &str) -> anyhow::Result<(bool, &str, &str)> {
    let (tls, rest) = match url.split_once("://") {
        Some(("https" | "wss", rest)) => (true, rest),
        Some(("http" | "ws", rest)) => (false, rest),
        _ => bail!("its URL is neither http nor https"),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, uri) = rest.split_at(at);
    let host = host.rsplit('@').next().unwrap_or_default();
    if host.is_empty() {
        bail!("its URL names no host");
    }
    Ok((tls, host, if uri.is_empty() { "/" } else { uri }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn import(entry: &Value) -> Result<RrPair, String> {
        let text = json!({ "log": { "version": "1.2", "entries": [entry] } }).to_string();
        let records = records(text.as_bytes(), Direction::In, None, || Uuid([7; 16]));
        records.map(|mut records| records.remove(0)).map_err(|error| format!("{error:#}"))
    }

    fn entry() -> Value {
        json!({
            "startedDateTime": "2026-09-01T12:00:00.5+02:00", "time": 12.6,
            "request": {
                "method": "POST", "url": "https://api.example:8443/a%7F?x=1#part",
                "httpVersion": "h2", "postData": { "mimeType": "text/plain", "text": "hé" },
                "headers": [
                    { "name": ":authority", "value": "api.example" },
                    { "name": "authorization", "value": "Bearer t" },
                    { "name": "accept", "value": "a" }, { "name": "Accept", "value": "b" },
                ],
            },
            "response": {
                "status": 200, "statusText": "OK",
                "headers": [
                    { "name": "content-type", "value": "image/png" },
                    { "name": "content-encoding", "value": "gzip" },
                ],
                "content": { "size": 2, "text": "AP8=", "encoding": "base64" },
            },
        })
    }

    #[test]
    fn an_entry_becomes_a_record() {
        let record = import(&entry()).unwrap();
        assert_eq!(record.ts.to_string(), "2026-09-01T10:00:00.500000000Z");
        assert_eq!((record.duration, record.status.as_ref(), record.is_tls), (13, "200", true));
        assert_eq!(
            (record.service.as_str(), record.session.as_deref()),
            ("api.example", Some("t"))
        );
        let http = record.http.unwrap();
        assert_eq!((http.req.uri.as_str(), http.req.url.as_str()), ("/a%7F?x=1", "/a%7F"));
        assert_eq!(
            (http.req.host.as_str(), http.req.version.as_ref()),
            ("api.example:8443", "2.0")
        );
        assert_eq!(http.req.body.0, "hé".as_bytes());
        assert_eq!(http.req.headers.0.len(), 2);
        let response = http.res.unwrap();
        assert_eq!(response.body.0, [0x00, 0xff]);
        assert_eq!(response.headers.first("Content-Encoding"), None);
        assert!(record.signature.unwrap().value("http:url").is_some());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mut wrong = entry();
        wrong["request"]["url"] = "data:text/plain,x".into();
        assert_eq!(import(&wrong).unwrap_err(), "entry 1: its URL is neither http nor https");
        let mut wrong = entry();
        wrong["response"]["content"]["text"] = "%".into();
        assert_eq!(import(&wrong).unwrap_err(), "entry 1: a body is no base64");
        let damaged = records(b"{\"log\":", Direction::In, None, || Uuid([0; 16])).unwrap_err();
        assert_eq!(
            damaged.to_string(),
            "no HTTP archive: log: it ends too early (line 1, column 7)"
        );
        let mut wrong = entry();
        wrong["request"]["headers"][1]["value"] = json!({ "secret": "canary-4711" });
        assert_eq!(
            import(&wrong).unwrap_err().split(" (line").next(),
            Some(
                "no HTTP archive: log.entries[0].request.headers[1].value: not of the kind that belongs there"
            )
        );
        let mut wrong = entry();
        wrong["request"].as_object_mut().unwrap().remove("url");
        let error = import(&wrong).unwrap_err();
        assert!(
            error.starts_with(
                "no HTTP archive: log.entries[0].request: missing field `url` (line 1"
            ),
            "{error}"
        );
        let mut wrong = entry();
        wrong["startedDateTime"] = "canary-4711".into();
        let error = import(&wrong).unwrap_err();
        assert!(error.starts_with("entry 1: startedDateTime"), "{error}");
        assert!(!error.contains("canary"), "{error}");
        let twice = [&b"{\"log\":{\"entries\":[]}}"[..], b" {}"].concat();
        let error = records(&twice, Direction::In, None, || Uuid([0; 16])).unwrap_err();
        assert_eq!(error.to_string(), "no HTTP archive: more follows its end (line 1)");
        let mut unanswered = entry();
        unanswered["response"]["status"] = 0.into();
        assert!(import(&unanswered).unwrap().http.unwrap().res.is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(url in any::<String>(), time in any::<f64>(), text in any::<Vec<u8>>()) {
            let mut odd = entry();
            odd["request"]["url"] = url.into();
            odd["time"] = json!(time);
            import(&odd).ok();
            records(&text, Direction::Out, None, || Uuid([0; 16])).ok();
        }

        /// An archive in which bytes were changed, left out or put in.
        #[test]
        fn a_damaged_archive_is_read_or_refused_without_quoting_it(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<u8>>(), any::<bool>()), 1..4),
            end in any::<prop::sample::Index>(),
        ) {
            let mut odd = entry();
            odd["request"]["headers"][1]["value"] = "Bearer canary4711".into();
            let mut text = json!({ "log": { "entries": [odd, entry()] } }).to_string().into_bytes();
            for (at, byte, inserts) in edits {
                let at = at.index(text.len());
                match (byte, inserts) {
                    (Some(byte), true) => text.insert(at, byte),
                    (Some(byte), false) => text[at] = byte,
                    (None, true) => text.truncate(end.index(text.len()) + 1),
                    (None, false) => { text.remove(at); }
                }
            }
            if let Err(error) = records(&text, Direction::In, None, || Uuid([0; 16])) {
                let told = format!("{error:#}");
                prop_assert!(!told.contains("canary"));
            }
        }

        /// Any value in the place of any other.
        #[test]
        fn a_value_of_the_wrong_kind_is_refused_with_its_place(place in 0..10_usize, kind in 0..5_usize) {
            const PLACES: [&str; 10] = [
                "/startedDateTime", "/time", "/request", "/request/method", "/request/url",
                "/request/headers", "/request/postData", "/response/status", "/response/headers",
                "/response/content/text",
            ];
            let mut odd = entry();
            let values = [json!(null), json!(-1), json!("canary"), json!(["canary"]), json!({ "canary": 1 })];
            *odd.pointer_mut(PLACES[place]).unwrap() = values[kind].clone();
            if let Err(error) = import(&odd) {
                prop_assert!(error.contains("entries[0]") || error.starts_with("entry 1"), "{}", error);
                prop_assert!(!error.contains("\"canary"), "{}", error);
            }
        }
    }
}
