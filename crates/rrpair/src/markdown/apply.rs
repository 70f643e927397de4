//! What was edited, put into the record.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{AS_BASE64, NONE, ReadMarkdown, Shown, View};
use crate::fields::{Body, Fields, Signature, Uuid};
use crate::header;
use crate::model::{Direction, Http, HttpRequest, HttpResponse, RrPair, Text};

/// Members of a message that tell again what its fields say.
const COPIES: [&str; 3] = ["headBase64", "body", "bodyBytes"];

impl View {
    /// Takes over what differs from `base`, which shows the record as it is.
    pub(super) fn apply(
        &self,
        base: Option<&Self>,
        record: &mut RrPair,
    ) -> Result<(), ReadMarkdown> {
        self.metadata(base, record)?;
        self.request(base, record)?;
        self.response(base, record)?;
        if base.is_none_or(|base| base.signature != self.signature) {
            self.signature(base, record)?;
        }
        Ok(())
    }

    fn metadata(&self, base: Option<&Self>, record: &mut RrPair) -> Result<(), ReadMarkdown> {
        let wrong = |key| ReadMarkdown::Value { section: "METADATA", key };
        if base.is_none_or(|base| base.direction != self.direction) {
            record.direction = match self.direction.as_str() {
                "IN" => Direction::In,
                "OUT" => Direction::Out,
                _ => return Err(wrong("direction")),
            };
        }
        // A file that a person wrote need not have these.
        let edited = |old: Option<&String>, new: &String| !new.is_empty() && old != Some(new);
        if edited(base.map(|base| &base.uuid), &self.uuid) {
            record.uuid = Uuid::parse(&self.uuid).ok_or_else(|| wrong("uuid"))?;
        }
        if edited(base.map(|base| &base.ts), &self.ts) {
            record.ts = self.ts.parse().map_err(|_quotes| wrong("ts"))?;
        }
        if edited(base.map(|base| &base.duration), &self.duration) {
            let number = self.duration.strip_suffix("ms").map(str::trim);
            let number = number.and_then(|number| number.parse().ok());
            record.duration = number.ok_or_else(|| wrong("duration"))?;
        }
        let old = base.map(|base| base.tags.clone()).unwrap_or_default();
        record.tags.0.retain(|(key, _)| {
            let key: &str = key;
            !old.contains_key(key) || self.tags.contains_key(key)
        });
        for (key, value) in self.tags.iter().filter(|(key, value)| old.get(*key) != Some(*value)) {
            match record.tags.0.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => *known = Text::Owned(value.clone()),
                None => record.tags.push(key.clone(), value.clone()),
            }
        }
        Ok(())
    }

    fn request(&self, base: Option<&Self>, record: &mut RrPair) -> Result<(), ReadMarkdown> {
        let old = base.map(|base| &base.request);
        if old == Some(&self.request) {
            return Ok(());
        }
        let http = record.http.get_or_insert_with(Http::default);
        for copy in COPIES {
            http.req.extra.shift_remove(copy);
        }
        self.request.fields(old, &mut http.req.headers);
        self.request.body(old, &mut http.req.headers, &mut http.req.body);
        if old.is_none_or(|old| old.start != self.request.start) {
            let line = self.request.line.0;
            let edited = StartLine::parse(&self.request.start);
            let edited = edited.ok_or(ReadMarkdown::RequestLine { line })?;
            let before = old.and_then(|old| StartLine::parse(&old.start));
            edited.put(before.as_ref(), &mut http.req);
            if before.as_ref().is_none_or(|before| before.tls != edited.tls) {
                record.is_tls = edited.tls;
                record.l7protocol = if edited.tls { "https" } else { "http" }.into();
            }
            if before.as_ref().is_none_or(|before| before.authority != edited.authority) {
                record.network_address = Some(edited.authority.to_owned());
            }
            record.command = http.req.method.clone();
            record.location.clone_from(&http.req.url);
        }
        Ok(())
    }

    fn response(&self, base: Option<&Self>, record: &mut RrPair) -> Result<(), ReadMarkdown> {
        let old = base.and_then(|base| base.response.as_ref());
        if base.is_some() && old == self.response.as_ref() {
            return Ok(());
        }
        let http = record.http.get_or_insert_with(Http::default);
        let Some(new) = &self.response else {
            http.res = None;
            record.status = Text::default();
            return Ok(());
        };
        let response = http.res.get_or_insert_with(HttpResponse::default);
        for copy in COPIES {
            response.extra.shift_remove(copy);
        }
        new.fields(old, &mut response.headers);
        new.body(old, &mut response.headers, &mut response.body);
        response.content_type =
            response.headers.first("Content-Type").unwrap_or_default().to_owned();
        if old.is_none_or(|old| old.start != new.start) {
            let wrong = ReadMarkdown::StatusLine { line: new.line.0 };
            let (version, rest) = new.start.split_once(' ').ok_or(wrong)?;
            let (code, reason) = rest.trim().split_once(' ').unwrap_or_else(|| (rest.trim(), ""));
            let number: u64 = code.parse().map_err(|_no_number| wrong)?;
            if !version.starts_with("HTTP/") || !(100..1000).contains(&number) {
                return Err(wrong);
            }
            response.status_code = number;
            response.status_message = format!("{code} {}", reason.trim()).into();
            record.status = code.to_owned().into();
        }
        Ok(())
    }

    fn signature(&self, base: Option<&Self>, record: &mut RrPair) -> Result<(), ReadMarkdown> {
        let signature = record.signature.get_or_insert_with(Signature::default);
        signature.0.retain(|(key, _)| {
            let key: &str = key;
            self.signature.contains_key(key)
                || base.is_none_or(|base| !base.signature.contains_key(key))
        });
        for (key, shown) in &self.signature {
            if base.is_some_and(|base| base.signature.get(key) == Some(shown)) {
                continue;
            }
            let wrong = ReadMarkdown::Value { section: "SIGNATURE", key: "a base64 value" };
            let value = match shown.strip_prefix(AS_BASE64) {
                _ if shown == NONE => Vec::new(),
                Some(encoded) => BASE64_STANDARD.decode(encoded).map_err(|_quotes| wrong)?,
                None => shown.as_bytes().to_vec(),
            };
            match signature.0.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => *known = value,
                None => signature.0.push((Text::Owned(key.clone()), value)),
            }
        }
        Ok(())
    }
}

impl Shown {
    /// Field lines that were edited, added or removed; the others stay as they are.
    fn fields(&self, old: Option<&Self>, fields: &mut Fields) {
        let before = |name: &str| old.and_then(|old| old.headers.get(name));
        fields.0.retain(|(name, _)| {
            let name: &str = name;
            before(name).is_none() || self.headers.contains_key(name)
        });
        for (name, values) in self.headers.iter().filter(|(name, v)| before(name) != Some(*v)) {
            let name = header::canonical(name);
            fields.0.retain(|(known, _)| *known != name);
            for value in values {
                fields.push(name.clone(), value.clone());
            }
        }
    }

    fn body(&self, old: Option<&Self>, fields: &mut Fields, body: &mut Body) {
        if old.is_some_and(|old| old.body == self.body) {
            return;
        }
        *body = Body(self.body.clone().into_bytes());
        // What is written here is plain text of another length.
        fields.0.retain(|(name, _)| name != "Content-Encoding");
        if let Some((_, values)) = fields.0.iter_mut().find(|(name, _)| name == "Content-Length") {
            values.clear();
            values.push(self.body.len().to_string());
        }
    }
}

/// `METHOD scheme://host:port/path?query HTTP/x`
struct StartLine<'a> {
    method: &'a str,
    tls: bool,
    authority: &'a str,
    target: &'a str,
    version: &'a str,
}

impl<'a> StartLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (method, rest) = line.split_once(' ')?;
        let (url, version) = rest.trim().rsplit_once(' ')?;
        let version = version.strip_prefix("HTTP/")?;
        let (scheme, rest) = url.trim().split_once("://")?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let at = rest.find(['/', '?', '*']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        Some(Self { method, tls, authority, target, version })
    }

    fn put(&self, before: Option<&Self>, req: &mut HttpRequest) {
        self.method.clone_into(req.method.to_mut());
        self.version.clone_into(req.version.to_mut());
        if before.is_none_or(|before| before.target != self.target) {
            let target = if self.target.is_empty() { "/" } else { self.target };
            target.clone_into(&mut req.uri);
            target.split('?').next().unwrap_or_default().clone_into(&mut req.url);
            req.query_params = Fields::default(); // they are optional, and say the same
        }
        if before.is_none_or(|before| before.authority != self.authority) {
            let own = if self.tls { ":443" } else { ":80" };
            let host = self.authority.strip_suffix(own).unwrap_or(self.authority);
            host.clone_into(&mut req.host);
            if let Some((_, values)) = req.headers.0.iter_mut().find(|(name, _)| name == "Host") {
                values.clear();
                values.push(host.to_owned());
            }
        }
    }
}
