use super::*;

fn all() -> Finders {
    Finders::new([Some(0); Detector::ALL.len()])
}

fn found(text: &str) -> Vec<(&str, &'static str)> {
    let mut found = Vec::new();
    all().find(text.as_bytes(), Signs::of(text.as_bytes()), &mut found);
    found.sort_by_key(|found| (found.range.start, found.range.end));
    found.into_iter().map(|f| (text.get(f.range).unwrap(), f.category)).collect()
}

#[track_caller]
fn is(category: &str, value: &str) {
    for text in
        [value.to_owned(), format!("a {value} b"), format!("\"{value}\","), format!("({value})")]
    {
        let found = found(&text);
        assert!(found.contains(&(value, leak(category))), "{category} in {text:?}: {found:?}");
    }
}

#[track_caller]
fn is_not(category: &str, text: &str) {
    let found = found(text);
    assert!(!found.iter().any(|(_, kind)| *kind == category), "{text:?}: {found:?}");
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[test]
fn cards_pass_luhn_and_belong_to_an_issuer() {
    for card in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4000-0000-0000-0002",
        "378282246310005",
        "3782 822463 10005",
        "5555555555554444",
        "2223003122003222",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
    ] {
        is("CREDIT_CARD", card);
    }
    for text in [
        "4111111111111112",
        "0000000000000000",
        "1693564530000",
        "41111111111111111111111",
        "0.4111111111111111",
        "4111111111111111.5",
        "x4111111111111111",
        "4111 1111-1111 1111",
        "9999999999999995",
    ] {
        is_not("CREDIT_CARD", text);
    }
    // A code of three digits after the card is none of it.
    assert!(found("4111 1111 1111 1111 123").contains(&("4111 1111 1111 1111", "CREDIT_CARD")));
}

#[test]
fn social_security_numbers_are_of_the_ranges_given_out() {
    is("SSN", "078-05-1120");
    is("SSN", "219 09 9999");
    for text in ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000"] {
        is_not("SSN", text);
    }
    is_not("SSN", "1078-05-1120");
    is_not("SSN", "078-05-11201");
    is_not("SSN", "078-05 1120");
}

#[test]
fn ibans_have_their_countrys_length_and_a_checksum() {
    is("IBAN", "DE89370400440532013000");
    is("IBAN", "DE89 3704 0044 0532 0130 00");
    is("IBAN", "GB82WEST12345698765432");
    is("IBAN", "NO9386011117947");
    is_not("IBAN", "DE89370400440532013001");
    is_not("IBAN", "DE8937040044053201300");
    is_not("IBAN", "XX89370400440532013000");
}

#[test]
fn phone_numbers_are_international_or_have_separators() {
    is("E164_PHONE_NUMBER", "+49 30 901820");
    is("E164_PHONE_NUMBER", "+14155552671");
    is("E164_PHONE_NUMBER", "415-555-2671");
    assert!(found("call (415) 555-2671 now").contains(&("(415) 555-2671", "E164_PHONE_NUMBER")));
    is_not("E164_PHONE_NUMBER", "4155552671");
    is_not("E164_PHONE_NUMBER", "+1234567");
    is_not("E164_PHONE_NUMBER", "1+14155552671");
    is_not("E164_PHONE_NUMBER", "115-555-2671");
}

#[test]
fn mail_addresses_have_a_domain() {
    is("EMAIL", "jane.doe+tag@mail.example.com");
    is("EMAIL", "a@b.io");
    assert!(found("mail <x@y.example.>.").contains(&("x@y.example", "EMAIL")));
    for text in ["a@b", "@b.com", "a@.com", "a@b.1", "a @b.com", "name=@x.io"] {
        is_not("EMAIL", text);
    }
}

#[test]
fn addresses_are_of_both_families() {
    is("IP4", "10.0.12.255");
    is_not("IP4", "10.0.12.256");
    is_not("IP4", "1.2.3.4.5");
    is_not("IP4", "1.2.3");
    is("IP6", "2001:db8::1");
    is("IP6", "::1");
    is("IP6", "fe80::dead:beef");
    is("IP6", "2001:db8:0:0:0:0:2:1");
    is_not("IP6", "12:34:56");
    is_not("IP6", "a::b::c");
    is_not("IP6", "std::fmt");
}

#[test]
fn tokens_and_keys_are_known_by_their_shape() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
    is("JWT", jwt);
    is("JWT", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.");
    is_not("JWT", "eyJhbGciOiJIUzI1NiJ9 only");
    is_not("JWT", "eyJ!.a.b");
    is_not("JWT", "eyJaaaaaaaaaaaaaa.bbbb.cccc");
    is("CLOUD_CREDENTIAL", "AKIAIOSFODNN7EXAMPLE");
    is("CLOUD_CREDENTIAL", "ghp_16C7e42F292c6912E7710c838347Ae178B4a");
    is("CLOUD_CREDENTIAL", "xoxb-123456789012-abcdefghijkl");
    is_not("CLOUD_CREDENTIAL", "AKIAIOSFODNN7EXAMPL");
    is_not("CLOUD_CREDENTIAL", "akiaiosfodnn7example");
    is_not("CLOUD_CREDENTIAL", "task-management-of-everything");
    let text = "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    assert!(
        found(text).contains(&("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "CLOUD_CREDENTIAL"))
    );
    assert!(found("curl -H Bearer abc123def.").contains(&("abc123def", "BEARER_TOKEN")));
    assert!(found("Basic dXNlcjpwYXNz x").contains(&("dXNlcjpwYXNz", "BEARER_TOKEN")));
    is_not("BEARER_TOKEN", "the bearer of this letter");
    is_not("BEARER_TOKEN", "Basic knowledge of");
}

#[test]
fn private_keys_go_to_their_last_line_or_to_the_end() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
    is("PRIVATE_KEY", key);
    is_not("PRIVATE_KEY", "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----");
    let cut = "x -----BEGIN PRIVATE KEY-----\\nMIIE";
    assert_eq!(found(cut), [(cut.get(2..).unwrap(), "PRIVATE_KEY")]);
}

#[test]
fn a_password_in_a_url_is_no_mail_address() {
    let text = "postgres://app:s3cr3t@db.example.com:5432/x";
    let found = found(text);
    assert!(found.contains(&("s3cr3t", "URL_CREDENTIAL")), "{found:?}");
    assert!(found.contains(&(text, "URL")));
    assert!(!found.iter().any(|(_, kind)| *kind == "EMAIL"));
    is_not("URL_CREDENTIAL", "http://example.com/a@b");
}

#[test]
fn the_rest_of_the_contracts_categories() {
    is("UUID4", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d");
    is_not("UUID4", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6dff");
    is("MD5", "d41d8cd98f00b204e9800998ecf8427e");
    is("SHA256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    is("TRACE_ID", "4bf92f3577b34da6a3ce929d0e0e4736");
    is("SPAN_ID", "00f067aa0ba902b7");
    is("DATETIME", "2026-09-01T10:15:30.000250417Z");
    is("DATETIME", "2026-09-01");
    is_not("DATETIME", "2026-13-01");
    assert!(found("at 52.52000, 13.40495.").contains(&("52.52000", "LATITUDE")));
    assert!(found("at 52.52000, -13.40495").contains(&("-13.40495", "LONGITUDE")));
    let statement = "SELECT a FROM b WHERE c = 1";
    assert!(found(&format!("x {statement}; y")).contains(&(statement, "SQL")));
    is_not("SQL", "select one of these");
    is("HTTP_URL", "https://example.com/a?b=c");
}

#[test]
fn a_whole_value_has_the_most_telling_category() {
    let of = |value: &str| category(value.as_bytes());
    assert_eq!(of("4000-0000-0000-0002"), Some("CREDIT_CARD"));
    assert_eq!(of(" jane@example.com "), Some("EMAIL"));
    assert_eq!(of("test-token-1"), None);
    assert_eq!(of("card 4000-0000-0000-0002"), None);
    assert_eq!(of("4bf92f3577b34da6a3ce929d0e0e4736"), Some("TRACE_ID"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_searched_and_ranges_are_inside(text: Vec<u8>) {
        let mut found = Vec::new();
        all().find(&text, Signs::of(&text), &mut found);
        for found in found {
            proptest::prop_assert!(found.range.start < found.range.end);
            proptest::prop_assert!(found.range.end <= text.len());
        }
    }

    #[test]
    fn text_of_the_finders_own_letters_is_searched(text in "[ a-f0-9@:/.eyJ+=\\-(),A-K]{0,200}") {
        let mut found = Vec::new();
        all().find(text.as_bytes(), Signs::of(text.as_bytes()), &mut found);
        proptest::prop_assert!(found.iter().all(|found| found.range.end <= text.len()));
    }
}
