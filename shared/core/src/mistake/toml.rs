//! What the TOML reader says, in words for people.

use super::{Mistake, nearest};
use std::ops::Range;

/// Told of a table where a text or a number is expected. Braces are meant as a table, dots hardly are.
pub(super) const DOTS: &str = "a field with dots in its name needs quotes here: \"data.x\"";

/// Names of types that mean much the same, in one language or another.
const TYPES: [&[&str]; 5] = [
    &["int", "integer", "bigint", "long", "int64"],
    &["float", "double", "number", "decimal", "float64"],
    &["bool", "boolean"],
    &["string", "text", "str", "varchar"],
    &["timestamp", "date", "datetime", "time"],
];

impl Mistake {
    /// A mistake that the TOML reader found in a type or a name.
    #[must_use]
    pub fn from_toml(error: &toml::de::Error, around: Range<usize>) -> Self {
        let message = plain(error.message());
        if let Some((message, meant)) = message.split_once(", did you mean ") {
            return Self::new(message)
                .with_help(format!("did you mean {meant}"))
                .around(error.span().unwrap_or(around));
        }
        // "unknown field `tyep`, expected one of `id`, `type`": what stands between backticks.
        let mut names = message.split('`').skip(1).step_by(2);
        let help = match (message.strip_prefix("wrong type: "), names.next()) {
            (None, Some(unknown)) if message.starts_with("unknown ") => {
                let names: Vec<_> = names.collect();
                nearest(unknown, names.iter().copied()).or_else(|| same_type(unknown, &names))
            }
            (Some(wrong), _)
                if wrong.starts_with("a table, expected") && !wrong.ends_with("a list, `[…]`") =>
            {
                Some(DOTS.to_owned())
            }
            (Some(wrong), name) => match (wrong.strip_prefix("string "), name) {
                (Some(rest), _) if rest.ends_with(", expected a list, `[…]`") => rest
                    .strip_suffix(", expected a list, `[…]`")
                    .map(|text| format!("a list has brackets: [{text}]")),
                (None, Some(name)) if wrong.ends_with("`, expected a string") && name != "[…]" => {
                    Some(format!("a text has quotes: \"{name}\""))
                }
                _ => None,
            },
            _ => None,
        };
        Self { help, ..Self::new(message) }.around(error.span().unwrap_or(around))
    }

    /// A mistake that the TOML reader found in the syntax of a text: told better where it is one that people make.
    #[must_use]
    pub fn from_syntax(text: &str, error: &toml::de::Error) -> Self {
        let told = Self::from_toml(error, 0..0);
        let at = error.span().unwrap_or(0..0);
        let (before, behind) =
            (text.get(..at.start).unwrap_or(text), text.get(at.start..).unwrap_or_default());
        let is_end = behind.is_empty() || behind.starts_with(['\n', '\r']);
        let is = |start: &str| told.message.starts_with(start);
        let better = |message: String, help: &str| Self::new(message).with_help(help).within(at.clone());
        let word: String =
            behind.chars().take_while(|sign| !sign.is_whitespace() && !"],}#".contains(*sign)).collect();

        if is("missing escaped value") {
            let sign: String = behind.chars().take(1).collect();
            let help = "write each `\\` twice, or the text between `'''`, where it stands for itself";
            return better(format!("`\\{sign}` stands for nothing in TOML"), help);
        }
        if (is("invalid basic string") || is("invalid literal string")) && is_end {
            let help = "a text of several lines stands between `\"\"\"` or `'''`";
            return better("this text has no end on its line".to_owned(), help);
        }
        if is("unexpected key or value") && before.ends_with(['"', '\'']) {
            let help = "a text with quotes in it stands between others: \"country == 'DE'\"";
            return better("the text ends before this".to_owned(), help);
        }
        if is("key with no value") && before.trim_end().ends_with(':') {
            return better("a key without a value".to_owned(), "TOML writes `key = value`");
        }
        let header = before.rsplit('\n').find(|line| line.starts_with('[')).unwrap_or_default();
        if is("duplicate key") && header.starts_with("[[") {
            return told
                .with_help(format!("the second one stands below a `{}` of its own", header.trim_end()));
        }
        if behind.starts_with(['“', '”', '‘', '’', '„', '«', '`']) {
            let sign: String = behind.chars().take(1).collect();
            return better(format!("`{sign}` is no quote in TOML"), "it has `\"` and `'`");
        }
        let is_unquoted =
            ["invalid float", "invalid integer", "string values must be quoted"].into_iter().any(is);
        match word.as_str() {
            _ if !is_unquoted => told,
            "null" | "nil" | "None" | "NULL" | "undefined" => {
                better(format!("TOML has no `{word}`"), "leave the setting out")
            }
            "True" | "TRUE" | "yes" | "Yes" | "on" => {
                better(format!("TOML has no `{word}`"), "it has `true`")
            }
            "False" | "FALSE" | "no" | "No" | "off" => {
                better(format!("TOML has no `{word}`"), "it has `false`")
            }
            _ if word.starts_with(|sign: char| sign.is_alphabetic() || sign == '_') => {
                better("a text without quotes".to_owned(), "a text has quotes: \"like this\"")
            }
            _ => told,
        }
    }
}

/// "did you mean" the known type that is the same as this one.
fn same_type(name: &str, known: &[&str]) -> Option<String> {
    let same = TYPES.into_iter().find(|names| names.contains(&name.to_lowercase().as_str()))?;
    known.iter().find(|known| same.contains(*known)).map(|known| format!("did you mean `{known}`?"))
}

/// serde's words in those of TOML.
fn plain(message: &str) -> String {
    let message = message.trim().replace('\n', ", ").replace("invalid type: map", "invalid type: a table");
    let message = message.replace("invalid type", "wrong type").replace("unknown variant", "unknown value");
    // "field" is what people call the fields of an event.
    let message =
        message.replace("missing field", "missing setting").replace("unknown field", "unknown setting");
    let message = message.replace("a sequence", "a list, `[…]`").replace(": sequence,", ": a list, `[…]`,");
    let message = message
        .replace("floating point `", "number `")
        .replace("expected u32", "expected a whole number")
        .replace("expected f64", "expected a number");
    match message.split_once("expected struct ") {
        Some((before, "Column")) => format!("{before}expected a table, `{{ name = …, type = … }}`"),
        Some((before, _)) => format!("{before}expected a table"),
        None => message,
    }
}
