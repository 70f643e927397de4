//! Runs a checked expression over a record.

use std::{borrow::Cow, cmp::Ordering};

use weir_rrpair::{Fields, RrPair};

use super::check::{Calculation, Node, Order, Place};
use super::record::Val;

/// Steps that one expression may take over one record; a step is an operation, or 64 bytes
/// of text looked at.
const BUDGET: u32 = 1 << 20;

/// Why an expression has no value for a record. It tells nothing of the record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// A key or an index that is not there, text that is no number, an overflow.
    NoValue,
    OverBudget,
}

type Evaluated<'a> = Result<Val<'a>, Failure>;

/// True when the expression is true; one without a value is not.
pub(super) fn holds(node: &Node, pair: &RrPair) -> bool {
    truth(node, pair) == Ok(true)
}

pub(super) fn truth(node: &Node, pair: &RrPair) -> Result<bool, Failure> {
    Run { pair, variables: Vec::new(), budget: BUDGET }.bool(node)
}

struct Run<'a> {
    pair: &'a RrPair,
    variables: Vec<&'a str>,
    budget: u32,
}

impl<'a> Run<'a> {
    fn pay(&mut self, bytes: usize) -> Result<(), Failure> {
        let price = u32::try_from(bytes / 64).unwrap_or(u32::MAX).saturating_add(1);
        self.budget = self.budget.checked_sub(price).ok_or(Failure::OverBudget)?;
        Ok(())
    }

    fn bool(&mut self, node: &'a Node) -> Result<bool, Failure> {
        match self.value(node)? {
            Val::Bool(value) => Ok(value),
            _ => Err(Failure::NoValue),
        }
    }

    fn text(&mut self, node: &'a Node) -> Result<Cow<'a, str>, Failure> {
        match self.value(node)? {
            Val::Text(text) => {
                self.pay(text.len())?;
                Ok(text)
            }
            _ => Err(Failure::NoValue),
        }
    }

    fn value(&mut self, node: &'a Node) -> Evaluated<'a> {
        self.pay(0)?;
        Ok(match node {
            Node::Const(value) => value.clone(),
            Node::Field(get) => get(self.pair),
            Node::Present(present) => Val::Bool(present(self.pair)),
            Node::NotEmpty(node) => Val::Bool(not_empty(&self.value(node)?)),
            Node::Variable(place) => {
                let text = self.variables.get(*place).copied().ok_or(Failure::NoValue)?;
                Val::Text(Cow::Borrowed(text))
            }
            Node::All(nodes) => Val::Bool(self.join(nodes, false)?),
            Node::Any(nodes) => Val::Bool(self.join(nodes, true)?),
            Node::Not(node) => Val::Bool(!self.bool(node)?),
            Node::If(parts) => {
                let [condition, then, or] = &**parts;
                let branch = if self.bool(condition)? { then } else { or };
                self.value(branch)?
            }
            Node::Equal(sides) => {
                let [left, right] = &**sides;
                let (left, right) = (self.value(left)?, self.value(right)?);
                Val::Bool(self.equal(&left, &right)?)
            }
            Node::OneOf(item, list) => {
                let item = self.value(item)?;
                for other in list {
                    let other = self.value(other)?;
                    if self.equal(&item, &other)? {
                        return Ok(Val::Bool(true));
                    }
                }
                Val::Bool(false)
            }
            Node::Compare(order, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (self.value(left)?, self.value(right)?);
                Val::Bool(ordered(*order, compare(&left, &right)?))
            }
            Node::Calculate(calculation, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.calculate(*calculation, left, right)?
            }
            Node::In(sides) => {
                let [item, list] = &**sides;
                let (item, list) = (self.text(item)?, self.value(list)?);
                Val::Bool(self.is_in(&item, &list)?)
            }
            Node::Index(sides) => {
                let [map, key] = &**sides;
                let (map, key) = (self.value(map)?, self.value(key)?);
                index(&map, &key)?
            }
            Node::Loop { all, range, body } => Val::Bool(self.each(*all, range, body)?),
            _ => return self.text_value(node),
        })
    }

    /// The nodes that look at text.
    fn text_value(&mut self, node: &'a Node) -> Evaluated<'a> {
        Ok(match node {
            Node::Part(place, sides) => {
                let [text, part] = &**sides;
                let (text, part) = (self.text(text)?, self.text(part)?);
                Val::Bool(match place {
                    Place::Anywhere => text.contains(&*part),
                    Place::Start => text.starts_with(&*part),
                    Place::End => text.ends_with(&*part),
                })
            }
            Node::Matches(text, regex) => {
                let text = self.text(text)?;
                Val::Bool(regex.is_match(&text))
            }
            Node::Size(node) => match self.value(node)? {
                Val::Text(text) => {
                    self.pay(text.len())?;
                    length(text.chars().count())
                }
                Val::Texts(texts) => length(texts.len()),
                Val::Fields(fields) => length(fields.0.len()),
                Val::Map(map) => length(map.0.len()),
                _ => return Err(Failure::NoValue),
            },
            Node::Lower(node) => Val::Text(Cow::Owned(self.text(node)?.to_ascii_lowercase())),
            Node::ToInt(node) => Val::Int(to_int(&self.value(node)?)?),
            Node::ToDouble(node) => Val::Double(to_double(&self.value(node)?)?),
            Node::ToText(node) => Val::Text(to_text(self.value(node)?)?),
            _ => return Err(Failure::NoValue),
        })
    }

    /// `||` for `decisive` true, else `&&`. As CEL has it, a decisive part settles it even
    /// when another one has no value.
    fn join(&mut self, nodes: &'a [Node], decisive: bool) -> Result<bool, Failure> {
        let mut failed = None;
        for node in nodes {
            match self.bool(node) {
                Ok(value) if value == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(Failure::OverBudget) => return Err(Failure::OverBudget),
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(!decisive), Err)
    }

    fn each(&mut self, all: bool, range: &'a Node, body: &'a Node) -> Result<bool, Failure> {
        let items: Vec<&'a str> = match self.value(range)? {
            Val::Texts(texts) => texts.iter().map(String::as_str).collect(),
            Val::Fields(fields) => fields.iter().map(|(name, _)| name).collect(),
            Val::Map(map) => map.0.iter().map(|(name, _)| name.as_ref()).collect(),
            _ => return Err(Failure::NoValue),
        };
        let mut failed = None;
        for item in items {
            self.variables.push(item);
            let value = self.bool(body);
            self.variables.pop();
            match value {
                Ok(value) if value != all => return Ok(!all),
                Ok(_) => {}
                Err(Failure::OverBudget) => return Err(Failure::OverBudget),
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    fn equal(&mut self, left: &Val<'_>, right: &Val<'_>) -> Result<bool, Failure> {
        if let (Val::Texts(left), Val::Texts(right)) = (left, right) {
            self.pay(left.iter().map(String::len).sum())?;
            return Ok(left == right);
        }
        if let (Val::Bool(left), Val::Bool(right)) = (left, right) {
            return Ok(left == right);
        }
        compare(left, right).map(|order| order == Some(Ordering::Equal))
    }

    fn is_in(&mut self, item: &str, list: &Val<'_>) -> Result<bool, Failure> {
        Ok(match list {
            Val::Texts(texts) => {
                self.pay(texts.iter().map(String::len).sum())?;
                texts.iter().any(|text| text == item)
            }
            Val::Fields(fields) => values(fields, item).is_some(),
            Val::Map(map) => map.value(item).is_some(),
            _ => return Err(Failure::NoValue),
        })
    }

    fn calculate(
        &mut self,
        calculation: Calculation,
        left: Val<'a>,
        right: Val<'a>,
    ) -> Evaluated<'a> {
        Ok(match (left, right) {
            (Val::Int(left), Val::Int(right)) => Val::Int(
                match calculation {
                    Calculation::Add => left.checked_add(right),
                    Calculation::Subtract => left.checked_sub(right),
                    Calculation::Multiply => left.checked_mul(right),
                    Calculation::Divide => left.checked_div(right),
                    Calculation::Modulo => left.checked_rem(right),
                }
                .ok_or(Failure::NoValue)?,
            ),
            (Val::Double(left), Val::Double(right)) => Val::Double(match calculation {
                Calculation::Add => left + right,
                Calculation::Subtract => left - right,
                Calculation::Multiply => left * right,
                Calculation::Divide => left / right,
                Calculation::Modulo => return Err(Failure::NoValue),
            }),
            (Val::Text(left), Val::Text(right)) => {
                self.pay(left.len() + right.len())?;
                Val::Text(left + right)
            }
            _ => return Err(Failure::NoValue),
        })
    }
}

fn length(length: usize) -> Val<'static> {
    Val::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

fn not_empty(value: &Val<'_>) -> bool {
    match value {
        Val::Bool(value) => *value,
        Val::Int(value) => *value != 0,
        Val::Double(value) => *value != 0.0,
        Val::Text(text) => !text.is_empty(),
        Val::Time(time) => *time != 0,
        Val::Texts(texts) => !texts.is_empty(),
        Val::Fields(fields) => !fields.is_empty(),
        Val::Map(map) => !map.is_empty(),
    }
}

/// Values of a field, its name compared without case.
fn values<'a>(fields: &'a Fields, name: &str) -> Option<&'a [String]> {
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, values)| values)
}

fn index<'a>(map: &Val<'a>, key: &Val<'_>) -> Evaluated<'a> {
    match (map, key) {
        (Val::Fields(fields), Val::Text(name)) => values(fields, name).map(Val::Texts),
        (Val::Map(map), Val::Text(name)) => map.value(name).map(|v| Val::Text(Cow::Borrowed(v))),
        (Val::Texts(texts), Val::Int(place)) => usize::try_from(*place)
            .ok()
            .and_then(|place| texts.get(place))
            .map(|text| Val::Text(Cow::Borrowed(text.as_str()))),
        _ => None,
    }
    .ok_or(Failure::NoValue)
}

fn compare(left: &Val<'_>, right: &Val<'_>) -> Result<Option<Ordering>, Failure> {
    Ok(match (left, right) {
        (Val::Int(left), Val::Int(right)) => Some(left.cmp(right)),
        (Val::Double(left), Val::Double(right)) => left.partial_cmp(right),
        (Val::Text(left), Val::Text(right)) => Some(left.cmp(right)),
        (Val::Time(left), Val::Time(right)) => Some(left.cmp(right)),
        _ => return Err(Failure::NoValue),
    })
}

fn ordered(order: Order, found: Option<Ordering>) -> bool {
    let Some(found) = found else { return false };
    match order {
        Order::Less => found.is_lt(),
        Order::LessOrEqual => found.is_le(),
        Order::Greater => found.is_gt(),
        Order::GreaterOrEqual => found.is_ge(),
    }
}

fn to_int(value: &Val<'_>) -> Result<i64, Failure> {
    match value {
        Val::Int(value) => Ok(*value),
        Val::Text(text) => text.parse().map_err(|_no_number| Failure::NoValue),
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        Val::Double(value) if value.abs() < 9.0e18 => Ok(*value as i64),
        _ => Err(Failure::NoValue),
    }
}

fn to_double(value: &Val<'_>) -> Result<f64, Failure> {
    match value {
        Val::Double(value) => Ok(*value),
        #[expect(clippy::cast_precision_loss, reason = "as CEL has it")]
        Val::Int(value) => Ok(*value as f64),
        Val::Text(text) => text.parse().map_err(|_no_number| Failure::NoValue),
        _ => Err(Failure::NoValue),
    }
}

fn to_text(value: Val<'_>) -> Result<Cow<'_, str>, Failure> {
    Ok(match value {
        Val::Text(text) => text,
        Val::Int(value) => Cow::Owned(value.to_string()),
        Val::Double(value) => Cow::Owned(value.to_string()),
        Val::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        _ => return Err(Failure::NoValue),
    })
}
