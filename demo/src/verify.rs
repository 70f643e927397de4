//! Holds a snapshot against the truth: every exchange exactly once on every captured side, byte
//! for byte, and nothing else.

use std::collections::BTreeMap;
use std::fmt;

use crate::exchange::Exchange;
use crate::snapshot::{Direction, Record};

#[cfg(test)]
mod tests;

/// The service that is the client of every call between services.
const CALLER: &str = "gateway";

/// Where one exchange has to show up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub id: String,
    pub hop: u32,
    pub service: String,
    pub direction: Direction,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hop {} {} at {}", self.id, self.hop, self.direction, self.service)
    }
}

/// One way in which the snapshot is not the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not captured.
    Missing { place: Place, request: String },
    /// Captured more than once.
    Repeated { place: Place, times: usize },
    /// Captured with another content.
    Differs { place: Place, field: &'static str, expected: String, found: String },
    /// Captured, but nobody sent it, or it had to be filtered.
    Unexpected { file: String, description: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { place, request } => write!(f, "missing     {place}: {request}"),
            Self::Repeated { place, times } => write!(f, "repeated    {place}: {times} times"),
            Self::Differs { place, field, expected, found } => {
                write!(f, "differs     {place}: {field} is {found}, was {expected}")
            }
            Self::Unexpected { file, description } => {
                write!(f, "unexpected  {description}, in {file}")
            }
        }
    }
}

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Places at which the right record was found.
    pub matched: usize,
    /// Health probes that are, as they should be, not in the snapshot.
    pub filtered: usize,
    pub problems: Vec<Problem>,
}

/// Compares what `driver` and `gateway` noted with what was captured.
///
/// A request of the driver belongs into the snapshot as IN of the gateway; a call of the gateway
/// as OUT of the gateway and as IN of the service that it called.
pub fn verify(driver: &[Exchange], gateway: &[Exchange], records: &[Record]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut expected: BTreeMap<Place, &Exchange> = BTreeMap::new();
    for exchange in driver {
        if exchange.probe {
            verdict.filtered += 1;
        } else {
            expected.insert(place(exchange, &exchange.server, Direction::In), exchange);
        }
    }
    // Calls made while warming up happened before the capture.
    let sent = |call: &&Exchange| driver.iter().any(|request| request.id == call.id);
    for call in gateway.iter().filter(sent) {
        expected.insert(place(call, CALLER, Direction::Out), call);
        expected.insert(place(call, &call.server, Direction::In), call);
    }

    let mut found: BTreeMap<Place, Vec<&Record>> = BTreeMap::new();
    for record in records {
        let place = Place {
            id: record.id.clone(),
            hop: record.hop.unwrap_or(u32::MAX),
            service: record.service.clone(),
            direction: record.direction,
        };
        if expected.contains_key(&place) {
            found.entry(place).or_default().push(record);
        } else {
            verdict.problems.push(unexpected(record));
        }
    }
    for (place, exchange) in expected {
        match found.get(&place).map(Vec::as_slice) {
            None | Some([]) => {
                let request = format!("{} {}", exchange.method, exchange.target);
                verdict.problems.push(Problem::Missing { place, request });
            }
            Some([record]) => match differences(&place, exchange, record) {
                differences if differences.is_empty() => verdict.matched += 1,
                differences => verdict.problems.extend(differences),
            },
            Some(records) => {
                verdict.problems.push(Problem::Repeated { place, times: records.len() });
            }
        }
    }
    verdict
}

fn place(exchange: &Exchange, service: &str, direction: Direction) -> Place {
    let (id, hop) = (exchange.id.clone(), exchange.hop);
    Place { id, hop, service: service.to_owned(), direction }
}

fn unexpected(record: &Record) -> Problem {
    let id = if record.id.is_empty() { "without an id" } else { &record.id };
    Problem::Unexpected {
        file: record.file.display().to_string(),
        description: format!(
            "{} {} {} at {} ({id})",
            record.method, record.target, record.direction, record.service
        ),
    }
}

fn differences(place: &Place, exchange: &Exchange, record: &Record) -> Vec<Problem> {
    let texts = [
        ("method", exchange.method.clone(), record.method.clone()),
        ("target", exchange.target.clone(), record.target.clone()),
        ("status", exchange.status.to_string(), record.status.clone()),
    ];
    let bodies = [
        ("request body", &exchange.request_body.0, &record.request_body.0),
        ("response body", &exchange.response_body.0, &record.response_body.0),
    ];
    let bodies = bodies.into_iter().filter_map(|(field, expected, found)| {
        let (expected, found) = body_difference(expected, found)?;
        Some((field, expected, found))
    });
    texts
        .into_iter()
        .filter(|(_, expected, found)| expected != found)
        .chain(bodies)
        .map(|(field, expected, found)| Problem::Differs {
            place: place.clone(),
            field,
            expected,
            found,
        })
        .collect()
}

/// Both bodies told by their sizes and the first place where they part, if they do.
fn body_difference(expected: &[u8], found: &[u8]) -> Option<(String, String)> {
    if expected == found {
        return None;
    }
    let at = expected.iter().zip(found).take_while(|(left, right)| left == right).count();
    let tell = |body: &[u8]| match body.get(at) {
        Some(byte) => format!("{} bytes with {byte:#04x} at {at}", body.len()),
        None => format!("{} bytes", body.len()),
    };
    Some((tell(expected), tell(found)))
}
