//! A mistake in a file that people write, `pipeline.toml` above all: what, where, and what was meant.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but hardly says what was meant.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    severity: Severity,
    message: String,
    help: Option<String>,
    at: Option<Range<usize>>,
    /// The word in there that it is about.
    word: Option<String>,
}

impl Mistake {
    /// A mistake that makes the file useless.
    pub fn new(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), help: None, at: None, word: None }
    }

    /// A mistake that is perhaps none.
    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(message) }
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where, in bytes of the text, unless it is known more exactly already.
    #[must_use]
    pub fn within(mut self, at: Range<usize>) -> Self {
        self.at.get_or_insert(at);
        self
    }

    /// Says which word it is about, of those in the place that is told.
    #[must_use]
    pub(crate) fn about(mut self, word: &str) -> Self {
        self.word = Some(word.to_owned());
        self
    }

    /// A mistake that the TOML reader found, in the syntax or in a type.
    #[must_use]
    pub fn from_toml(error: &toml::de::Error, around: Range<usize>) -> Self {
        let message = plain(error.message());
        // "unknown field `tyep`, expected one of `id`, `type`": what stands between backticks.
        let mut names = message.split('`').skip(1).step_by(2);
        let help = match (message.starts_with("unknown "), names.next()) {
            (true, Some(unknown)) => nearest(unknown, names),
            _ if message.starts_with("wrong type: a table, expected") => {
                Some("a field with dots in its name needs quotes here: \"data.x\"".to_owned())
            }
            _ => None,
        };
        Self { help, ..Self::new(message) }.within(error.span().unwrap_or(around))
    }
}

#[cfg(test)]
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.iter().try_for_each(|help| write!(f, " = {help}"))
    }
}

/// serde's words in those of TOML.
fn plain(message: &str) -> String {
    let message = message.trim().replace('\n', ", ").replace("invalid type: map", "invalid type: a table");
    let message = message.replace("invalid type", "wrong type").replace("unknown variant", "unknown value");
    // "field" is what people call the fields of an event.
    let message = message.replace("missing field", "missing setting");
    let message = message.replace("a sequence", "a list, `[…]`").replace(": sequence,", ": a list, `[…]`,");
    let message = message
        .replace("expected u32", "expected a whole number")
        .replace("expected f64", "expected a number");
    match message.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => message,
    }
}

/// "did you mean" the known name that is most like this one, where one is alike.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    let best = known.max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(best) >= 0.6).then(|| format!("did you mean `{best}`?"))
}

/// All mistakes of a file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    text: String,
    mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// The mistakes in this text.
    #[must_use]
    pub fn new(text: &str, mut mistakes: Vec<Mistake>) -> Self {
        for mistake in &mut mistakes {
            let word = mistake.word.take().zip(mistake.at.clone());
            mistake.at = word.and_then(|(word, at)| find_word(text, at, &word)).or(mistake.at.take());
        }
        mistakes.sort_by_key(|mistake| mistake.at.as_ref().map(|at| at.start));
        Self { text: text.to_owned(), mistakes }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.mistakes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// The mistakes for people, with file, line, column, the line itself and the place marked.
    #[must_use]
    pub fn render(&self, file: &str) -> String {
        let mut page = String::new();
        for mistake in &self.mistakes {
            let at = mistake.at.clone().unwrap_or(0..0);
            let place = Place::of(&self.text, &at);
            // Writing to a String cannot fail.
            let severity = match mistake.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let _ = writeln!(page, "{file}:{}:{}: {severity}: {}", place.line, place.column, mistake.message);
            let margin = " ".repeat(place.line.to_string().len());
            if !place.text.is_empty() {
                let gap = " ".repeat(place.column - 1);
                let marks = "^".repeat(place.width);
                let _ =
                    writeln!(page, "{margin} |\n{} | {}\n{margin} | {gap}{marks}", place.line, place.text);
            }
            if let Some(help) = &mistake.help {
                let _ = writeln!(page, "{margin} = {help}");
            }
        }
        page
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render("pipeline.toml"))
    }
}

impl std::error::Error for Mistakes {}

/// The line that this byte of the text stands in, from 1.
#[must_use]
pub fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Where a word stands first in a stretch of the text, and not as a part of another.
#[must_use]
pub(crate) fn find_word(text: &str, within: Range<usize>, word: &str) -> Option<Range<usize>> {
    let is_part = |sign: char| sign.is_alphanumeric() || sign == '_';
    let written = text.get(within.clone())?;
    let is_whole = |start: usize| {
        let (before, after) = (written.get(..start), written.get(start + word.len()..));
        !before.is_some_and(|text| text.ends_with(is_part))
            && !after.is_some_and(|text| text.starts_with(is_part))
    };
    let (start, _) = written.match_indices(word).find(|(start, _)| is_whole(*start))?;
    Some(within.start + start..within.start + start + word.len())
}

/// A stretch of the text as people count it, from 1, in characters.
struct Place<'a> {
    line: usize,
    column: usize,
    width: usize,
    text: &'a str,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, at: &Range<usize>) -> Self {
        let before = text.get(..at.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let marked = text.get(at.clone()).and_then(|marked| marked.lines().next()).unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column,
            width: marked.chars().count().max(1),
            text: line.trim_end(),
        }
    }
}
