//! Names of files and directories (contract §4.3), made from what a peer sent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Where pairs without a host go: everything but HTTP.
const UNKNOWN: &str = "unknown-host";
/// Longest name of a directory: file systems stop at 255 bytes.
const LONGEST: usize = 200;

/// The directory of a pair: its host with every character outside `[A-Za-z0-9._-]` replaced
/// by `_`.
///
/// Never a path of more than one step: `.` and `..` become underscores, and a name longer
/// than a file system takes is cut and made unique by a hash.
pub fn host_directory(body: &Map<String, Value>) -> String {
    let host = body.get("http").and_then(|http| http.pointer("/req/host")).and_then(Value::as_str);
    let Some(host) = host.filter(|host| !host.is_empty()) else { return UNKNOWN.to_owned() };
    let name: String = host.chars().map(|char| if is_kept(char) { char } else { '_' }).collect();
    if name.bytes().all(|byte| byte == b'.') && name.len() <= 2 {
        return "_".repeat(name.len());
    }
    if name.len() <= LONGEST {
        return name;
    }
    let digest: [u8; 32] = Sha256::digest(host.as_bytes()).into();
    let hash = digest.first_chunk().copied().map(u64::from_be_bytes).unwrap_or_default();
    let hash = format!("{hash:016x}");
    let start: String = name.chars().take(LONGEST - 1 - hash.len()).collect();
    format!("{start}-{hash}")
}

fn is_kept(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-')
}

/// The pair's own id; `None` when it has none of 16 bytes.
pub fn file_uuid(body: &Map<String, Value>) -> Option<Uuid> {
    let bytes = STANDARD.decode(body.get("uuid")?.as_str()?).ok()?;
    Uuid::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn directory(host: &str) -> String {
        let body = json!({ "http": { "req": { "host": host } } });
        host_directory(body.as_object().unwrap())
    }

    #[test]
    fn a_port_is_kept_readable() {
        assert_eq!(directory("a:8080"), "a_8080");
        assert_eq!(directory("pay.example.net"), "pay.example.net");
    }

    #[test]
    fn no_host_is_the_unknown_host() {
        assert_eq!(directory(""), UNKNOWN);
        assert_eq!(host_directory(&Map::new()), UNKNOWN);
        assert_eq!(host_directory(json!({ "http": 1 }).as_object().unwrap()), UNKNOWN);
    }

    #[test]
    fn a_way_up_is_no_way_up() {
        assert_eq!(directory(".."), "__");
        assert_eq!(directory("."), "_");
        assert_eq!(directory("../../etc"), ".._.._etc");
        assert_eq!(directory("/etc/passwd"), "_etc_passwd");
    }

    #[test]
    fn two_long_hosts_that_differ_at_the_end_stay_apart() {
        let (a, b) = ("a".repeat(300), format!("{}b", "a".repeat(299)));
        assert_ne!(directory(&a), directory(&b));
        assert_eq!(directory(&a).len(), LONGEST);
    }

    #[test]
    fn a_uuid_is_sixteen_bytes_or_none() {
        let of = |uuid: Value| file_uuid(json!({ "uuid": uuid }).as_object().unwrap());
        let text = of("PB9dbopBSg+fDhtqLz5NAQ==".into()).map(|uuid| uuid.to_string());
        assert_eq!(text.as_deref(), Some("3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01"));
        assert_eq!(of("AAAA".into()), None);
        assert_eq!(of("not base64".into()), None);
        assert_eq!(of(7.into()), None);
    }

    proptest! {
        #[test]
        fn a_host_directory_is_one_ordinary_step(host in any::<String>()) {
            use std::path::{Component, Path};
            let name = directory(&host);
            let steps: Vec<_> = Path::new(&name).components().collect();
            prop_assert!(matches!(steps.as_slice(), [Component::Normal(step)] if **step == *name));
            prop_assert!(name.len() <= LONGEST && name.chars().all(is_kept));
        }
    }
}
