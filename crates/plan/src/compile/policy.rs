//! `DlpPolicy` → [`PolicyPlan`], and which policies hold for an object. What a policy covers
//! is not exported without it (DESIGN, decision 6).

use weir_api::v1alpha1::{
    Action, Detector, DlpPolicy, DlpPolicySpec, ObjectReference, Profile, SecretKeyReference,
    WhenUndecodable,
};
use weir_dlp::{Example, Key, Pattern, PolicySource, SecretKey};

use super::{ObjectKind, Objects, Outcome, Rejection, key_of, tenancy};
use crate::{ObjectKey, PolicyPlan, Selector};

/// Shortest key for keyed tokens: less can be tried out.
const SHORTEST_KEY_BYTES: usize = 16;

/// A policy, compiled or refused.
pub(super) struct Policy<'o> {
    pub(super) object: &'o DlpPolicy,
    pub(super) plan: Option<PolicyPlan>,
    pub(super) outcome: Outcome,
    /// Namespaces that the policy is a floor for, whatever else is wrong with it: a floor does
    /// not fall because of a mistake in it.
    floor: Option<Floor>,
}

/// `None` when its selector is none: such a floor covers everything.
struct Floor(Option<Selector>);

pub(super) fn compile(objects: &Objects) -> Vec<Policy<'_>> {
    objects.policies.iter().map(|policy| one(policy, objects)).collect()
}

fn one<'o>(policy: &'o DlpPolicy, objects: &Objects) -> Policy<'o> {
    let key = key_of(&policy.metadata);
    let enforce = policy.spec.enforce.as_ref();
    let may_enforce =
        objects.operator_namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace);
    let mut rejections = Vec::new();
    let mut floor = None;
    if let Some(enforce) = enforce {
        let selector = Selector::new(&enforce.namespace_selector);
        if !may_enforce {
            let operator_namespace = objects.operator_namespace.clone().unwrap_or_default();
            rejections.push(Rejection::EnforceNotPermitted { operator_namespace });
        }
        if let Err(source) = &selector {
            let field = "spec.enforce.namespaceSelector";
            rejections.push(Rejection::InvalidSelector { field, source: source.clone() });
        }
        floor = may_enforce.then(|| Floor(selector.ok()));
    }
    rejections.extend(tenancy::check(policy.spec.allowed_namespaces.as_ref()).err());
    let source = source(&key, &policy.spec, objects, &mut rejections);
    if rejections.is_empty()
        && let Err(source) = source.check()
    {
        rejections.push(Rejection::InvalidPolicy { source: Box::new(source) });
    }
    let plan = rejections.is_empty().then(|| PolicyPlan { key: key.clone(), source });
    let outcome = Outcome {
        kind: ObjectKind::DlpPolicy,
        key,
        planned: plan.is_some(),
        rejections,
        warnings: Vec::new(),
    };
    Policy { object: policy, plan, outcome, floor }
}

fn source(
    key: &ObjectKey,
    spec: &DlpPolicySpec,
    objects: &Objects,
    faults: &mut Vec<Rejection>,
) -> PolicySource {
    // Exhaustive on purpose: a new field must not compile until it is planned for.
    let DlpPolicySpec {
        detectors,
        patterns,
        keys,
        paths,
        profile,
        action,
        key_ref,
        when_undecodable,
        tests,
        enforce: _,
        allowed_namespaces: _,
    } = spec;
    let denies = *profile == Some(Profile::DenyByDefault);
    let listed = [detectors.len(), patterns.len(), keys.len(), paths.len()];
    if !denies && listed.iter().all(|length| *length == 0) {
        faults.push(Rejection::InvalidValue {
            field: "spec".to_owned(),
            fault: "nothing to redact: give detectors, patterns, keys or paths, or profile \
                    DenyByDefault",
        });
    }
    let keyed = *action == Some(Action::KeyedToken);
    if keyed != key_ref.is_some() {
        faults.push(Rejection::InvalidValue {
            field: "spec.keyRef".to_owned(),
            fault: "is required when action is KeyedToken, and allowed only then",
        });
    }
    let secret = key_ref.as_ref().and_then(|reference| {
        let read = secret_key(reference, &key.namespace, objects);
        super::value::keep(read, faults)
    });
    let scoped = |name: &String| Key { scope: "all".to_owned(), name: name.clone() };
    PolicySource {
        id: key.to_string(),
        detectors: detectors.iter().map(|detector| built_in(*detector)).collect(),
        patterns: patterns
            .iter()
            .map(|pattern| Pattern { name: pattern.name.clone(), regex: pattern.regex.clone() })
            .collect(),
        keys: keys.iter().map(scoped).collect(),
        paths: paths.clone(),
        // Of documents of the reference format alone.
        chains: Vec::new(),
        profile: if denies { weir_dlp::Profile::DenyByDefault } else { weir_dlp::Profile::Redact },
        action: match action {
            None | Some(Action::Token) => weir_dlp::Action::Token,
            Some(Action::KeyedToken) => weir_dlp::Action::KeyedToken,
            Some(Action::Mask) => weir_dlp::Action::Mask,
            Some(Action::Remove) => weir_dlp::Action::Remove,
        },
        secret,
        when_undecodable: match when_undecodable {
            None | Some(WhenUndecodable::RemoveBody) => weir_dlp::WhenUndecodable::RemoveBody,
            Some(WhenUndecodable::Keep) => weir_dlp::WhenUndecodable::Keep,
        },
        tests: tests
            .iter()
            .map(|test| Example { input: test.input.clone(), expect: test.expect.clone() })
            .collect(),
        report: true,
    }
}

fn secret_key(
    reference: &SecretKeyReference,
    namespace: &str,
    objects: &Objects,
) -> Result<SecretKey, Rejection> {
    let SecretKeyReference { name, key } = reference;
    let secret = ObjectKey { namespace: namespace.to_owned(), name: name.clone() };
    let (field, key) = ("spec.keyRef".to_owned(), key.clone());
    let Some(data) = objects.secrets.get(&secret) else {
        return Err(Rejection::SecretNotFound { field, secret });
    };
    match data.0.get(&key) {
        None => Err(Rejection::SecretKeyNotFound { field, secret, key }),
        Some(bytes) if bytes.len() < SHORTEST_KEY_BYTES => {
            let fault = "is shorter than 16 bytes";
            Err(Rejection::InvalidSecret { field, secret, key, fault })
        }
        Some(bytes) => Ok(SecretKey(bytes.clone())),
    }
}

const fn built_in(detector: Detector) -> weir_dlp::Detector {
    use weir_dlp::Detector as Built;
    match detector {
        Detector::BearerToken => Built::BearerToken,
        Detector::CloudCredential => Built::CloudCredential,
        Detector::Coordinates => Built::Coordinates,
        Detector::CreditCard => Built::CreditCard,
        Detector::DateTime => Built::DateTime,
        Detector::Email => Built::Email,
        Detector::Hash => Built::Hash,
        Detector::Iban => Built::Iban,
        Detector::IpAddress => Built::IpAddress,
        Detector::Jwt => Built::Jwt,
        Detector::PhoneNumber => Built::PhoneNumber,
        Detector::PrivateKey => Built::PrivateKey,
        Detector::Sql => Built::Sql,
        Detector::Ssn => Built::Ssn,
        Detector::TraceId => Built::TraceId,
        Detector::Url => Built::Url,
        Detector::UrlCredential => Built::UrlCredential,
        Detector::Uuid => Built::Uuid,
    }
}

/// The policies that hold for an object of `namespace` that names `references`: floors first.
/// A fault means that the object must not export.
pub(super) fn resolve(
    references: &[ObjectReference],
    namespace: &str,
    objects: &Objects,
    policies: &[Policy<'_>],
) -> (Vec<ObjectKey>, Vec<Rejection>) {
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    let labels = tenancy::labels(namespace, objects);
    for policy in policies {
        let Some(Floor(selector)) = &policy.floor else { continue };
        if selector.as_ref().is_some_and(|selector| !selector.matches(&labels)) {
            continue;
        }
        let key = policy.outcome.key.clone();
        match policy.plan {
            Some(_) => keys.push(key),
            None => faults.push(Rejection::EnforcedPolicyNotAccepted { target: key }),
        }
    }
    keys.sort();
    for (index, reference) in references.iter().enumerate() {
        let field = format!("spec.dlpPolicies[{index}]");
        let target = tenancy::target(reference, namespace);
        let kind = ObjectKind::DlpPolicy;
        let policy = policies.iter().find(|policy| policy.outcome.key == target);
        let permitted = policy.is_some_and(|policy| {
            let allowed = policy.object.spec.allowed_namespaces.as_ref();
            tenancy::permits(allowed, &target.namespace, namespace, objects)
        });
        match policy {
            Some(policy) if permitted && policy.plan.is_some() => {
                if !keys.contains(&target) {
                    keys.push(target);
                }
            }
            Some(_) if permitted => faults.push(Rejection::RefNotAccepted { field, kind, target }),
            _ => faults.push(tenancy::unusable(field, kind, target, namespace)),
        }
    }
    (keys, faults)
}
