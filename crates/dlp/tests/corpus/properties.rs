//! What holds for every body.

use proptest::prelude::*;
use weir_rrpair::{Body, Fields, Http, HttpRequest, Raw, RrPair};

use super::kinds::KINDS;
use super::redactor;

fn record(content_type: &str, body: &[u8]) -> RrPair {
    let mut headers = Fields::default();
    headers.push("Content-Type", content_type);
    headers.push("Content-Length", body.len().to_string());
    let req = HttpRequest { headers, body: Body(body.to_vec()), ..HttpRequest::default() };
    RrPair { http: Some(Http { req, ..Http::default() }), ..RrPair::default() }
}

fn redact(record: RrPair) -> RrPair {
    redactor().redact(Raw(record)).unwrap().record.into_record()
}

/// JSON values with secrets among them, and strings with signs of all encodings.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let secret = (0..KINDS.len()).prop_map(|kind| KINDS[kind].secret.into());
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,24}".prop_map(Into::into),
        "[%&;=\"\\\\{}<>a-z0-9@. ]{0,40}".prop_map(Into::into),
        secret,
    ];
    let name = prop_oneof![Just("api_secret".to_owned()), "[a-z\"\\\\]{0,6}", "\\PC{0,6}"];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((name.clone(), inner.clone()), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            inner.prop_map(|value| value.to_string().into()),
        ]
    })
}

const MEDIA: [&str; 7] = [
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/xml",
    "multipart/form-data; boundary=b",
    "application/grpc",
    "application/x-protobuf",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn json_stays_valid_lengths_are_right_and_a_second_time_changes_nothing(value in json()) {
        let once = redact(record("application/json", value.to_string().as_bytes()));
        let request = &once.http.as_ref().unwrap().req;
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&request.body.0).is_ok());
        let length = request.body.0.len().to_string();
        prop_assert_eq!(request.headers.first("Content-Length"), Some(length.as_str()));
        let twice = redact(once.clone());
        prop_assert_eq!(twice.http, once.http);
    }

    #[test]
    fn any_bytes_of_any_media_type_pass(body: Vec<u8>, media in 0..MEDIA.len()) {
        let once = redact(record(MEDIA[media], &body));
        let twice = redact(once.clone());
        prop_assert_eq!(twice.http, once.http);
    }

    #[test]
    fn text_full_of_signs_passes(
        body in "([%&;=\"'\\\\{}\\[\\]<>/:@.,()A-F0-9\n -]|api_secret|eyJ|://|VALUES|--b\r\n){0,60}",
        media in 0..MEDIA.len(),
    ) {
        let once = redact(record(MEDIA[media], body.as_bytes()));
        let twice = redact(once.clone());
        prop_assert_eq!(twice.http, once.http);
    }

    #[test]
    fn every_thread_gives_the_same(value in json()) {
        let document = record("application/json", value.to_string().as_bytes());
        let of = |record: RrPair| redactor().redact(Raw(record)).unwrap().record.into_record();
        let here = of(document.clone());
        std::thread::scope(|scope| {
            let there: Vec<_> = (0..2).map(|_| scope.spawn(|| of(document.clone()))).collect();
            for thread in there {
                assert_eq!(thread.join().unwrap(), here);
            }
        });
    }
}
