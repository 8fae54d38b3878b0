//! Which lines of a range went out, noted before they do.
//!
//! A sink keeps what landed as ranges of lines. So what an attempt left out, the next one must not let out, though it may have
//! another version of the pipeline: the sink would take that line for landed, and it would be nowhere. It is late, as in
//! [`millrace_core::window`], and goes to the quarantine.

use crate::error::Error;
use crate::ledger::{Known as Item, Ledger};
use millrace_core::guard::{Guard, Health};
use millrace_core::port::{self, Clock, KeyTable, Kind, When};
use millrace_core::record::Source;
use millrace_core::time::Micros;
use millrace_core::window::{Bounds, Known, Knows, Memory, Outgoing};
use serde::{Deserialize, Serialize};

/// Remembers the lines of the batch that was worked on last, of each range, by way of the table.
#[derive(Debug)]
pub struct Lines<T> {
    table: Guard<T>,
    open: Option<Open>,
}

/// The range that is worked on.
#[derive(Debug)]
struct Open {
    source: Source,
    /// The first line of the batch at hand.
    first: u64,
    noted: Option<Item<Noted>>,
}

/// The most stretches of lines that are noted: an item has room for so many.
const STRETCHES_MAX: usize = 100_000;

/// The lines that went out: stretches of them, from each first line to its last. In the table they are lengths, of a stretch
/// that did not go out and of one that did, and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u64>", into = "Vec<u64>")]
pub(crate) struct Noted(Vec<(u64, u64)>);

impl From<Vec<u64>> for Noted {
    fn from(lengths: Vec<u64>) -> Self {
        let mut at = 0_u64;
        let stretch = |pair: &[u64]| {
            let [before, length] = *pair else { return None };
            let first = at.saturating_add(before);
            at = first.saturating_add(length);
            Some((first, at.saturating_sub(1)))
        };
        Self(lengths.chunks_exact(2).filter_map(stretch).collect())
    }
}

impl From<Noted> for Vec<u64> {
    fn from(noted: Noted) -> Self {
        let mut at = 0;
        let lengths = |(first, last)| {
            let pair = [first - at, last + 1 - first];
            at = last + 1;
            pair
        };
        noted.0.into_iter().flat_map(lengths).collect()
    }
}

impl Noted {
    fn of(lines: impl IntoIterator<Item = u64>) -> Self {
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for line in lines {
            match stretches.last_mut() {
                Some((_, last)) if *last + 1 >= line => *last = line,
                _ => stretches.push((line, line)),
            }
        }
        match (stretches.first(), stretches.last()) {
            // A batch of rows of some bytes each, of which every other one is left out: better known in part than never out.
            (Some((first, _)), Some((_, last))) if stretches.len() > STRETCHES_MAX => {
                Self(vec![(*first, *last)])
            }
            _ => Self(stretches),
        }
    }

    /// Whether an attempt let out what is around this line, and not this one.
    fn left_out(&self, line: u64) -> bool {
        let (Some((first, _)), Some((_, last))) = (self.0.first(), self.0.last()) else { return false };
        let behind = || self.0.partition_point(|(_, last)| *last < line);
        (*first..=*last).contains(&line) && self.0.get(behind()).is_none_or(|(first, _)| line < *first)
    }

    fn lines_from(&self, from: u64) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(first, last)| *first..=*last).filter(move |line| *line >= from)
    }
}

impl<T> Lines<T> {
    /// Notes them in this table, which has what else is known of files.
    pub const fn new(table: Guard<T>) -> Self {
        Self { table, open: None }
    }

    fn ledger<'a, C>(&'a self, source: &Source, clock: &'a C, deadline: Micros) -> Ledger<'a, T, C> {
        Ledger { table: &self.table, clock, deadline, key: source.stream.replacen('-', "/", 1) }
    }
}

/// Where it lies beside what else is known of the file.
fn place(source: &Source) -> String {
    format!("out/{}", source.shard)
}

impl<T> Knows for Lines<T> {
    fn known(&self, _id: u128, sequence: &str, _arrived_at: Micros) -> Known {
        let noted = self.open.as_ref().and_then(|open| open.noted.as_ref());
        let is_late =
            noted.is_some_and(|noted| sequence.parse().is_ok_and(|line| noted.value.left_out(line)));
        if is_late { Known::Late } else { Known::New }
    }

    /// Ids of files are not noted.
    fn let_out(&self, _sequence: &str) -> bool {
        false
    }
}

impl<T: KeyTable> Memory for Lines<T> {
    async fn open(
        &mut self,
        batch: Bounds<'_>,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(), port::Error> {
        let first = batch.first.parse().unwrap_or_default();
        if let Some(open) = self.open.as_mut().filter(|open| open.source == *batch.source) {
            open.first = first;
            return Ok(());
        }
        self.open = None;
        let noted = self.ledger(batch.source, clock, deadline).read(&place(batch.source)).await;
        self.open = Some(Open { source: batch.source.clone(), first, noted: noted.map_err(as_it_passes)? });
        Ok(())
    }

    async fn keep(
        &mut self,
        out: &Outgoing,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(), port::Error> {
        // Where the write fails nobody knows what is there: the next attempt reads it.
        let Some(Open { source, first, noted }) = self.open.take() else { return Ok(()) };
        let before = noted.iter().flat_map(|noted| noted.value.lines_from(first));
        let mut lines: Vec<u64> = before.chain(out.records().filter_map(|line| line.parse().ok())).collect();
        lines.sort_unstable();
        let when = noted.as_ref().map_or(When::Absent, |noted| When::Version(noted.version));
        let written =
            self.ledger(&source, clock, deadline).write(&place(&source), Noted::of(lines), when).await;
        self.open = Some(Open { source, first, noted: Some(written.map_err(as_it_passes)?) });
        Ok(())
    }

    fn health(&self) -> Vec<Health> {
        self.table.health().into_iter().collect()
    }

    fn is_short(&self) -> bool {
        false
    }
}

/// Another attempt at work is what passes.
fn as_it_passes(why: Error) -> port::Error {
    match why {
        Error::Dependency(why) => why,
        why => port::Error { what: why.to_string(), kind: Kind::Transient, source: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_left_out_where_others_around_it_are_not() {
        let noted = Noted::of([3, 4, 5, 8, 8, 11]);
        assert_eq!(noted, Noted(vec![(3, 5), (8, 8), (11, 11)]));
        let left_out: Vec<u64> = (0..20).filter(|line| noted.left_out(*line)).collect();
        assert_eq!(left_out, [6, 7, 9, 10]);
        assert_eq!(noted.lines_from(5).collect::<Vec<_>>(), [5, 8, 11]);
        assert!(!Noted::default().left_out(0));
        let lengths = Vec::from(noted.clone());
        assert_eq!((&lengths, Noted::from(lengths.clone())), (&vec![3, 3, 2, 1, 2, 1], noted));
        let many = Noted::of((0..400_000).step_by(2));
        assert_eq!(many, Noted(vec![(0, 399_998)]));
    }
}
