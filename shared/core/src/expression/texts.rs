//! The functions that cut, search and join texts, of CEL's extension for them:
//! <https://pkg.go.dev/github.com/google/cel-go/ext#Strings>. Positions count code points, from 0.

use super::evaluate::{Budget, Error, Name};
use super::value::{Kind, List, Value};
use std::ops::Range;
use std::sync::Arc;

/// Calls a function on what it stands behind, the first of the values.
pub(super) fn call<'e>(name: Name, values: &[Value<'e>], budget: &mut Budget) -> Result<Value<'e>, Error> {
    let call = Call { name, values };
    let Some(of) = values.first() else { return Ok(Value::Null) };
    if *name == "join" {
        return join(&call, of, budget);
    }
    let text = call.text(0)?;
    budget.spend_matched(text.len())?;
    Ok(match *name {
        "lowerAscii" => Value::MadeText(text.to_ascii_lowercase().into()),
        "upperAscii" => Value::MadeText(text.to_ascii_uppercase().into()),
        "trim" => {
            let start = text.len() - text.trim_start().len();
            cut(of, start..start + text.trim().len())
        }
        "charAt" => {
            let start = position(text, call.int(1)?)?;
            let rest = text.get(start..).unwrap_or_default();
            cut(of, start..start + rest.chars().next().map_or(0, char::len_utf8))
        }
        "substring" => {
            let start = position(text, call.int(1)?)?;
            let end = call.optional_int(2)?.map_or(Ok(text.len()), |end| position(text, end))?;
            (start <= end).then(|| cut(of, start..end)).ok_or(Error::OutOfBounds)?
        }
        "indexOf" | "lastIndexOf" => {
            let (part, from) = (call.text(1)?, call.optional_int(2)?);
            budget.spend_bytes(part.len())?;
            Value::Int(index(text, part, from, *name == "lastIndexOf")?)
        }
        "replace" => {
            let (old, new, most) = (call.text(1)?, call.text(2)?, call.most(3)?);
            replace(text, old, new, most, budget)?
        }
        _ => split(of, text, call.text(1)?, call.most(2)?, budget)?,
    })
}

/// A call, which takes its arguments out or tells which it does not take.
struct Call<'v, 'e> {
    name: Name,
    values: &'v [Value<'e>],
}

impl<'v> Call<'v, '_> {
    fn text(&self, at: usize) -> Result<&'v str, Error> {
        self.values.get(at).and_then(Value::text).ok_or_else(|| self.overload(at))
    }

    fn int(&self, at: usize) -> Result<i64, Error> {
        match self.values.get(at) {
            Some(Value::Int(int)) => Ok(*int),
            _ => Err(self.overload(at)),
        }
    }

    fn optional_int(&self, at: usize) -> Result<Option<i64>, Error> {
        (at < self.values.len()).then(|| self.int(at)).transpose()
    }

    /// How many, where none or a negative number says all.
    fn most(&self, at: usize) -> Result<usize, Error> {
        let most = self.optional_int(at)?;
        Ok(most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX))
    }

    /// Names what it stands behind and the argument that is wrong.
    fn overload(&self, at: usize) -> Error {
        let kind = |at| self.values.get(at).map(Value::kind);
        let wrong = if at == 0 { None } else { kind(at) };
        Error::Overload(self.name, kind(0).unwrap_or(Kind::Null), wrong)
    }
}

/// A part of a text, borrowed where that is.
fn cut<'e>(of: &Value<'e>, range: Range<usize>) -> Value<'e> {
    match of {
        Value::Text(text) => {
            let text: &'e str = text;
            Value::Text(text.get(range).unwrap_or_default())
        }
        of => Value::MadeText(of.text().and_then(|text| text.get(range)).unwrap_or_default().into()),
    }
}

/// Where the code point of a number begins; the end is one, too.
fn position(text: &str, number: i64) -> Result<usize, Error> {
    let number = usize::try_from(number).map_err(|_| Error::OutOfBounds)?;
    let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.into_iter().nth(number).ok_or(Error::OutOfBounds)
}

/// The number of the code point where a part begins, the first or the last one, or -1. It begins at `from` or behind;
/// the last one at `from` or before.
fn index(text: &str, part: &str, from: Option<i64>, last: bool) -> Result<i64, Error> {
    let count = |end: usize| {
        let before = text.get(..end).unwrap_or_default().chars().count();
        i64::try_from(before).map_err(|_| Error::OutOfBounds)
    };
    let found = match from {
        None if last => text.rfind(part),
        None => text.find(part),
        // Nothing is everywhere.
        Some(from) if part.is_empty() && from >= 0 => return Ok(from.min(count(text.len())?)),
        Some(from) => {
            let from = position(text, from)?;
            if from == text.len() {
                return Err(Error::OutOfBounds);
            }
            if last {
                let end = text.floor_char_boundary(from + part.len());
                text.get(..end).and_then(|start| start.rfind(part))
            } else {
                text.get(from..).and_then(|rest| rest.find(part)).map(|at| from + at)
            }
        }
    };
    found.map_or(Ok(-1), count)
}

fn replace<'e>(
    text: &str,
    old: &str,
    new: &str,
    most: usize,
    budget: &mut Budget,
) -> Result<Value<'e>, Error> {
    let mut made = String::new();
    let mut start = 0;
    for (at, found) in text.match_indices(old).take(most) {
        budget.spend(1)?;
        budget.spend_bytes(new.len())?;
        made.push_str(text.get(start..at).unwrap_or_default());
        made.push_str(new);
        start = at + found.len();
    }
    made.push_str(text.get(start..).unwrap_or_default());
    Ok(Value::MadeText(made.into()))
}

/// At most so many parts, the last with all that is left; between nothing, the code points.
fn split<'e>(
    of: &Value<'e>,
    text: &str,
    separator: &str,
    most: usize,
    budget: &mut Budget,
) -> Result<Value<'e>, Error> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, found) in text.match_indices(separator) {
        budget.spend(1)?;
        if parts.len().saturating_add(1) >= most {
            break;
        }
        if found.is_empty() && (at == 0 || at == text.len()) {
            continue;
        }
        parts.push(cut(of, start..at));
        start = at + found.len();
    }
    if most > 0 && !(text.is_empty() && separator.is_empty()) {
        parts.push(cut(of, start..text.len()));
    }
    Ok(Value::MadeList(Arc::new(parts)))
}

fn join<'e>(call: &Call<'_, 'e>, of: &Value<'e>, budget: &mut Budget) -> Result<Value<'e>, Error> {
    let list = of.list().ok_or_else(|| call.overload(0))?;
    let separator = if call.values.len() > 1 { call.text(1)? } else { "" };
    let mut joined = String::new();
    for (at, value) in List::iter(&list).enumerate() {
        let text = value.text().ok_or(Error::Overload(call.name, Kind::List, Some(value.kind())))?;
        budget.spend(1)?;
        budget.spend_bytes(separator.len() + text.len())?;
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::MadeText(joined.into()))
}
