//! From CEL's syntax tree to a tree of known types.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};
use cel::parser::Parser;
use regex::Regex;

use super::record::{FIELDS, GROUPS, Getter, Presence, Type, Val};
use crate::filter::regex as compile_regex;

/// Nesting of `exists` and `all`; each level multiplies the cost.
const MAX_LOOPS: usize = 2;
/// Nesting of everything else.
const MAX_DEPTH: usize = 16;

/// What is wrong with an expression.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExpressionFault {
    #[error("is no CEL expression: {message} (line {line}, column {column})")]
    Syntax { message: String, line: isize, column: isize },
    #[error("has {characters} characters, more than {limit}")]
    TooLong { characters: usize, limit: usize },
    #[error("names {name:?}, which no record has{}", near(name))]
    UnknownField { name: String },
    #[error("calls {name}, which is not known for {of}")]
    UnknownFunction { name: String, of: String },
    #[error("compares or joins {left} with {right}")]
    Mismatch { left: &'static str, right: &'static str },
    #[error("uses {found} where {expected} is needed")]
    WrongType { found: &'static str, expected: &'static str },
    #[error("uses {what}, which is not supported")]
    Unsupported { what: &'static str },
    #[error("nests exists and all more than {MAX_LOOPS} deep")]
    TooManyLoops,
    #[error("has a regular expression that is invalid or too large; it must be a string literal")]
    Regex,
    #[error("nests more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("has a time that is not RFC 3339")]
    Time,
}

fn near(name: &str) -> String {
    let group = name.rsplit_once('.').map_or("", |(group, _)| group);
    let known: Vec<&str> = FIELDS
        .iter()
        .filter(|field| field.name.rsplit_once('.').map_or("", |(group, _)| group) == group)
        .map(|field| field.name)
        .collect();
    if known.is_empty() { String::new() } else { format!("; known: {}", known.join(", ")) }
}

/// An expression that is known to fit.
#[derive(Debug)]
pub(super) enum Node {
    Const(Val<'static>),
    Field(Getter),
    Present(Presence),
    /// The field is not zero and not empty.
    NotEmpty(Box<Self>),
    /// The variable of an `exists` or `all`, counted from the outermost.
    Variable(usize),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    If(Box<[Self; 3]>),
    Equal(Box<[Self; 2]>),
    Compare(Order, Box<[Self; 2]>),
    Calculate(Calculation, Box<[Self; 2]>),
    /// One of these values.
    OneOf(Box<Self>, Vec<Self>),
    /// A key of a map, or an element of a list.
    In(Box<[Self; 2]>),
    Index(Box<[Self; 2]>),
    Part(Place, Box<[Self; 2]>),
    Matches(Box<Self>, Regex),
    Size(Box<Self>),
    Lower(Box<Self>),
    ToInt(Box<Self>),
    ToDouble(Box<Self>),
    ToText(Box<Self>),
    Loop {
        all: bool,
        range: Box<Self>,
        body: Box<Self>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Calculation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
}

type Checked = Result<(Node, Type), ExpressionFault>;

/// Reads and checks one expression; its value is a bool.
pub(super) fn compile(source: &str) -> Result<Node, ExpressionFault> {
    match depth(source) {
        Some(depth) if depth <= MAX_DEPTH => {}
        Some(_) => return Err(ExpressionFault::TooDeep),
        None => {
            let what = "a raw or triple-quoted string or a comment";
            return Err(ExpressionFault::Unsupported { what });
        }
    }
    let parsed = Parser::new().parse(source).map_err(|errors| {
        let first = errors.errors.first();
        ExpressionFault::Syntax {
            message: first.map_or_else(String::new, |error| error.msg.replace('\n', " ")),
            line: first.map_or(0, |error| error.pos.0),
            column: first.map_or(0, |error| error.pos.1),
        }
    })?;
    let mut checker = Checker { variables: Vec::new() };
    checker.of_type(&parsed, Type::Bool)
}

/// A bound of how deep the parser will go. It has a limit of its own, but follows brackets
/// before it counts them, with some kilobytes of stack for each.
///
/// Counted are open brackets and what else makes a tree deep when it is repeated: signs,
/// questions, and the operators and accesses that follow each other without a bracket or a
/// logical operator between them. `None` for what would hide brackets from this count.
fn depth(source: &str) -> Option<usize> {
    let (mut open, mut repeated, mut deepest) = (0_usize, 0_usize, 0_usize);
    let mut quote = None;
    let mut bytes = source.bytes();
    let mut before = b' ';
    while let Some(byte) = bytes.next() {
        let is_quote = matches!(byte, b'"' | b'\'');
        let raw = is_quote && matches!(before, b'r' | b'R');
        let triple = is_quote && bytes.clone().take(2).eq([byte; 2]);
        if quote.is_none() && (raw || triple || (before == b'/' && byte == b'/')) {
            return None;
        }
        before = byte;
        match quote {
            Some(_) if byte == b'\\' => {
                bytes.next();
            }
            Some(end) if byte != end => {}
            Some(_) => quote = None,
            None => match byte {
                b'"' | b'\'' => quote = Some(byte),
                // Accesses by `[0]` are as deep as those by `.a`.
                b'[' => (open, repeated) = (open + 1, repeated + 1),
                b'(' | b'{' => open += 1,
                b')' | b']' | b'}' => open = open.saturating_sub(1),
                b'!' | b'-' | b'+' | b'*' | b'/' | b'%' | b'?' | b'.' | b'<' | b'>' => {
                    repeated += 1;
                }
                // A chain of these is balanced by the parser.
                b'&' | b'|' => repeated = 0,
                _ => {}
            },
        }
        deepest = deepest.max(open + repeated / 2);
    }
    Some(deepest)
}

struct Checker {
    /// Names of the variables in force with their types.
    variables: Vec<(String, Type)>,
}

impl Checker {
    fn of_type(&mut self, expr: &IdedExpr, expected: Type) -> Result<Node, ExpressionFault> {
        let (node, found) = self.check(expr)?;
        if found == expected {
            return Ok(node);
        }
        Err(ExpressionFault::WrongType { found: found.name(), expected: expected.name() })
    }

    fn check(&mut self, expr: &IdedExpr) -> Checked {
        match &expr.expr {
            Expr::Literal(literal) => literal_of(literal),
            Expr::Ident(name) => {
                if let Some(place) = self.variables.iter().rposition(|(known, _)| known == name) {
                    let of = self.variables.get(place).map_or(Type::Text, |(_, of)| *of);
                    return Ok((Node::Variable(place), of));
                }
                field(name)
            }
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(_) => {
                Err(ExpressionFault::Unsupported { what: "a list, except after `in`" })
            }
            Expr::Map(_) => Err(ExpressionFault::Unsupported { what: "a map literal" }),
            Expr::Struct(_) => Err(ExpressionFault::Unsupported { what: "a message literal" }),
            Expr::Unspecified => Err(ExpressionFault::Unsupported { what: "nothing" }),
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Checked {
        let SelectExpr { operand, field: name, test } = select;
        if let Some(group) = self.dotted(operand) {
            let full = format!("{group}.{name}");
            if *test && let Some((_, present)) = GROUPS.iter().find(|(known, _)| *known == full) {
                return Ok((Node::Present(*present), Type::Bool));
            }
            let known = FIELDS.iter().any(|field| field.name == full);
            let is_map = FIELDS.iter().any(|field| field.name == group);
            if known || !is_map {
                let (node, of) = field(&full)?;
                return Ok(if *test { (not_empty(node), Type::Bool) } else { (node, of) });
            }
        }
        // `tags.app` is `tags["app"]`.
        let (map, of) = self.check(operand)?;
        let key = Node::Const(Val::Text(name.clone().into()));
        let value = match of {
            Type::Map => Type::Text,
            Type::Fields => Type::Texts,
            other => {
                return Err(ExpressionFault::WrongType { found: other.name(), expected: "a map" });
            }
        };
        if *test {
            return Ok((Node::In(Box::new([key, map])), Type::Bool));
        }
        Ok((Node::Index(Box::new([map, key])), value))
    }

    /// `a.b.c` of fields, not of variables.
    fn dotted(&self, expr: &IdedExpr) -> Option<String> {
        match &expr.expr {
            Expr::Ident(name) if self.variables.iter().any(|(known, _)| known == name) => None,
            Expr::Ident(name) => Some(name.clone()),
            Expr::Select(SelectExpr { operand, field, test: false }) => {
                Some(format!("{}.{field}", self.dotted(operand)?))
            }
            _ => None,
        }
    }

    fn call(&mut self, call: &CallExpr) -> Checked {
        let CallExpr { func_name, target, args } = call;
        match (func_name.as_str(), args.as_slice(), target) {
            (operators::LOGICAL_AND, args, None) => Ok((Node::All(self.bools(args)?), Type::Bool)),
            (operators::LOGICAL_OR, args, None) => Ok((Node::Any(self.bools(args)?), Type::Bool)),
            (operators::LOGICAL_NOT, [arg], None) => {
                Ok((Node::Not(Box::new(self.of_type(arg, Type::Bool)?)), Type::Bool))
            }
            (operators::CONDITIONAL, [condition, then, or], None) => {
                let condition = self.of_type(condition, Type::Bool)?;
                let ((then, of), (or, other)) = (self.check(then)?, self.check(or)?);
                same(of, other)?;
                Ok((Node::If(Box::new([condition, then, or])), of))
            }
            (operators::EQUALS, [left, right], None) => self.equal(left, right),
            (operators::NOT_EQUALS, [left, right], None) => {
                let (equal, of) = self.equal(left, right)?;
                Ok((Node::Not(Box::new(equal)), of))
            }
            (operators::IN, [item, list], None) => self.is_in(item, list),
            (operators::INDEX, [map, key], None) => self.index(map, key),
            (operators::NEGATE, [arg], None) => {
                let (node, of) = self.check(arg)?;
                let zero =
                    Node::Const(if of == Type::Double { Val::Double(0.0) } else { Val::Int(0) });
                number(of)?;
                Ok((Node::Calculate(Calculation::Subtract, Box::new([zero, node])), of))
            }
            (name, [left, right], None) if order(name).is_some() => {
                let ((left, of), (right, other)) = (self.check(left)?, self.check(right)?);
                same(of, other)?;
                if !matches!(of, Type::Int | Type::Double | Type::Text | Type::Time) {
                    return Err(ExpressionFault::WrongType {
                        found: of.name(),
                        expected: "a number, a string or a timestamp",
                    });
                }
                let order = order(name).unwrap_or(Order::Less);
                Ok((Node::Compare(order, Box::new([left, right])), Type::Bool))
            }
            (name, [left, right], None) if calculation(name).is_some() => {
                let ((left, of), (right, other)) = (self.check(left)?, self.check(right)?);
                same(of, other)?;
                let calculation = calculation(name).unwrap_or(Calculation::Add);
                if !(of == Type::Text && matches!(calculation, Calculation::Add)) {
                    number(of)?;
                }
                Ok((Node::Calculate(calculation, Box::new([left, right])), of))
            }
            (name, [arg], None) => self.function(name, arg),
            (name, args, Some(target)) => self.method(name, target, args),
            (name, ..) => Err(unknown(name, "these arguments")),
        }
    }

    fn bools(&mut self, args: &[IdedExpr]) -> Result<Vec<Node>, ExpressionFault> {
        args.iter().map(|arg| self.of_type(arg, Type::Bool)).collect()
    }

    fn equal(&mut self, left: &IdedExpr, right: &IdedExpr) -> Checked {
        let ((left, of), (right, other)) = (self.check(left)?, self.check(right)?);
        same(of, other)?;
        if matches!(of, Type::Fields | Type::Map) {
            return Err(ExpressionFault::Unsupported { what: "a comparison of maps" });
        }
        Ok((Node::Equal(Box::new([left, right])), Type::Bool))
    }

    fn is_in(&mut self, item: &IdedExpr, list: &IdedExpr) -> Checked {
        let (item, of) = self.check(item)?;
        if let Expr::List(list) = &list.expr {
            let items: Result<Vec<_>, _> =
                list.elements.iter().map(|element| self.of_type(element, of)).collect();
            return Ok((Node::OneOf(Box::new(item), items?), Type::Bool));
        }
        let (list, kind) = self.check(list)?;
        if !matches!(kind, Type::Texts | Type::Fields | Type::Map) {
            return Err(ExpressionFault::WrongType {
                found: kind.name(),
                expected: "a list or a map",
            });
        }
        same(of, Type::Text)?;
        Ok((Node::In(Box::new([item, list])), Type::Bool))
    }

    fn index(&mut self, map: &IdedExpr, key: &IdedExpr) -> Checked {
        let (map, of) = self.check(map)?;
        let (key_type, value) = match of {
            Type::Map => (Type::Text, Type::Text),
            Type::Fields => (Type::Text, Type::Texts),
            Type::Texts => (Type::Int, Type::Text),
            other => {
                return Err(ExpressionFault::WrongType {
                    found: other.name(),
                    expected: "a list or a map",
                });
            }
        };
        let key = self.of_type(key, key_type)?;
        Ok((Node::Index(Box::new([map, key])), value))
    }

    fn function(&mut self, name: &str, arg: &IdedExpr) -> Checked {
        if name == "timestamp" {
            let Expr::Literal(LiteralValue::String(text)) = &arg.expr else {
                return Err(ExpressionFault::Time);
            };
            let time: weir_rrpair::Timestamp =
                text.inner().parse().map_err(|_no_time| ExpressionFault::Time)?;
            return Ok((Node::Const(Val::Time(time.as_nanoseconds())), Type::Time));
        }
        let (node, of) = self.check(arg)?;
        let node = Box::new(node);
        Ok(match (name, of) {
            ("size", Type::Text | Type::Texts | Type::Fields | Type::Map) => {
                (Node::Size(node), Type::Int)
            }
            ("int", Type::Text | Type::Int | Type::Double) => (Node::ToInt(node), Type::Int),
            ("double", Type::Text | Type::Int | Type::Double) => {
                (Node::ToDouble(node), Type::Double)
            }
            ("string", Type::Text | Type::Int | Type::Double | Type::Bool) => {
                (Node::ToText(node), Type::Text)
            }
            _ => return Err(unknown(name, of.name())),
        })
    }

    fn method(&mut self, name: &str, target: &IdedExpr, args: &[IdedExpr]) -> Checked {
        let (target, of) = self.check(target)?;
        match (name, of, args) {
            ("contains" | "startsWith" | "endsWith", Type::Text, [part]) => {
                let part = self.of_type(part, Type::Text)?;
                let place = match name {
                    "startsWith" => Place::Start,
                    "endsWith" => Place::End,
                    _ => Place::Anywhere,
                };
                Ok((Node::Part(place, Box::new([target, part])), Type::Bool))
            }
            ("matches", Type::Text, [pattern]) => {
                let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
                    return Err(ExpressionFault::Regex);
                };
                let regex = compile_regex(pattern.inner(), false).ok_or(ExpressionFault::Regex)?;
                Ok((Node::Matches(Box::new(target), regex), Type::Bool))
            }
            ("lowerAscii", Type::Text, []) => Ok((Node::Lower(Box::new(target)), Type::Text)),
            ("size", Type::Text | Type::Texts | Type::Fields | Type::Map, []) => {
                Ok((Node::Size(Box::new(target)), Type::Int))
            }
            _ => Err(unknown(name, of.name())),
        }
    }

    /// `exists` and `all`, which the parser has spread out.
    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Checked {
        let ComprehensionExpr { iter_range, iter_var, accu_var, loop_step, result, .. } =
            comprehension;
        let what = "map(), filter() and exists_one()";
        let Expr::Call(CallExpr { func_name, target: None, args }) = &loop_step.expr else {
            return Err(ExpressionFault::Unsupported { what });
        };
        let all = match func_name.as_str() {
            operators::LOGICAL_AND => true,
            operators::LOGICAL_OR => false,
            _ => return Err(ExpressionFault::Unsupported { what }),
        };
        let is_result = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(n) if n == accu_var);
        let [first, bodies @ ..] = args.as_slice() else {
            return Err(ExpressionFault::Unsupported { what });
        };
        if !is_result(first) || !is_result(result) || bodies.is_empty() {
            return Err(ExpressionFault::Unsupported { what });
        }
        if self.variables.len() == MAX_LOOPS {
            return Err(ExpressionFault::TooManyLoops);
        }
        let (range, of) = self.check(iter_range)?;
        if !matches!(of, Type::Texts | Type::Fields | Type::Map) {
            return Err(ExpressionFault::WrongType {
                found: of.name(),
                expected: "a list or a map",
            });
        }
        self.variables.push((iter_var.clone(), Type::Text));
        let body = self.bools(bodies);
        self.variables.pop();
        let body = Box::new(if all { Node::All(body?) } else { Node::Any(body?) });
        Ok((Node::Loop { all, range: Box::new(range), body }, Type::Bool))
    }
}

fn not_empty(node: Node) -> Node {
    Node::NotEmpty(Box::new(node))
}

fn field(name: &str) -> Checked {
    FIELDS
        .iter()
        .find(|field| field.name == name)
        .map(|field| (Node::Field(field.get), field.of))
        .ok_or_else(|| ExpressionFault::UnknownField { name: name.to_owned() })
}

fn literal_of(literal: &LiteralValue) -> Checked {
    Ok(match literal {
        LiteralValue::Boolean(value) => (Node::Const(Val::Bool(*value.inner())), Type::Bool),
        LiteralValue::Int(value) => (Node::Const(Val::Int(*value.inner())), Type::Int),
        LiteralValue::UInt(value) => {
            let value = i64::try_from(*value.inner())
                .map_err(|_too_large| ExpressionFault::Unsupported { what: "so large a number" })?;
            (Node::Const(Val::Int(value)), Type::Int)
        }
        LiteralValue::Double(value) => (Node::Const(Val::Double(*value.inner())), Type::Double),
        LiteralValue::String(value) => {
            (Node::Const(Val::Text(value.inner().to_owned().into())), Type::Text)
        }
        LiteralValue::Bytes(_) => return Err(ExpressionFault::Unsupported { what: "bytes" }),
        LiteralValue::Null => return Err(ExpressionFault::Unsupported { what: "null" }),
    })
}

fn order(name: &str) -> Option<Order> {
    Some(match name {
        operators::LESS => Order::Less,
        operators::LESS_EQUALS => Order::LessOrEqual,
        operators::GREATER => Order::Greater,
        operators::GREATER_EQUALS => Order::GreaterOrEqual,
        _ => return None,
    })
}

fn calculation(name: &str) -> Option<Calculation> {
    Some(match name {
        operators::ADD => Calculation::Add,
        operators::SUBSTRACT => Calculation::Subtract,
        operators::MULTIPLY => Calculation::Multiply,
        operators::DIVIDE => Calculation::Divide,
        operators::MODULO => Calculation::Modulo,
        _ => return None,
    })
}

fn same(left: Type, right: Type) -> Result<(), ExpressionFault> {
    if left == right {
        return Ok(());
    }
    Err(ExpressionFault::Mismatch { left: left.name(), right: right.name() })
}

fn number(of: Type) -> Result<(), ExpressionFault> {
    if matches!(of, Type::Int | Type::Double) {
        return Ok(());
    }
    Err(ExpressionFault::WrongType { found: of.name(), expected: "a number" })
}

fn unknown(name: &str, of: &str) -> ExpressionFault {
    ExpressionFault::UnknownFunction { name: name.to_owned(), of: of.to_owned() }
}
