//! What an outsider finds in what comes out.

use std::io::Read as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use weir_rrpair::{Raw, json as documents};

use super::redactor;

const fn lenient(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

const LENIENT: GeneralPurpose = lenient(&alphabet::STANDARD);
const LENIENT_URL: GeneralPurpose = lenient(&alphabet::URL_SAFE);

/// The document after redaction.
pub(crate) fn redacted(document: &Value) -> Value {
    let record = documents::from_slice(document.to_string().as_bytes()).unwrap();
    let outcome = redactor().redact(Raw(record)).unwrap();
    Value::Object(documents::to_map(outcome.record.record()))
}

/// Where the secret is in the document: in any string or name, as it is, in base64, packed,
/// with percent signs, in UTF-16, and all that again inside of each other.
pub(crate) fn leaks(document: &Value, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(document, "", &mut |path, text| {
        if shows(text.as_bytes(), secret.as_bytes(), 4) {
            found.push(path.to_owned());
        }
    });
    found
}

pub(crate) fn holds(document: &Value, secret: &str) -> bool {
    !leaks(document, secret).is_empty()
}

fn walk(value: &Value, path: &str, see: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(path, text),
        Value::Array(values) => values.iter().for_each(|value| walk(value, path, see)),
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}/{name}");
                see(&path, name);
                walk(value, &path, see);
            }
        }
        _ => see(path, &value.to_string()),
    }
}

fn has(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|part| part == secret)
}

fn shows(bytes: &[u8], secret: &[u8], depth: usize) -> bool {
    if has(bytes, secret) || has(&unescape(bytes), secret) {
        return true;
    }
    let wide: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    if wide.len() < bytes.len() && has(&wide, secret) {
        return true;
    }
    if depth == 0 {
        return false;
    }
    let mut inner = unpacked(bytes);
    // Packed bytes may begin anywhere.
    for at in 1..bytes.len().saturating_sub(8) {
        if bytes[at..].starts_with(&[0x1f, 0x8b, 8]) {
            inner.extend(unpacked(&bytes[at..]));
        }
    }
    let unfolded: Vec<u8> =
        bytes.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    for text in [bytes, &unfolded] {
        inner.extend(decoded(text));
    }
    inner.into_iter().any(|inner| shows(&inner, secret, depth - 1))
}

/// What the runs of base64 stand for.
fn decoded(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let runs = bytes.split(|byte| !(byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)));
    runs.filter(|run| run.len() >= 4).flat_map(|run| {
        // Wherever a run was begun to be read, one of four starts is right.
        (0..4).filter_map(|skip| {
            let run = run.get(skip..)?;
            let rest = if run.len() % 4 > 1 { run.len() % 4 } else { 0 };
            let run = &run[..run.len() / 4 * 4 + rest];
            LENIENT.decode(run).or_else(|_| LENIENT_URL.decode(run)).ok()
        })
    })
}

fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut read = |from: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        // Broken packing gives what comes before the break.
        let result = from.take(1 << 24).read_to_end(&mut bytes);
        drop(result);
        if !bytes.is_empty() {
            out.push(bytes);
        }
    };
    match bytes {
        [0x1f, 0x8b, ..] => read(&mut flate2::read::MultiGzDecoder::new(bytes)),
        [0x78, ..] => read(&mut flate2::read::ZlibDecoder::new(bytes)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            read(&mut zstd::stream::read::Decoder::with_buffer(bytes).unwrap());
        }
        _ => {
            if bytes.len() < 4096 && std::str::from_utf8(bytes).is_err() {
                read(&mut brotli::Decompressor::new(bytes, 4096));
            }
        }
    }
    out
}

/// Percent signs, backslashes and character references, all at once.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    let mut rest: &str = &text;
    while let Some(first) = rest.chars().next() {
        let code = |from: usize, to: usize| {
            let digits = rest.get(from..to)?;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        };
        let (character, length) = match first {
            '%' => code(1, 3).map_or((first, 1), |character| (character, 3)),
            '\\' if rest.starts_with("\\u") => {
                code(2, 6).map_or((first, 1), |character| (character, 6))
            }
            '&' if rest.starts_with("&#x") => {
                let end = rest.find(';').unwrap_or(0);
                code(3, end).map_or((first, 1), |character| (character, end + 1))
            }
            _ => (first, first.len_utf8()),
        };
        out.push(character);
        rest = rest.get(length..).unwrap_or_default();
    }
    out.into_bytes()
}
