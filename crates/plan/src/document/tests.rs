use proptest::prelude::*;

use super::*;
use crate::{compile, manifest};

fn plan() -> Plan {
    let text = include_str!("../../tests/cases/full.yaml");
    let file = manifest::File { name: "case", text };
    let plan = compile(&manifest::read(&[file], "shop").unwrap().objects).plan;
    assert!(!plan.captures.is_empty() && !plan.exporters.is_empty());
    plan
}

fn gzip(json: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
    gzip.write_all(json).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn a_document_survives_its_bytes_and_equal_plans_have_equal_ones() {
    let document = PlanDocument::new(plan());
    let bytes = document.encode();
    assert_eq!(PlanDocument::decode(&bytes).unwrap(), document);
    assert_eq!(PlanDocument::new(plan()).encode(), bytes);
    assert_eq!(document.revision().len(), 64);
}

#[test]
fn another_plan_has_another_revision() {
    let mut other = plan();
    other.captures[0].max_body_bytes += 1;
    assert_ne!(PlanDocument::new(other).revision(), PlanDocument::new(plan()).revision());
}

#[test]
fn a_later_version_is_named_whatever_else_it_holds() {
    let error = PlanDocument::decode(&gzip(br#"{"version":3,"revision":7}"#)).unwrap_err();
    assert_eq!(error.to_string(), "the plan document has version 3; this program reads version 2");
}

#[test]
fn a_plan_that_was_edited_in_place_is_refused() {
    let document = PlanDocument::new(plan());
    let json = serde_json::to_string(&Written {
        version: VERSION,
        revision: document.revision(),
        plan: document.plan(),
    })
    .unwrap();
    let edited = json.replace("\"suspended\":true", "\"suspended\":false");
    assert!(json != edited);
    let error = PlanDocument::decode(&gzip(edited.as_bytes())).unwrap_err();
    assert!(matches!(error, DecodePlan::Revision), "{error}");
}

#[test]
fn no_error_repeats_what_the_document_says() {
    for json in [r#"{"version":2,"plan":"canary"}"#, r"canary{"] {
        let error = PlanDocument::decode(&gzip(json.as_bytes())).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn a_bomb_is_given_up() {
    let bomb = gzip(&vec![b' '; usize::try_from(MAX_JSON_BYTES).unwrap() + 2]);
    assert!(bomb.len() < MAX_DOCUMENT_BYTES);
    assert!(matches!(PlanDocument::decode(&bomb), Err(DecodePlan::TooLarge)));
}

proptest! {
    #[test]
    fn any_bytes_and_any_cut_are_refused_without_a_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
    ) {
        prop_assert!(PlanDocument::decode(&noise).is_err());
        let bytes = PlanDocument::new(Plan::default()).encode();
        prop_assert!(PlanDocument::decode(&bytes[..cut.index(bytes.len())]).is_err());
    }
}
