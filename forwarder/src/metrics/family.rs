//! A metric with its rows, whoever is told of it.

/// How a number moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Only upwards.
    Counter,
    Gauge,
}

/// One metric. Its name is without what Prometheus adds: `_total`, and the unit.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    /// Counted in bytes, and its name does not say so.
    pub(super) in_bytes: bool,
    pub(super) labels: &'static [&'static str],
    /// A value for each label, and the number. Without labels one row, or none when nobody knows
    /// it.
    pub(super) rows: Vec<(Vec<String>, u64)>,
}

/// Takes metrics, in an order that is the same each time.
#[derive(Debug, Default)]
pub(super) struct Families(pub(super) Vec<Family>);

impl Families {
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.push(Kind::Counter, name, help, &[], vec![(Vec::new(), value)]);
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.push(Kind::Gauge, name, help, &[], vec![(Vec::new(), value)]);
    }

    /// One that not everybody has.
    pub(super) fn optional(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        value: Option<u64>,
    ) {
        self.push(
            kind,
            name,
            help,
            &[],
            value.map(|value| (Vec::new(), value)).into_iter().collect(),
        );
    }

    /// A metric with one row for each set of label values.
    pub(super) fn rows<const N: usize>(
        &mut self,
        kind: Kind,
        (name, help): (&'static str, &'static str),
        labels: &'static [&'static str; N],
        rows: impl IntoIterator<Item = ([String; N], u64)>,
    ) {
        let rows = rows.into_iter().map(|(values, count)| (values.into(), count)).collect();
        self.push(kind, name, help, labels, rows);
    }

    fn push(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        rows: Vec<(Vec<String>, u64)>,
    ) {
        self.0.push(Family { name, help, kind, in_bytes: false, labels, rows });
    }

    /// The last metric is counted in bytes.
    pub(super) fn in_bytes(&mut self) {
        if let Some(last) = self.0.last_mut() {
            last.in_bytes = true;
        }
    }
}
