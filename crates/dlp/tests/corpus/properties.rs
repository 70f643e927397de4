//! What holds for every body.

use proptest::prelude::*;
use weir_dlp::{Detector, Key, Pattern, PolicySource, Redactor};
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

/// Policies that have something to say of the same values.
fn policies() -> Vec<PolicySource> {
    let key = |scope: &str, name: &str| Key { scope: scope.to_owned(), name: name.to_owned() };
    let pattern =
        |name: &str, regex: &str| Pattern { name: name.to_owned(), regex: regex.to_owned() };
    let policy = |keys: &[Key], patterns: &[Pattern], detectors: &[Detector]| PolicySource {
        keys: keys.to_vec(),
        patterns: patterns.to_vec(),
        detectors: detectors.to_vec(),
        ..PolicySource::default()
    };
    vec![
        policy(&[key("all", super::KEY)], &[], &Detector::SENSITIVE),
        policy(
            &[key("http.req.body", "a"), key("http", "b")],
            &[pattern("word", "[a-f]{3,5}"), pattern("number", "[0-9]{4}")],
            &[],
        ),
        policy(&[], &[pattern("mixed", "[a-z0-9]{6}")], &Detector::ALL),
    ]
}

/// The same policy, said in another order.
fn turned(policy: &PolicySource, seed: u64) -> PolicySource {
    let mut policy = policy.clone();
    let by = |length: usize| usize::try_from(seed % (length.max(1) as u64)).unwrap();
    let (keys, patterns, detectors) =
        (policy.keys.len(), policy.patterns.len(), policy.detectors.len());
    policy.keys.rotate_left(by(keys));
    policy.patterns.rotate_left(by(patterns));
    policy.detectors.rotate_left(by(detectors));
    policy
}

fn one() -> Redactor {
    Redactor::compile(&policies()).unwrap()
}

fn by(redactor: &Redactor, record: &RrPair) -> RrPair {
    redactor.redact(Raw(record.clone())).unwrap().record.into_record()
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

}

proptest! {
    // Redactors are made anew for each case, which is what takes time.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was redacted before it, by the same redactor or by another thread's, and in
    /// whatever order its policies say the same.
    #[test]
    fn a_record_comes_out_the_same_in_any_order_and_on_any_thread(
        values in proptest::collection::vec((json(), 0..MEDIA.len()), 2..6),
        turn in 0_usize..6,
        policies in Just(policies()).prop_shuffle(),
        seed: u64,
    ) {
        let records: Vec<_> = values
            .iter()
            .map(|(value, media)| record(MEDIA[*media], value.to_string().as_bytes()))
            .collect();
        let alone: Vec<_> = records.iter().map(|record| by(&one(), record)).collect();
        let turned: Vec<_> = policies.iter().map(|policy| turned(policy, seed)).collect();
        let shuffled = Redactor::compile(&turned).unwrap();
        let of = |redactor: &Redactor, forwards: bool| {
            let mut order: Vec<_> = (0..records.len()).collect();
            order.rotate_left(turn % records.len());
            if !forwards {
                order.reverse();
            }
            let mut out: Vec<_> =
                order.into_iter().map(|place| (place, by(redactor, &records[place]))).collect();
            out.sort_by_key(|(place, _)| *place);
            out.into_iter().map(|(_, record)| record).collect::<Vec<_>>()
        };
        let shared = one();
        let all = std::thread::scope(|scope| {
            let threads = [(&shared, true), (&shared, false), (&shuffled, true), (&shuffled, false)]
                .map(|(redactor, forwards)| scope.spawn(move || of(redactor, forwards)));
            threads.map(|thread| thread.join().unwrap())
        });
        for there in all {
            prop_assert_eq!(&there, &alone);
        }
    }
}
