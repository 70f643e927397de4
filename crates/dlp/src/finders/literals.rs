//! Kinds that are found by a literal they begin with or hold.

use std::ops::Range;

use super::{cloud, network, tokens};
use crate::policy::Detector;

/// Text that calls for a look by its detector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal {
    pub(super) text: &'static str,
    pub(super) detector: Detector,
}

const fn of(detector: Detector, text: &'static str) -> Literal {
    Literal { text, detector }
}

/// Searched without case; the checks look at it where it matters.
pub(super) const LITERALS: [Literal; 46] = [
    of(Detector::Email, "@"),
    of(Detector::Jwt, "eyJ"),
    of(Detector::PrivateKey, "-----BEGIN "),
    of(Detector::UrlCredential, "://"),
    of(Detector::Url, "://"),
    of(Detector::BearerToken, "bearer "),
    of(Detector::BearerToken, "basic "),
    of(Detector::Sql, "select "),
    of(Detector::Sql, "insert into "),
    of(Detector::Sql, "update "),
    of(Detector::Sql, "delete from "),
    of(Detector::CloudCredential, "AKIA"),
    of(Detector::CloudCredential, "ASIA"),
    of(Detector::CloudCredential, "ghp_"),
    of(Detector::CloudCredential, "gho_"),
    of(Detector::CloudCredential, "ghu_"),
    of(Detector::CloudCredential, "ghs_"),
    of(Detector::CloudCredential, "ghr_"),
    of(Detector::CloudCredential, "github_pat_"),
    of(Detector::CloudCredential, "glpat-"),
    of(Detector::CloudCredential, "xoxb-"),
    of(Detector::CloudCredential, "xoxp-"),
    of(Detector::CloudCredential, "xoxa-"),
    of(Detector::CloudCredential, "xoxr-"),
    of(Detector::CloudCredential, "xoxs-"),
    of(Detector::CloudCredential, "xapp-"),
    of(Detector::CloudCredential, "hooks.slack.com/services/"),
    of(Detector::CloudCredential, "sk_live_"),
    of(Detector::CloudCredential, "sk_test_"),
    of(Detector::CloudCredential, "rk_live_"),
    of(Detector::CloudCredential, "whsec_"),
    of(Detector::CloudCredential, "AIza"),
    of(Detector::CloudCredential, "ya29."),
    of(Detector::CloudCredential, "GOCSPX-"),
    of(Detector::CloudCredential, "SG."),
    of(Detector::CloudCredential, "sk-"),
    of(Detector::CloudCredential, "npm_"),
    of(Detector::CloudCredential, "pypi-"),
    of(Detector::CloudCredential, "dop_v1_"),
    of(Detector::CloudCredential, "hf_"),
    of(Detector::CloudCredential, "hvs."),
    of(Detector::CloudCredential, "AccountKey="),
    of(Detector::CloudCredential, "SharedAccessKey="),
    of(Detector::CloudCredential, "aws_secret_access_key"),
    of(Detector::CloudCredential, "secretAccessKey"),
    of(Detector::CloudCredential, "shpat_"),
];

/// The value that the literal at `at` belongs to. `limit` may be raised: literals of the same
/// detector before it are not looked at.
pub(super) fn check(
    text: &[u8],
    at: usize,
    literal: Literal,
    limit: &mut usize,
) -> Option<(Range<usize>, &'static str)> {
    match literal.detector {
        Detector::Email => network::email(text, at).map(|range| (range, "EMAIL")),
        Detector::UrlCredential => {
            network::url_credential(text, at).map(|range| (range, "URL_CREDENTIAL"))
        }
        Detector::Url => network::url(text, at),
        Detector::Jwt => tokens::jwt(text, at, limit).map(|range| (range, "JWT")),
        Detector::PrivateKey => tokens::private_key(text, at).map(|range| (range, "PRIVATE_KEY")),
        Detector::BearerToken => {
            tokens::bearer(text, at, literal.text).map(|range| (range, "BEARER_TOKEN"))
        }
        Detector::Sql => tokens::sql(text, at, literal.text, limit).map(|range| (range, "SQL")),
        Detector::CloudCredential => {
            cloud::credential(text, at, literal.text).map(|range| (range, "CLOUD_CREDENTIAL"))
        }
        _ => None,
    }
}
