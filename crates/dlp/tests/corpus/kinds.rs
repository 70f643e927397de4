//! What is planted.

use sha2::{Digest as _, Sha256};

/// A secret, and how its token begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) secret: &'static str,
    pub(crate) category: &'static str,
    /// Found only under a name.
    pub(crate) by_name: bool,
}

const fn found(category: &'static str, secret: &'static str) -> Kind {
    Kind { secret, category, by_name: false }
}

pub(crate) const KINDS: [Kind; 16] = [
    Kind { secret: "hunter2-opensesame", category: "UNRECOGNIZED", by_name: true },
    Kind { secret: "p4ss", category: "UNRECOGNIZED", by_name: true },
    found("CREDIT_CARD", "4111111111111111"),
    found("CREDIT_CARD", "3782-822463-10005"),
    found("SSN", "078-05-1120"),
    found("EMAIL", "jane.doe@mail.example.com"),
    found("IBAN", "DE89370400440532013000"),
    found("E164_PHONE_NUMBER", "+14155552671"),
    found("JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw"),
    found("CLOUD_CREDENTIAL", "AKIAIOSFODNN7EXAMPLE"),
    found("CLOUD_CREDENTIAL", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    found("CLOUD_CREDENTIAL", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
    found("CLOUD_CREDENTIAL", "glpat-zYxWvUtSrQpOnMlKjIhG1"),
    found("CLOUD_CREDENTIAL", "AIzaSyD4iE2xVSpkLLOXoyqT2XKzhLAbCdE5fGh"),
    found("CLOUD_CREDENTIAL", "xoxb-123456789012-abcdefghijklmnop"),
    found(
        "PRIVATE_KEY",
        "-----BEGIN PRIVATE KEY----- MIIEvQIBADANBgkqhkiG -----END PRIVATE KEY-----",
    ),
];

impl Kind {
    /// What stands in its place (contract §3.4).
    pub(crate) fn token(&self) -> String {
        let digest = Sha256::digest(self.secret);
        let hex: Vec<_> = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        format!("REDACTED-{}-{hex}", self.category)
    }
}
