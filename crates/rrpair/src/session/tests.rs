use proptest::prelude::*;

use super::of;
use crate::fields::Body;
use crate::model::{Http, HttpResponse};
use crate::{golden, json};

fn session(authorization: Option<&str>, response: &[u8]) -> Option<String> {
    let mut http = Http::default();
    if let Some(authorization) = authorization {
        http.req.headers.push("Authorization", authorization);
    }
    http.res = Some(HttpResponse { body: Body(response.to_vec()), ..HttpResponse::default() });
    of(&http)
}

#[test]
fn golden_sessions_are_found() {
    for document in golden::documents() {
        let record = json::from_slice(document.as_bytes()).unwrap();
        if let Some(http) = &record.http {
            assert!(of(http) == record.session);
        }
    }
}

#[test]
fn the_scheme_is_left_out() {
    for (authorization, expect) in [
        ("Bearer abc", Some("abc")),
        ("bearer  abc ", Some("abc")),
        ("Bearer ", None),
        ("Basic dXNlcjpwYXNz", None),
        ("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln", Some("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln")),
        ("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", Some("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.")),
        ("opaque", None),
        ("", None),
    ] {
        assert_eq!(session(Some(authorization), b"").as_deref(), expect, "{authorization}");
    }
}

#[test]
fn a_login_response_names_the_session() {
    assert_eq!(session(None, b" {\"a\": [1], \"access_token\": \"t\"}").as_deref(), Some("t"));
    assert_eq!(session(Some("Bearer x"), b"{\"access_token\":\"t\"}").as_deref(), Some("x"));
    assert_eq!(session(Some("Basic x"), b"{\"access_token\":\"t\"}").as_deref(), Some("t"));
    for body in [
        b"{\"access_token\": 1}".as_slice(),
        b"{\"access_token\": \"\"}",
        b"{\"nested\": {\"access_token\": \"t\"}}",
        b"[\"access_token\"]",
        b"{\"access_token\": \"t\"",
        b"",
    ] {
        assert_eq!(session(None, body), None);
    }
}

proptest! {
    #[test]
    fn any_header_and_body_are_taken(authorization: String, body: Vec<u8>) {
        if let Some(session) = session(Some(&authorization), &body) {
            prop_assert!(authorization.contains(&session));
        }
    }
}
