//! Chains of transforms that found nothing to work on: they leave the pair and say so in it
//! (contract §3.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_rrpair::RrPair;

use super::Work;
use crate::body::BodyText;

impl Work<'_, '_> {
    /// Adds an event for each chain that is about the record and whose bodies are no JSON.
    pub(super) fn failed_chains(&self, record: &mut RrPair) {
        let mut failed = Vec::new();
        for (index, condition, bodies) in &self.run.engine.wanting {
            if condition.holds(self.chains) && !any_json(record, bodies) {
                failed.push(*index);
            }
        }
        for index in failed {
            let (uuid, ts) = (record.uuid, record.ts);
            let event = json!({
                "uuid": STANDARD.encode(uuid.0),
                "ts": ts.to_string(),
                "source": "dlp",
                "operation": format!("transforms[{index}]"),
                "message": "the body is no JSON",
            });
            let events = record.extra.entry("events").or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(events) = events
                && !events.contains(&event)
            {
                events.push(event);
            }
        }
    }
}

/// True when one of the bodies is JSON, or when there is none at all.
fn any_json(record: &RrPair, places: &[String]) -> bool {
    let Some(http) = &record.http else { return true };
    let mut bodies = Vec::new();
    for place in places {
        if place == "http.req.body" {
            bodies.push((&http.req.body, &http.req.headers));
        } else if let Some(response) = &http.res {
            bodies.push((&response.body, &response.headers));
        }
    }
    bodies.retain(|(body, _)| !body.0.is_empty());
    bodies.is_empty()
        || bodies.iter().any(|(body, headers)| {
            let text = BodyText {
                bytes: &body.0,
                content_type: headers.first("Content-Type").unwrap_or_default(),
                content_encoding: headers.first("Content-Encoding").unwrap_or_default(),
                grpc_encoding: "",
                cut: false,
            };
            text.is_json()
        })
}
