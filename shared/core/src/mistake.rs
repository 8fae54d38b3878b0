//! A mistake in a file that people write, `pipeline.toml` above all: what, where, and what was meant.

mod quoted;
mod toml;

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
    /// What of the string there it is about, in bytes of its value.
    part: Option<Range<usize>>,
    /// Whether the place is that of a whole table or list, in which the message may name what it is about.
    is_around: bool,
}

impl Mistake {
    /// A mistake that makes the file useless.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            help: None,
            at: None,
            part: None,
            is_around: false,
        }
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

    /// Says in what it is to be looked for, unless the place is known already: what the message names first is marked.
    #[must_use]
    pub(crate) fn around(mut self, at: Range<usize>) -> Self {
        self.is_around |= self.at.is_none();
        self.within(at)
    }

    /// Says what it is about of the string that stands in the place that is told, in bytes of the string's value.
    #[must_use]
    pub(crate) fn about(mut self, part: Range<usize>) -> Self {
        self.part.get_or_insert(part);
        self
    }
}

#[cfg(test)]
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.iter().try_for_each(|help| write!(f, " = {help}"))
    }
}

#[cfg(test)]
impl Mistake {
    /// What it is about of the string there.
    pub(crate) fn part(&self) -> Option<Range<usize>> {
        self.part.clone()
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
            let Some(at) = mistake.at.take() else { continue };
            // A table in braces is meant as one.
            let is_braced = text.get(at.start..).is_some_and(|text| text.starts_with(['{', '[']));
            mistake.help.take_if(|help| help == toml::DOTS && is_braced);
            mistake.at = Some(match &mistake.part {
                Some(part) => place_in(text, at, part),
                None if mistake.is_around => named_in(text, at, &mistake.message),
                None => at,
            });
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
            if !place.shown.is_empty() {
                let Place { line, shown, marks, .. } = &place;
                let _ = writeln!(page, "{margin} |\n{line} | {shown}\n{margin} | {marks}");
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

/// Where a part of a string's value is written, or else the string.
#[must_use]
pub(crate) fn place_in(text: &str, string: Range<usize>, part: &Range<usize>) -> Range<usize> {
    quoted::place_of(text, &string, part).unwrap_or(string)
}

/// Where a table or a list has what a message names first, as a text or as a key; or else all of it.
fn named_in(text: &str, at: Range<usize>, message: &str) -> Range<usize> {
    let find = || {
        let name =
            message.split('`').nth(1).filter(|name| !name.is_empty() && !message.starts_with("missing"))?;
        let written = text.get(at.clone())?;
        let quoted = ['"', '\''].into_iter().find_map(|quote| {
            let word = format!("{quote}{name}{quote}");
            written.find(&word).map(|start| start..start + word.len())
        });
        let is_part = |sign: char| sign.is_alphanumeric() || "_-.\"'".contains(sign);
        let is_key = |start: usize| {
            let (before, behind) = (written.get(..start), written.get(start + name.len()..));
            !before.is_some_and(|text| text.ends_with(is_part))
                && behind.is_some_and(|text| text.trim_start().starts_with(['=', '.']))
        };
        quoted.or_else(|| {
            let (start, _) = written.match_indices(name).find(|(start, _)| is_key(*start))?;
            Some(start..start + name.len())
        })
    };
    find().map_or(at.clone(), |found| at.start + found.start..at.start + found.end)
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

/// Whether a terminal shows a sign, and obeys nothing.
fn is_harmless(sign: char) -> bool {
    sign == '\t' || !sign.is_control()
}

/// How much of a line is shown, in characters, and how much of that before what is marked.
const SHOWN: usize = 160;
const SHOWN_BEFORE: usize = 60;

/// A stretch of the text as people count it, from 1, in characters.
struct Place {
    line: usize,
    column: usize,
    /// The line, or what of a long one is around the stretch.
    shown: String,
    /// What leads to the stretch below the line, and what marks it.
    marks: String,
}

impl Place {
    fn of(text: &str, at: &Range<usize>) -> Self {
        let before = text.get(..at.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim_end();
        let first = before.get(line_start..).unwrap_or_default().chars().count();
        let marked = text.get(at.clone()).and_then(|marked| marked.lines().next()).unwrap_or_default();

        let length = line.chars().count();
        let from = first.saturating_sub(SHOWN_BEFORE).min(length.saturating_sub(SHOWN));
        let cut = |is_cut: bool| if is_cut { "…" } else { "" };
        let (start, end) = (cut(from > 0), cut(from + SHOWN < length));
        let shown: String = line.chars().skip(from).take(SHOWN).collect();
        let shown: String =
            shown.chars().map(|sign| if is_harmless(sign) { sign } else { '\u{fffd}' }).collect();
        // A tab is as wide below as it is above.
        let blank = |sign: char| if sign == '\t' { sign } else { ' ' };
        let above = start.chars().chain(shown.chars()).chain(std::iter::repeat(' '));
        let gap: String = above.take(start.chars().count() + first - from).map(blank).collect();
        let width = marked.chars().count().min(from + SHOWN - first.min(from + SHOWN)).max(1);
        Self {
            line: before.matches('\n').count() + 1,
            column: first + 1,
            marks: gap + &"^".repeat(width),
            shown: format!("{start}{shown}{end}"),
        }
    }
}
