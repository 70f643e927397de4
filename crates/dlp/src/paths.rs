//! Exact places in a record.

/// A place that a policy names, for example `http.req.body.$.card.number`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Path {
    place: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    Any,
}

/// Way from a place to the value at hand, the last step first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail<'p> {
    pub(crate) parent: Option<&'p Self>,
    pub(crate) step: TrailStep<'p>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum TrailStep<'p> {
    Name(&'p [u8]),
    Index(usize),
}

/// Places with values of their own; what follows is a way into them.
const PLACES: [&str; 14] = [
    "http.req.headers",
    "http.req.trailers",
    "http.req.queryParams",
    "http.req.cookies",
    "http.req.body",
    "http.req.url",
    "http.req.host",
    "http.res.headers",
    "http.res.trailers",
    "http.res.cookies",
    "http.res.body",
    "session",
    "events",
    "tokenList",
];

/// Payloads of other protocols.
const CONTAINERS: [&str; 8] =
    ["postgres", "mysql", "mongo", "redis", "kafka", "AmqpV091", "dns", "tls"];

/// Why a path names no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathFault {
    #[error(
        "names no place of a record; it begins like http.req.body, http.res.headers, session or postgres"
    )]
    UnknownPlace,
    #[error("has an empty or unclosed step")]
    Step,
}

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, PathFault> {
        let below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        let place = PLACES
            .iter()
            .chain(&CONTAINERS)
            .find(|place| text.strip_prefix(**place).is_some_and(below))
            .ok_or(PathFault::UnknownPlace)?;
        let rest = text.get(place.len()..).unwrap_or_default();
        // The root of the document at the place; without it the way begins there too.
        let rest = match rest.strip_prefix(".$") {
            Some(after) if below(after) => after,
            _ => rest,
        };
        Ok(Self { place: (*place).to_owned(), steps: steps(rest)? })
    }

    /// True for the place itself and for everything below it.
    pub(crate) fn covers(&self, place: &str, trail: Option<&Trail<'_>>) -> bool {
        if self.place != place {
            return false;
        }
        let mut way = Vec::with_capacity(8);
        let mut at = trail;
        while let Some(trail) = at {
            way.push(trail.step);
            at = trail.parent;
        }
        let fold_case = place.ends_with("headers") || place.ends_with("trailers");
        way.len() >= self.steps.len()
            && self.steps.iter().zip(way.iter().rev()).all(|(step, at)| step.is(*at, fold_case))
    }
}

impl Step {
    fn is(&self, at: TrailStep<'_>, fold_case: bool) -> bool {
        match (self, at) {
            (Self::Any, _) => true,
            (Self::Name(name), TrailStep::Name(at)) if fold_case => {
                name.as_bytes().eq_ignore_ascii_case(at)
            }
            (Self::Name(name), TrailStep::Name(at)) => name.as_bytes() == at,
            (Self::Index(index), TrailStep::Index(at)) => *index == at,
            // `a.0` names a member or an element.
            (Self::Name(name), TrailStep::Index(at)) => name.parse() == Ok(at),
            (Self::Index(_), TrailStep::Name(_)) => false,
        }
    }
}

fn steps(mut rest: &str) -> Result<Vec<Step>, PathFault> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, after) = inner.split_once(']').ok_or(PathFault::Step)?;
            let quoted = ['\'', '"']
                .into_iter()
                .find_map(|mark| inside.strip_prefix(mark)?.strip_suffix(mark));
            steps.push(match (quoted, inside) {
                (Some(name), _) => Step::Name(name.to_owned()),
                (None, "*") => Step::Any,
                (None, index) => Step::Index(index.parse().map_err(|_none| PathFault::Step)?),
            });
            rest = after;
        } else {
            let name = rest.strip_prefix('.').ok_or(PathFault::Step)?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            steps.push(match name {
                "" => return Err(PathFault::Step),
                "*" => Step::Any,
                name => Step::Name(name.to_owned()),
            });
            rest = after;
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(path: &str, place: &str, way: &[TrailStep<'_>]) -> bool {
        fn walk(
            path: &Path,
            place: &str,
            way: &[TrailStep<'_>],
            parent: Option<&Trail<'_>>,
        ) -> bool {
            match way {
                [] => path.covers(place, parent),
                [step, rest @ ..] => walk(path, place, rest, Some(&Trail { parent, step: *step })),
            }
        }
        walk(&Path::parse(path).unwrap(), place, way, None)
    }

    #[test]
    fn a_path_covers_its_place_and_what_is_below() {
        let name = |name: &'static str| TrailStep::Name(name.as_bytes());
        let number = [name("card"), name("number")];
        assert!(covers("http.req.body.$.card.number", "http.req.body", &number));
        assert!(covers("http.req.body.card", "http.req.body", &number));
        assert!(!covers("http.req.body.$.card.number", "http.req.body", &number[..1]));
        assert!(!covers("http.req.body.$.card", "http.res.body", &number));
        let listed = [TrailStep::Index(1), name("a.b")];
        assert!(covers("http.req.body.$[1]['a.b']", "http.req.body", &listed));
        assert!(covers("http.req.body.$[*].*", "http.req.body", &listed));
        assert!(!covers("http.req.body.$[0]", "http.req.body", &listed));
        let header = [name("X-Key")];
        assert!(covers("http.req.headers.x-key", "http.req.headers", &header));
    }

    #[test]
    fn what_names_no_place_is_an_error() {
        assert_eq!(Path::parse("http.req.bodies"), Err(PathFault::UnknownPlace));
        assert_eq!(Path::parse("http.req.body.$..a"), Err(PathFault::Step));
        assert_eq!(Path::parse("http.req.body.$[x]"), Err(PathFault::Step));
        assert_eq!(Path::parse("http.req.body.$[1"), Err(PathFault::Step));
    }
}
