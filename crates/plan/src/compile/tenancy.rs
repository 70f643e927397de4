//! Who may refer to whom.

use std::collections::BTreeMap;

use weir_api::v1alpha1::{AllowedNamespaces, NamespaceScope, ObjectReference};

use super::{ObjectKind, Objects, Rejection};
use crate::{ObjectKey, Selector};

/// Label that the API server puts on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The object that a reference in `namespace` names.
pub(super) fn target(reference: &ObjectReference, namespace: &str) -> ObjectKey {
    let ObjectReference { name, namespace: other } = reference;
    ObjectKey {
        namespace: other.clone().unwrap_or_else(|| namespace.to_owned()),
        name: name.clone(),
    }
}

/// What a tenant is told of an object that is not there or may not be named. The two are one
/// answer across namespaces, or references would tell what exists in a foreign one.
pub(super) fn unusable(
    field: String,
    kind: ObjectKind,
    target: ObjectKey,
    from: &str,
) -> Rejection {
    if target.namespace == from {
        Rejection::RefNotFound { field, kind, target }
    } else {
        Rejection::RefNotPermitted { field, kind, target, from: from.to_owned() }
    }
}

/// True when an object of namespace `owner` that says `allowed` may be named from `from`.
/// A selector that is none allows nobody.
pub(super) fn permits(
    allowed: Option<&AllowedNamespaces>,
    owner: &str,
    from: &str,
    objects: &Objects,
) -> bool {
    if owner == from {
        return true;
    }
    let Some(AllowedNamespaces { from: scope, selector }) = allowed else { return false };
    match scope {
        None | Some(NamespaceScope::Same) => false,
        Some(NamespaceScope::All) => true,
        Some(NamespaceScope::Selector) => selector
            .as_ref()
            .and_then(|selector| Selector::new(selector).ok())
            .is_some_and(|selector| selector.matches(&labels(from, objects))),
    }
}

/// Labels of a namespace; a namespace that nobody described has its name.
pub(super) fn labels(namespace: &str, objects: &Objects) -> BTreeMap<String, String> {
    let mut labels = objects.namespaces.get(namespace).cloned().unwrap_or_default();
    labels.insert(NAME_LABEL.to_owned(), namespace.to_owned());
    labels
}

/// Faults of an `allowedNamespaces`.
pub(super) fn check(allowed: Option<&AllowedNamespaces>) -> Result<(), Rejection> {
    let Some(AllowedNamespaces { from, selector }) = allowed else { return Ok(()) };
    let by_selector = *from == Some(NamespaceScope::Selector);
    if by_selector != selector.is_some() {
        return Err(Rejection::InvalidValue {
            field: "spec.allowedNamespaces".to_owned(),
            fault: "selector is required when from is Selector, and allowed only then",
        });
    }
    match selector.as_ref().map(Selector::new) {
        Some(Err(source)) => {
            Err(Rejection::InvalidSelector { field: "spec.allowedNamespaces.selector", source })
        }
        _ => Ok(()),
    }
}
