//! The values of a column once each, and for each row the number of its value: smaller where values repeat.

use crate::bits;
use crate::column::{Column, is_same};
use millrace_core::pipeline::ColumnType;
use twox_hash::XxHash3_64;

/// So many values are looked at before it is asked whether they repeat.
const TRIAL: usize = 1024;

/// A larger dictionary is left out, for a reader holds all of it.
const BYTES_MAX: usize = 1 << 20;

/// How many places are looked at for one value. Values made to share a place cost no more than that: they are only
/// kept twice.
const PROBES: usize = 16;

/// A dictionary, in memory that serves column after column.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    /// The values in the encoding PLAIN.
    pub(crate) values: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// The number of each row's value, rows without one left out.
    pub(crate) codes: Vec<u32>,
    /// A hash table, at most half full: half of a hash, and a code plus one; zeros where nothing is.
    places: Vec<(u32, u32)>,
    /// Room for the table while it grows.
    moved: Vec<(u32, u32)>,
}

impl Dictionary {
    /// Makes the dictionary of a column, if it pays.
    pub(crate) fn fill(&mut self, column: &Column) -> bool {
        self.values.clear();
        self.ends.clear();
        self.codes.clear();
        self.places.clear();
        if !column.repeats || column.kind == ColumnType::Boolean {
            return false;
        }
        for value in column.some() {
            let code = self.find(value, hash(value));
            self.codes.push(code);
            let (rows, distinct) = (self.codes.len(), self.ends.len());
            if rows == TRIAL && distinct * 8 > rows * 7 || self.values.len() > BYTES_MAX {
                return false;
            }
        }
        let codes = self.codes.len() * bits::width(self.len()) as usize / 8;
        self.values.len() + codes < column.values(0..column.rows()).len() / 4 * 3
    }

    /// How many values it has.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The values.
    pub(crate) fn each(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|code| value_of(&self.values, &self.ends, code))
    }

    fn find(&mut self, value: &[u8], hash: u32) -> u32 {
        if self.ends.len() * 2 >= self.places.len() {
            self.grow();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a dictionary has at most a MiB")]
        let next = self.ends.len() as u32;
        let mask = self.places.len() - 1;
        for probe in 0..PROBES {
            let Some(place) = self.places.get_mut((hash as usize + probe) & mask) else { break };
            if place.1 == 0 {
                *place = (hash, next + 1);
                break;
            }
            let code = place.1 - 1;
            if place.0 == hash && is_same(value_of(&self.values, &self.ends, code as usize), value) {
                return code;
            }
        }
        self.values.extend_from_slice(value);
        self.ends.push(self.values.len());
        next
    }

    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(256);
        std::mem::swap(&mut self.places, &mut self.moved);
        self.places.clear();
        self.places.resize(size, (0, 0));
        for (hash, code) in self.moved.iter().copied().filter(|(_, code)| *code != 0) {
            let mut tried = (0..size).map(|probe| (hash as usize + probe) & (size - 1));
            let free = tried.find(|at| self.places.get(*at).is_some_and(|place| place.1 == 0));
            if let Some(place) = free.and_then(|at| self.places.get_mut(at)) {
                *place = (hash, code);
            }
        }
    }
}

/// Values made to share a hash cost [`PROBES`] looks, so that it need not be hard to foresee.
fn hash(value: &[u8]) -> u32 {
    let hash = match (value.first_chunk(), value.last_chunk()) {
        // All of it, for both ends meet; what is shorter than eight bytes is a text of three letters.
        (Some(first), Some(last)) if value.len() <= 16 => {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            let mixed = first.rotate_left(32) ^ last.wrapping_mul(FIBONACCI);
            (mixed ^ (mixed >> 32)).wrapping_mul(FIBONACCI)
        }
        _ => XxHash3_64::oneshot(value),
    };
    (hash >> 32) as u32
}

/// Fibonacci hashing: <https://probablydance.com/2018/06/16/fibonacci-hashing/>
const FIBONACCI: u64 = 0x9e37_79b9_7f4a_7c15;

fn value_of<'v>(values: &'v [u8], ends: &[usize], code: usize) -> &'v [u8] {
    let start = code.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default();
    ends.get(code).and_then(|end| values.get(start..*end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(texts: &[Option<String>]) -> Column {
        let mut column = Column::new(ColumnType::String, true);
        for text in texts {
            column.append_text(text.as_deref());
        }
        column
    }

    proptest! {
        #[test]
        fn each_row_finds_its_value(texts in prop::collection::vec(prop::option::of("[a-c]{0,3}"), 0..2000)) {
            let (column, mut dictionary) = (column(&texts), Dictionary::default());
            dictionary.fill(&column);
            let values: Vec<_> = dictionary.each().collect();
            let found: Vec<_> = dictionary.codes.iter().map(|code| values[*code as usize]).collect();
            let present: Vec<_> = column.some().collect();
            prop_assert_eq!(found, present);
            let mut once = values.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), values.len());
        }
    }

    #[test]
    fn it_gives_up_where_values_do_not_repeat() {
        let texts: Vec<_> = (0..5000).map(|number| Some(format!("text {number}"))).collect();
        let mut dictionary = Dictionary::default();
        assert!(!dictionary.fill(&column(&texts)));
        assert_eq!(dictionary.codes.len(), TRIAL);
        let texts: Vec<_> = (0..5000).map(|number| Some(format!("text {}", number % 100))).collect();
        assert!(dictionary.fill(&column(&texts)));
        assert_eq!((dictionary.len(), dictionary.codes.len()), (100, 5000));
    }
}
