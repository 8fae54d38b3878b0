//! Which lines of a range went out, noted before they do.
//!
//! A sink keeps what landed as ranges of lines. So what an attempt left out, the next one must not let out, though it may have
//! another version of the pipeline: the sink would take that line for landed, and it would be nowhere. It is late, as in
//! [`millrace_core::window`], and goes to the quarantine.

use crate::error::Error;
use crate::file::state_key_of;
use crate::ledger::{self, Ledger};
use base64::prelude::{BASE64_STANDARD, Engine as _};
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
    noted: Option<ledger::Known<Noted>>,
}

const TOO_LARGE: &str = "there is no room to note which lines of a batch go out";

/// So many lines in a row of which none went out take no bits of their own: a row of CSV may have many lines.
const APART: usize = 1 << 16;

/// The lines that went out: stretches of them, from each first line to its last. In the table they are parts: a first line, and
/// from there on a bit a line, in base64.
///
/// So an item has room for any batch. Of its 4 MB of text an empty line takes a byte, and one that goes out two at least: the most
/// that can be told of those are 2.9 million bits, where a line goes out with a chance of 0.382 (the golden section).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, String)>", into = "Vec<(u64, String)>")]
pub(crate) struct Noted(Vec<(u64, u64)>);

impl TryFrom<Vec<(u64, String)>> for Noted {
    type Error = base64::DecodeError;

    fn try_from(parts: Vec<(u64, String)>) -> Result<Self, Self::Error> {
        let mut lines = Vec::new();
        for (first, bits) in parts {
            let bits = BASE64_STANDARD.decode(bits)?;
            let bits = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
            lines.extend((first..).zip(bits).filter_map(|(line, is_out)| is_out.then_some(line)));
        }
        Ok(Self::of(lines))
    }
}

impl From<Noted> for Vec<(u64, String)> {
    fn from(noted: Noted) -> Self {
        let mut parts: Vec<(u64, Vec<u8>)> = Vec::new();
        for line in noted.lines_from(0) {
            let bit = |first: u64| usize::try_from(line - first).unwrap_or(usize::MAX);
            match parts.last_mut() {
                Some((first, bits)) if bit(*first) / 8 <= bits.len() + APART / 8 => set(bits, bit(*first)),
                _ => parts.push((line, vec![1])),
            }
        }
        parts.into_iter().map(|(first, bits)| (first, BASE64_STANDARD.encode(bits))).collect()
    }
}

/// Sets a bit behind all others.
fn set(bits: &mut Vec<u8>, bit: usize) {
    bits.resize(bit / 8 + 1, 0);
    if let Some(last) = bits.last_mut() {
        *last |= 1 << (bit % 8);
    }
}

impl Noted {
    /// Of lines in their order.
    fn of(lines: impl IntoIterator<Item = u64>) -> Self {
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for line in lines {
            match stretches.last_mut() {
                Some((_, last)) if *last + 1 >= line => *last = line,
                _ => stretches.push((line, line)),
            }
        }
        Self(stretches)
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

    /// The table.
    pub const fn table(&self) -> &Guard<T> {
        &self.table
    }

    fn ledger<'a, C>(&'a self, source: &Source, clock: &'a C, deadline: Micros) -> Ledger<'a, T, C> {
        Ledger { table: &self.table, clock, deadline, key: state_key_of(source) }
    }
}

/// Where it lies beside what else is known of the file.
fn place(source: &Source) -> String {
    format!("out/{}", source.shard)
}

impl<T> Knows for Lines<T> {
    fn known(&self, _id: u128, sequence: &str, _arrived_at: Micros) -> Known {
        let noted = self.open.as_ref().and_then(|open| open.noted.as_ref());
        // What is no line cannot be kept either, and that is an error.
        let is_late =
            noted.is_some_and(|noted| line_of(sequence).is_ok_and(|line| noted.value.left_out(line)));
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
        let first = line_of(batch.first)?;
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
        let Some(Open { source, first, noted }) = self.open.take() else {
            return Err(cannot_be("lines are to be noted, and no range is open".to_owned()));
        };
        let before = noted.iter().flat_map(|noted| noted.value.lines_from(first)).map(Ok);
        let lines: Result<Vec<u64>, _> = before.chain(out.records().map(line_of)).collect();
        let mut lines = lines?;
        lines.sort_unstable();
        let when = noted.as_ref().map_or(When::Absent, |noted| When::Version(noted.version));
        let (ledger, lines) = (self.ledger(&source, clock, deadline), Noted::of(lines));
        let written = ledger.write(&place(&source), lines, when, TOO_LARGE).await;
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

/// The line that a sequence number of a file is.
fn line_of(sequence: &str) -> Result<u64, port::Error> {
    sequence.parse().map_err(|_| cannot_be(format!("{sequence:?} is no line of a file")))
}

fn cannot_be(what: String) -> port::Error {
    port::Error { what, kind: Kind::Permanent, source: None }
}

/// Another attempt at work is what passes.
fn as_it_passes(why: Error) -> port::Error {
    match why {
        Error::Dependency(why) => why,
        Error::Busy => port::Error { what: why.to_string(), kind: Kind::Transient, source: None },
        why => cannot_be(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sizes;
    use millrace_core::packed;
    use millrace_core::port::{ITEM_MAX, Item};
    use millrace_files::cut::CHUNK;
    use millrace_sim::{Table, VirtualClock, run};

    #[test]
    fn a_line_is_left_out_where_others_around_it_are_not() {
        let noted = Noted::of([3, 4, 5, 8, 8, 11]);
        assert_eq!(noted, Noted(vec![(3, 5), (8, 8), (11, 11)]));
        let left_out: Vec<u64> = (0..20).filter(|line| noted.left_out(*line)).collect();
        assert_eq!(left_out, [6, 7, 9, 10]);
        assert_eq!(noted.lines_from(5).collect::<Vec<_>>(), [5, 8, 11]);
        assert!(!Noted::default().left_out(0));
    }

    fn read_again(noted: &Noted) -> Noted {
        serde_json::from_slice(&serde_json::to_vec(noted).unwrap()).unwrap()
    }

    #[test]
    fn what_is_noted_is_read_again() {
        let far = 40 * APART as u64;
        let noted = Noted::of([3, 4, 5, 8, 11, 26, far, far + 1, u64::MAX / 2]);
        let json = serde_json::to_string(&noted).unwrap();
        assert_eq!(json, r#"[[3,"JwGA"],[2621440,"Aw=="],[9223372036854775807,"AQ=="]]"#);
        for noted in [noted, Noted::default(), Noted::of((0..400_000).step_by(2))] {
            assert_eq!(read_again(&noted), noted);
        }
        serde_json::from_str::<Noted>(r#"[[3,"?"]]"#).unwrap_err();
    }

    #[test]
    fn the_fullest_item_fits() {
        let mut random = fastrand::Rng::with_seed(7);
        // Rows of a byte and their line ends, and empty lines between them: none are shorter.
        let batch = Sizes::LAMBDA.batch * CHUNK;
        for chance in [0.02, 0.1, 0.2, 0.3, 0.35, 0.382, 0.41, 0.45, 0.5, 0.6, 0.8, 1.0] {
            let (mut line, mut bytes, mut out) = (1_000_000_000, 0, Vec::new());
            while bytes < batch {
                let is_out = random.f64() < chance;
                out.extend(is_out.then_some(line));
                line += 1;
                bytes += if is_out { 2 } else { 1 };
            }
            let noted = Noted::of(out);
            let body = packed::pack(&noted).unwrap();
            assert!(body.len() < ITEM_MAX, "{} bytes, where {chance} of the lines go out", body.len());
            let (key, position) = (String::new(), "1".to_owned());
            let item = Item { key, position, version: 0, expires_at: Micros::EPOCH, body };
            assert_eq!(packed::unpack::<Noted>(&item).unwrap(), noted);
        }
    }

    #[test]
    fn what_cannot_be_noted_is_an_error() {
        let clock = VirtualClock::at(Micros::EPOCH);
        let deadline = Micros::EPOCH.plus_ms(60_000);
        let source = Source { stream: "files-1".into(), shard: "0".into() };
        let mut lines = Lines::new(Guard::patient("state table", Table::default()));
        let mut out = Outgoing::default();
        out.begin(&source);
        out.id(7, "5", Micros::EPOCH);
        let told = run(lines.keep(&out, &clock, deadline)).unwrap_err();
        assert_eq!(told.what, "lines are to be noted, and no range is open");

        let (arrived_at, until) = (Micros::EPOCH, Micros::EPOCH);
        let batch = |first| Bounds { source: &source, first, arrived_at, until, redriven: false };
        let told = run(lines.open(batch("5a"), &clock, deadline)).unwrap_err();
        assert_eq!(told.what, r#""5a" is no line of a file"#);
        run(lines.open(batch("5"), &clock, deadline)).unwrap();
        run(lines.keep(&out, &clock, deadline)).unwrap();
        out.id(8, "6a", Micros::EPOCH);
        let told = run(lines.keep(&out, &clock, deadline)).unwrap_err();
        assert_eq!((told.what.as_str(), told.kind), (r#""6a" is no line of a file"#, Kind::Permanent));
    }
}
