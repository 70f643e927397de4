//! Bodies by their media type and coding.

use crate::coding::{self, Coding};
use crate::edit::{Edit, apply, hits, settle, shift};
use crate::engine::{At, MAX_DEPTH, Run, category_id};
use crate::layer::Layer;
use crate::{json, multipart, protobuf, xml};

/// A body with what its message says about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyText<'b> {
    pub(crate) bytes: &'b [u8],
    /// Value of `Content-Type`, or empty.
    pub(crate) content_type: &'b str,
    /// Value of `Content-Encoding`, or empty.
    pub(crate) content_encoding: &'b str,
    /// Value of `Grpc-Encoding`, or empty.
    pub(crate) grpc_encoding: &'b str,
    /// Not the whole body was captured.
    pub(crate) cut: bool,
}

/// What became of a body.
#[derive(Debug)]
pub(crate) enum Redaction {
    Same,
    Changed {
        bytes: Vec<u8>,
        hits: Vec<u16>,
    },
    /// It could not be searched.
    Undecodable,
}

/// A body without its content codings, which are listed as they were applied; no bytes when it
/// had none.
type Plain = (Vec<Coding>, Option<Vec<u8>>);

impl BodyText<'_> {
    /// `None` for a body that cannot be decoded.
    fn decode(&self) -> Option<Plain> {
        let mut codings = Vec::new();
        for name in self.content_encoding.split(',') {
            codings.extend(Coding::named(name.trim()).ok()?);
        }
        let mut decoded = None;
        for coding in codings.iter_mut().rev() {
            let bytes: &[u8] = decoded.as_deref().unwrap_or(self.bytes);
            if bytes.is_empty() {
                break;
            }
            let result = match coding::decode(*coding, bytes, self.cut) {
                Err(coding::Undecodable::Malformed) if *coding == Coding::Deflate => {
                    *coding = Coding::RawDeflate;
                    coding::decode(*coding, bytes, self.cut)
                }
                result => result,
            };
            decoded = Some(result.ok()?);
        }
        Some((codings, decoded))
    }

    /// True for one document of JSON.
    pub(crate) fn is_json(&self) -> bool {
        let Some((_, decoded)) = self.decode() else { return false };
        let bytes = decoded.as_deref().unwrap_or(self.bytes);
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
    }
}

impl Run<'_> {
    /// Redacts in a body, below its content codings.
    pub(crate) fn body(&mut self, at: At<'_>, body: BodyText<'_>) -> Redaction {
        let Some((codings, decoded)) = body.decode() else { return Redaction::Undecodable };
        let bytes: &[u8] = decoded.as_deref().unwrap_or(body.bytes);
        if bytes.is_empty() {
            return Redaction::Same;
        }
        let edits = match media(body.content_type) {
            Media::Grpc => {
                let coding = Coding::named(body.grpc_encoding).ok().flatten();
                match protobuf::grpc(self, at, coding, bytes) {
                    Some(edits) if !self.is_named(at) => edits,
                    _ => return Redaction::Undecodable,
                }
            }
            Media::Protobuf if self.is_named(at) => return Redaction::Undecodable,
            _ => self.bytes(at, body.content_type.as_bytes(), bytes),
        };
        let edits = settle(edits);
        if edits.is_empty() {
            return Redaction::Same;
        }
        let hits = hits(&edits);
        let mut bytes = apply(bytes, &edits);
        for coding in &codings {
            match coding::encode(*coding, &bytes) {
                Ok(encoded) => bytes = encoded,
                Err(_) => return Redaction::Undecodable,
            }
        }
        Redaction::Changed { bytes, hits }
    }

    /// Redacts in bytes of a media type, or of one that shows.
    pub(crate) fn bytes(&mut self, at: At<'_>, content_type: &[u8], input: &[u8]) -> Vec<Edit> {
        if at.depth > MAX_DEPTH {
            return self.found(at, input, true);
        }
        if let Some(coding) = Coding::sniff(input) {
            return self.packed(at.deeper(), coding, input);
        }
        if let Some((layer, start)) = utf16(content_type, input) {
            let decoded = layer.decode(&input[start..]);
            let edits = self.bytes(at.deeper(), content_type, &decoded.bytes);
            return shift(decoded.translate(edits, layer), start).collect();
        }
        if let Some(rest) = input.strip_prefix(b"\xef\xbb\xbf") {
            return shift(self.bytes(at, content_type, rest), 3).collect();
        }
        let first = input.iter().find(|byte| !byte.is_ascii_whitespace());
        let media = media(std::str::from_utf8(content_type).unwrap_or_default());
        let edits = match (media, first) {
            (Media::Form, _) => self.pairs(at, input),
            (Media::Multipart, _) => match multipart::parts(self, at, content_type, input) {
                Some(edits) => edits,
                None => self.value(at, input),
            },
            (Media::Protobuf, _) => match protobuf::message(self, at, input) {
                Some(edits) => edits,
                None => self.text(at, input),
            },
            (Media::Json, Some(_)) | (_, Some(b'{' | b'[')) => {
                let document = json::document(self, at, input);
                let mut edits = document.edits;
                if !document.clean {
                    edits.extend(self.value(at, input));
                }
                edits
            }
            (Media::Xml, _) | (_, Some(b'<')) => xml::document(self, at, input),
            _ => self.value(at, input),
        };
        settle(edits)
    }

    /// Packed bytes inside of something else, told by how they begin.
    fn packed(&mut self, at: At<'_>, coding: Coding, input: &[u8]) -> Vec<Edit> {
        let whole = |with, hits| vec![Edit { range: 0..input.len(), with, hits }];
        let decoded = coding::decode(coding, input, false);
        let affordable = decoded.as_ref().is_ok_and(|bytes| self.charge(at.depth, bytes.len()));
        let Some(bytes) = decoded.ok().filter(|_| affordable) else {
            return if self.engine.remove_undecodable {
                whole(Vec::new(), vec![category_id("UNDECODABLE")])
            } else {
                Vec::new()
            };
        };
        let edits = self.bytes(at, b"", &bytes);
        if edits.is_empty() {
            return edits;
        }
        // Should packing fail, nothing is left of it.
        let with = coding::encode(coding, &apply(&bytes, &edits)).unwrap_or_default();
        whole(with, hits(&edits))
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Media {
    Json,
    Form,
    Multipart,
    Xml,
    Grpc,
    Protobuf,
    Other,
}

fn media(content_type: &str) -> Media {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = media.rsplit(['/', '+']).next().unwrap_or_default();
    match kind {
        "json" | "x-ndjson" | "ndjson" | "jsonl" | "json-seq" => Media::Json,
        "x-www-form-urlencoded" => Media::Form,
        "xml" | "html" => Media::Xml,
        "grpc" => Media::Grpc,
        _ if media.starts_with("application/grpc") && !media.contains("-web-text") => Media::Grpc,
        "protobuf" | "x-protobuf" | "x-google-protobuf" | "proto" => Media::Protobuf,
        _ if media.starts_with("multipart/") => Media::Multipart,
        _ => Media::Other,
    }
}

/// UTF-16 by its mark, its name or its zeros; and where the text begins.
fn utf16(content_type: &[u8], input: &[u8]) -> Option<(Layer, usize)> {
    let little = |little| Layer::Utf16 { little };
    match input {
        [0xff, 0xfe, ..] => return Some((little(true), 2)),
        [0xfe, 0xff, ..] => return Some((little(false), 2)),
        _ => {}
    }
    if let Some(charset) = multipart::parameter(content_type, b"charset") {
        let charset = charset.to_ascii_lowercase();
        match charset.as_slice() {
            b"utf-16le" => return Some((little(true), 0)),
            b"utf-16" | b"utf-16be" => return Some((little(false), 0)),
            _ => {}
        }
    }
    // Text of mostly ASCII: every other byte is zero, and none of the rest.
    let head = input.get(..input.len().min(64) / 2 * 2)?;
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let most = head.len() / 2;
    if most < 4 {
        return None;
    }
    match (even, odd) {
        (0, odd) if odd * 4 >= most * 3 => Some((little(true), 0)),
        (even, 0) if even * 4 >= most * 3 => Some((little(false), 0)),
        _ => None,
    }
}
