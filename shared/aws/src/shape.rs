//! What the records of a batch have in common.
//!
//! Lambda writes all records of a batch the same way: the same members in the same order, most of them with the same
//! value. So the first is read member by member, and of each later one only what differs; whatever is not as the one
//! before it was is read member by member again.

use crate::scan::Scan;

/// What differs from record to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Id,
    PartitionKey,
    Sequence,
    Data,
    ArrivedAt,
}

const PARTS: usize = 5;

/// The parts of a record, each where it stands in the batch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts<'a>([Option<(usize, &'a str)>; PARTS]);

impl<'a> Parts<'a> {
    /// Notes a part and the place where it begins.
    pub(crate) fn note(&mut self, part: Part, start: usize, text: &'a str) {
        if let Some(noted) = self.0.get_mut(part as usize) {
            *noted = Some((start, text));
        }
    }

    pub(crate) fn get(&self, part: Part) -> Option<&'a str> {
        self.0.get(part as usize).copied().flatten().map(|(_, text)| text)
    }
}

/// A record with holes where its parts were.
#[derive(Debug)]
pub(crate) struct Shape<'a> {
    /// Each part, in the order of the record, with what stands before it.
    parts: Vec<(&'a str, Part)>,
    end: &'a str,
}

impl<'a> Shape<'a> {
    /// The shape of the record that begins at a place, ends here, and has these parts.
    pub(crate) fn of(scan: &Scan<'a>, start: usize, parts: &Parts<'a>) -> Self {
        let all = [Part::Id, Part::PartitionKey, Part::Sequence, Part::Data, Part::ArrivedAt];
        let mut holes: Vec<_> =
            all.into_iter().zip(parts.0).filter_map(|(part, at)| Some((at?, part))).collect();
        holes.sort_unstable_by_key(|((start, _), _)| *start);
        let mut done = start;
        let parts = holes.into_iter().map(|((start, text), part)| {
            let before = std::mem::replace(&mut done, start + text.len());
            (scan.between(before, start), part)
        });
        Self { parts: parts.collect(), end: scan.between(done, scan.place()) }
    }

    /// The parts of the record that stands here, if it has this shape; otherwise the scan stays where it is.
    pub(crate) fn read(&self, scan: &mut Scan<'a>) -> Option<Parts<'a>> {
        let start = scan.place();
        let read = self.parts(scan);
        if read.is_none() {
            scan.back(start);
        }
        read
    }

    #[inline]
    fn parts(&self, scan: &mut Scan<'a>) -> Option<Parts<'a>> {
        let mut read = Parts::default();
        for (before, part) in &self.parts {
            if !scan.follows(before) {
                return None;
            }
            let start = scan.place();
            let text = if *part == Part::ArrivedAt { scan.number() } else { scan.plain_text()? };
            read.note(*part, start, text);
        }
        scan.follows(self.end).then_some(read)
    }
}
