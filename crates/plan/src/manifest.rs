//! Manifests of a directory → [`Objects`], as strictly as an API server reads them. No file is
//! opened here: the caller gives names and texts.
//!
//! Any fault refuses the whole load. An object that is left out because of a typing error could
//! be the policy that keeps the others from leaking.

mod node;
mod object;
mod place;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use node::Document;

pub use place::Place;

use crate::{ObjectKey, ObjectKind, Objects, Outcome};

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Name for messages.
    pub name: &'a str,
    /// YAML or JSON, one or several documents.
    pub text: &'a str,
}

/// What the files say.
#[derive(Debug, Default)]
pub struct Manifests {
    pub objects: Objects,
    /// Documents that were passed over, for a person to see.
    pub notices: Vec<Notice>,
    documents: BTreeMap<(ObjectKind, ObjectKey), Document>,
}

/// Something in a file that cannot be accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestFault {
    pub place: Place,
    /// Path of the field, for example `spec.ports[0]`; empty for a whole document.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// A document that is no object for Weir.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    pub place: Place,
    /// What the document says it is.
    pub kind: String,
    pub api_version: String,
}

/// All faults of all files; never empty.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Refused(pub Vec<ManifestFault>);

/// Reads every file. Objects without a namespace get `default_namespace`.
///
/// # Errors
///
/// [`Refused`] with every fault that was found, in the order of the files.
pub fn read(files: &[File<'_>], default_namespace: &str) -> Result<Manifests, Refused> {
    let mut loader = object::Loader::new(default_namespace);
    for file in files {
        match node::documents(file) {
            Ok(documents) => documents.into_iter().for_each(|document| loader.add(document)),
            Err(fault) => loader.faults.push(fault),
        }
    }
    if loader.faults.is_empty() { Ok(loader.manifests) } else { Err(Refused(loader.faults)) }
}

impl Manifests {
    /// Where an object, or the innermost known part of `field` in it, is written.
    pub fn place(&self, kind: ObjectKind, key: &ObjectKey, field: &str) -> Option<Place> {
        self.documents.get(&(kind, key.clone())).map(|document| document.place_of_text(field))
    }

    /// The faults that compiling found, with the places of their fields.
    pub fn faults(&self, outcomes: &[Outcome]) -> Vec<ManifestFault> {
        let mut faults = Vec::new();
        for Outcome { kind, key, rejections, .. } in outcomes {
            for rejection in rejections {
                let message = rejection.to_string();
                let field = message.split_once(": ").map_or("", |(field, _)| field);
                let place = self.place(*kind, key, field).unwrap_or_default();
                faults.push(ManifestFault {
                    place,
                    field: String::new(),
                    message: format!("{kind} {key}: {message}"),
                });
            }
        }
        faults
    }
}

fn lines(faults: &[ManifestFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, field, message } = self;
        match field.as_str() {
            "" => write!(f, "{place}: {message}"),
            field => write!(f, "{place}: {field}: {message}"),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, kind, api_version } = self;
        write!(f, "{place}: skipped {kind} ({api_version}): not a kind that Weir reads")
    }
}
