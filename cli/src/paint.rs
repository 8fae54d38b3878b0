//! Colours and tables for people. Where nobody sees colours, or `NO_COLOR` is set, there are none.

use crate::diff::Change;
use crate::error::Error;
use anstyle::{AnsiColor, Style};
use millrace_core::account::StepTally;
use std::fmt::{Display, Write as _};
use std::io::Write as _;

pub(crate) const ADDED: Style = AnsiColor::Green.on_default();
pub(crate) const REMOVED: Style = AnsiColor::Red.on_default();
pub(crate) const CHANGED: Style = AnsiColor::Yellow.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// How much of a value is shown, in characters.
const SHOWN: usize = 160;

/// The text in a style.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes a painted page to stdout.
pub(crate) fn print(page: &str) -> Result<(), Error> {
    anstream::stdout().write_all(page.as_bytes()).map_err(Error::stdout)
}

/// Writes a painted page to stderr.
pub(crate) fn warn(page: &str) {
    let _ = anstream::stderr().write_all(page.as_bytes());
}

/// A text of an event as a terminal may show it: no sign moves the cursor, turns the direction, or is a colour.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars();
    for sign in signs.by_ref().take(SHOWN) {
        let turns =
            matches!(sign, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if sign.is_control() || turns {
            // Writing to a String cannot fail.
            let _ = write!(plain, "\\u{:04x}", u32::from(sign));
        } else {
            plain.push(sign);
        }
    }
    if signs.next().is_some() {
        plain.push('…');
    }
    plain
}

/// A change in a line: the field, what it was, what it is.
pub(crate) fn change(change: &Change) -> String {
    let path = plain(&change.path);
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    match (before.map(|json| plain(json.get())), after.map(|json| plain(json.get()))) {
        (None, after) => {
            format!("{} {path}  {}", paint(ADDED, "+"), paint(ADDED, after.unwrap_or_default()))
        }
        (Some(before), None) => format!("{} {path}  {}", paint(REMOVED, "-"), paint(REMOVED, before)),
        (Some(before), Some(after)) => {
            format!("{} {path}  {} → {}", paint(CHANGED, "~"), paint(REMOVED, before), paint(ADDED, after))
        }
    }
}

/// What each step did, a line for each.
pub(crate) fn table(steps: &[StepTally]) -> String {
    let width = steps.iter().map(|tally| tally.step.len()).max().unwrap_or_default().max(4);
    let digits = steps.len().to_string().len();
    let head = format!(
        "{:digits$} {:width$} {:>9} {:>9} {:>9} {:>9} {:>11}",
        "", "step", "in", "out", "changed", "dropped", "quarantined"
    );
    let mut page = format!("{}\n", paint(BOLD, head));
    for (number, tally) in (1..).zip(steps) {
        let count = |count: usize, style: Style, width: usize| {
            paint(if count == 0 { DIM } else { style }, format!("{count:>width$}"))
        };
        let _ = writeln!(
            page,
            "{number:digits$} {:width$} {} {} {} {} {}",
            tally.step,
            count(tally.r#in, Style::new(), 9),
            count(tally.out(), Style::new(), 9),
            count(tally.changed, CHANGED, 9),
            count(tally.dropped, REMOVED, 9),
            count(tally.quarantined, REMOVED, 11),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sign_of_an_event_commands_a_terminal() {
        assert_eq!(plain("a\u{1b}[31m\u{9b}b\u{202e}c\u{7f}"), "a\\u001b[31m\\u009bb\\u202ec\\u007f");
        assert_eq!(plain(&"é".repeat(SHOWN)), "é".repeat(SHOWN));
        assert_eq!(plain(&"é".repeat(SHOWN + 1)), "é".repeat(SHOWN) + "…");
    }
}
