//! A document as a tree in which every key and value knows its place.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};
use weir_api::schema::{Path, Step};

use super::{File, ManifestFault, Place};

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: String,
    pub(super) root: Spanned<Node>,
}

/// A YAML or JSON value.
pub(super) enum Node {
    Scalar(Value),
    List(Vec<Spanned<Self>>),
    Fields(Vec<(Spanned<String>, Spanned<Self>)>),
}

/// Reads all documents of a file; empty ones are left out.
///
/// The message of a syntax error never shows the text around it, which may be a Secret.
pub(super) fn documents(file: &File<'_>) -> Result<Vec<Document>, ManifestFault> {
    let options = serde_saphyr::options! {
        // `yes` is a string, as for everybody but YAML 1.1.
        strict_booleans: true,
        with_snippet: false,
    };
    let roots = serde_saphyr::from_multiple_with_options::<Spanned<Node>>(file.text, options)
        .map_err(|error| {
            let error = error.without_snippet();
            let location = error.location().unwrap_or(Location::UNKNOWN);
            ManifestFault {
                place: place(file.name, location),
                field: String::new(),
                message: UserMessageFormatter.format_message(error).replace(char::is_control, " "),
            }
        })?;
    let file = file.name;
    Ok(roots.into_iter().map(|root| Document { file: file.to_owned(), root }).collect())
}

fn place(file: &str, location: Location) -> Place {
    Place { file: file.to_owned(), line: location.line(), column: location.column() }
}

impl Document {
    /// Place of the value at `path`, or of the innermost part of it that is there.
    pub(super) fn place_of(&self, path: &Path) -> Place {
        let (mut node, mut location) = (&self.root.value, self.root.referenced);
        for step in &path.0 {
            let next = match (node, step) {
                (Node::Fields(fields), Step::Field(name)) => fields
                    .iter()
                    .find(|(key, _)| key.value == *name)
                    .map(|(key, value)| (&value.value, key.referenced)),
                (Node::List(items), Step::Index(index)) => {
                    items.get(*index).map(|item| (&item.value, item.referenced))
                }
                _ => None,
            };
            let Some((inner, at)) = next else { break };
            (node, location) = (inner, at);
        }
        place(&self.file, location)
    }

    /// As [`Document::place_of`], for a path as messages have it: `spec.ports[0]`. Label keys
    /// with dots end the search at their map, which is near enough.
    pub(super) fn place_of_text(&self, field: &str) -> Place {
        let mut path = Path::default();
        for part in field.split('.') {
            let mut pieces = part.split('[');
            path.0.extend(pieces.next().map(|name| Step::Field(name.to_owned())));
            for piece in pieces {
                let piece = piece.trim_end_matches(']');
                path.0.push(match piece.parse() {
                    Ok(index) => Step::Index(index),
                    Err(_) => Step::Field(piece.to_owned()),
                });
            }
        }
        self.place_of(&path)
    }

    pub(super) fn to_value(&self) -> Value {
        self.root.value.to_value()
    }

    /// Takes the entries of the field `items` out as documents of their own.
    pub(super) fn into_items(self) -> Vec<Self> {
        let Node::Fields(fields) = self.root.value else { return Vec::new() };
        let items = fields.into_iter().find(|(key, _)| key.value == "items");
        let Some((_, Spanned { value: Node::List(items), .. })) = items else { return Vec::new() };
        items.into_iter().map(|root| Self { file: self.file.clone(), root }).collect()
    }
}

impl Node {
    fn to_value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.value.to_value()).collect(),
            Self::Fields(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, value)| (key.value.clone(), value.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

impl fmt::Debug for Node {
    /// Shapes alone: a value may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(_) => f.write_str("scalar"),
            Self::List(items) => write!(f, "list of {}", items.len()),
            Self::Fields(fields) => write!(f, "object of {}", fields.len()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields: Vec<(Spanned<String>, Spanned<Node>)> = Vec::new();
        while let Some(entry) = entries.next_entry::<Spanned<String>, Spanned<Node>>()? {
            // `1` and `"1"` are two keys to YAML and one to JSON.
            if fields.iter().any(|(key, _)| key.value == entry.0.value) {
                return Err(A::Error::custom("a key is there twice"));
            }
            fields.push(entry);
        }
        Ok(Node::Fields(fields))
    }
}
