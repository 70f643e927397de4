//! Who acts in a pair: `session` of the record (contract §1.1). Sensitive.

#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::model::{Http, HttpResponse};

/// Token or JWT of the `Authorization` field, without its scheme; else the `access_token` of
/// a JSON response, as after a login. Other schemes name no session.
pub fn of(http: &Http) -> Option<String> {
    match http.req.headers.first("Authorization").and_then(token) {
        Some(token) => Some(token.to_owned()),
        None => http.res.as_ref().and_then(access_token),
    }
}

fn token(authorization: &str) -> Option<&str> {
    let authorization = authorization.trim();
    match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => Some(token.trim_start()),
        Some(_) => None,
        None => is_jwt(authorization).then_some(authorization),
    }
    .filter(|token| !token.is_empty())
}

/// Three base64url parts, the first of which is a JSON object (RFC 7519).
fn is_jwt(text: &str) -> bool {
    let url_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.starts_with("eyJ")
        && text.split('.').count() == 3
        && text.split('.').take(2).all(|part| !part.is_empty())
        && text.bytes().all(|byte| byte == b'.' || url_safe(byte))
}

fn access_token(response: &HttpResponse) -> Option<String> {
    #[derive(Deserialize)]
    struct Login {
        access_token: String,
    }
    const NAME: &[u8] = b"\"access_token\"";

    let body = response.body.0.as_slice();
    // Nearly every response ends here; a content coding never starts with a brace.
    if body.trim_ascii_start().first() != Some(&b'{') || memchr::memmem::find(body, NAME).is_none()
    {
        return None;
    }
    let login: Login = serde_json::from_slice(body).ok()?;
    Some(login.access_token).filter(|token| !token.is_empty())
}
