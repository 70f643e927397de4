//! Secrets of every kind, planted at every place in every encoding: none comes out, and nothing
//! else changes.

#[cfg(test)]
mod corpus {
    mod encodings;
    mod kinds;
    mod places;
    mod properties;
    mod sink;

    use std::sync::LazyLock;

    use weir_dlp::{Detector, Key, PolicySource, Redactor};

    /// Names whose values are redacted.
    pub(crate) const KEY: &str = "api_secret";

    /// Detects all that is sensitive, and knows one name.
    pub(crate) fn redactor() -> &'static Redactor {
        &REDACTOR
    }

    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
        let key = |name: &str| Key { scope: "all".to_owned(), name: name.to_owned() };
        let policy = PolicySource {
            id: "corpus".to_owned(),
            detectors: Detector::SENSITIVE.to_vec(),
            keys: vec![key(KEY), key("Authorization"), key("X-Api-Secret")],
            ..PolicySource::default()
        };
        Redactor::compile(&[policy]).unwrap()
    });
}
