//! Values that the schema cannot check to the end.

use std::time::Duration;

use super::Rejection;

/// A size in bytes with its limits, in numbers and in the words of the message.
pub(super) struct SizeField {
    pub(super) field: &'static str,
    pub(super) min: (u64, &'static str),
    pub(super) max: (u64, &'static str),
}

/// A span of time with its limits.
pub(super) struct DurationField {
    pub(super) field: &'static str,
    pub(super) min: (Duration, &'static str),
    pub(super) max: (Duration, &'static str),
}

impl SizeField {
    pub(super) fn read(&self, value: &weir_api::Quantity) -> Result<u64, Rejection> {
        let field = self.field;
        let size = value.whole().map_err(|source| Rejection::InvalidQuantity {
            field,
            value: value.0.clone(),
            source,
        })?;
        if (self.min.0..=self.max.0).contains(&size) {
            return Ok(size);
        }
        let (min, max) = (self.min.1, self.max.1);
        Err(Rejection::QuantityOutOfRange { field, value: value.0.clone(), min, max })
    }
}

impl DurationField {
    pub(super) fn read(&self, value: &weir_api::Duration) -> Result<Duration, Rejection> {
        let field = self.field;
        let span = value.parsed().map_err(|source| Rejection::InvalidDuration {
            field,
            value: value.0.clone(),
            source,
        })?;
        if (self.min.0..=self.max.0).contains(&span) {
            return Ok(span);
        }
        let (min, max) = (self.min.1, self.max.1);
        Err(Rejection::DurationOutOfRange { field, value: value.0.clone(), min, max })
    }
}

/// Takes the value out of a result and keeps its fault, so that all faults are reported.
pub(super) fn keep<T>(result: Result<T, Rejection>, rejections: &mut Vec<Rejection>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(rejection) => {
            rejections.push(rejection);
            None
        }
    }
}
