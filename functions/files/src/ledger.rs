//! What is known of a file, in the table: who has it, its plan, and how far each range came.
//!
//! All of it lies under the file's id, an item for the run and one for each range. So a task is handed nothing but the
//! file's name and its range: an attempt finds where the one before it stopped, and two at once find each other.

use crate::error::Error;
use millrace_core::account::Tally;
use millrace_core::guard::Guard;
use millrace_core::packed::{self, unpack};
use millrace_core::port::{Between, Clock, ITEM_MAX, Item, KeyTable, When, Written};
use millrace_core::quarantine::Reject;
use millrace_core::time::Micros;
use millrace_files::{Format, Mark};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// For how long a file is known, so that the same one does nothing a second time: 90 days, milliseconds.
const KEPT_MS: i64 = 90 * 86_400_000;

/// For how long a run may take, milliseconds: longer than the state machine's timeout. A run that ended without saying so
/// has the file until then.
const RUN_MS: i64 = 7 * 3_600_000;

const RUN: &str = "run";

/// Why a plan is too large: nothing else in it grows with the file.
const NAMES: &str = "the names of its columns are too long to be noted";

/// What the places of ranges begin with.
const RANGES: &str = "range/";

/// What is known of a file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Whose it is: the execution's name, or the queue.
    pub(crate) owner: String,
    /// Until when it is theirs.
    pub(crate) until: Micros,
    pub(crate) state: State,
    /// What to read; none while that is being found out.
    pub(crate) plan: Option<Plan>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Running,
    Done,
    Failed,
}

/// What to read of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) format: Format,
    pub(crate) ranges: Vec<Range>,
    /// The SHA-256 of all of its bytes, in hexadecimal digits.
    pub(crate) sha256: String,
}

/// A stretch of a file between two of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) begin: Mark,
    /// Bytes of a plain text, row groups of Parquet; no end where the file is packed.
    pub(crate) end: u64,
}

/// How far a range came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) at: Mark,
    #[serde(flatten)]
    pub(crate) tally: Tally,
    pub(crate) done: bool,
}

/// Something in the table, with what tells whether it is still that.
#[derive(Debug)]
pub(crate) struct Known<V> {
    pub(crate) value: V,
    pub(crate) version: u64,
}

/// A file in the table.
#[derive(Debug)]
pub(crate) struct Ledger<'a, T, C> {
    pub(crate) table: &'a Guard<T>,
    pub(crate) clock: &'a C,
    pub(crate) deadline: Micros,
    /// What all that is known of the file lies under.
    pub(crate) key: String,
}

impl<T: KeyTable, C: Clock> Ledger<'_, T, C> {
    /// Takes the file for a run: none where it is done, or another run has it.
    pub(crate) async fn claim(&self, owner: &str) -> Result<Option<Known<Run>>, Error> {
        let now = self.clock.now();
        let known: Option<Known<Run>> = self.read(RUN).await?;
        let (when, plan) = match known {
            Some(known) if known.value.state == State::Done => return Ok(None),
            Some(known) if known.value.owner == owner && known.value.state == State::Running => {
                return Ok(Some(known));
            }
            Some(known) if known.value.state == State::Running && now < known.value.until => return Ok(None),
            Some(known) => (When::Version(known.version), known.value.plan),
            None => (When::Absent, None),
        };
        let run = Run { owner: owner.to_owned(), until: now.plus_ms(RUN_MS), state: State::Running, plan };
        self.write(RUN, run, when, NAMES).await.map(Some)
    }

    /// The file as this run has it.
    pub(crate) async fn run(&self, owner: &str) -> Result<Known<Run>, Error> {
        let known: Option<Known<Run>> = self.read(RUN).await?;
        known.filter(|known| known.value.owner == owner).ok_or(Error::Busy)
    }

    pub(crate) async fn put_run(&self, known: &Known<Run>, run: Run) -> Result<Known<Run>, Error> {
        self.write(RUN, run, When::Version(known.version), NAMES).await
    }

    pub(crate) async fn progress(&self, range: usize) -> Result<Option<Known<Progress>>, Error> {
        self.read(&place(range)).await
    }

    /// How far all ranges came of which something is noted.
    pub(crate) async fn all_progress(&self) -> Result<Vec<Progress>, Error> {
        let (key, mut after, mut all) = (self.key.clone(), RANGES.to_owned(), Vec::new());
        loop {
            let between = Between { after: &after, before: None, backward: false };
            let page =
                self.table.call(self.clock, self.deadline, async |table| table.page(&key, between).await);
            let page = page.await?;
            for item in page.items.iter().filter(|item| item.position.starts_with(RANGES)) {
                all.push(unpack(item)?);
            }
            match page.items.last() {
                Some(last) if page.more => after.clone_from(&last.position),
                _ => return Ok(all),
            }
        }
    }

    /// Notes how far a range came, unless another attempt noted more meanwhile.
    pub(crate) async fn put_progress(
        &self,
        range: usize,
        before: Option<&Known<Progress>>,
        progress: Progress,
    ) -> Result<Known<Progress>, Error> {
        let when = before.map_or(When::Absent, |known| When::Version(known.version));
        self.write(&place(range), progress, when, NAMES).await
    }

    pub(crate) async fn read<V: DeserializeOwned>(&self, position: &str) -> Result<Option<Known<V>>, Error> {
        let key = &self.key;
        let (after, before) =
            (position.get(..position.len() - 1).unwrap_or_default(), format!("{position}!"));
        let between = Between { after, before: Some(&before), backward: true };
        let page = self.table.call(self.clock, self.deadline, async |table| table.page(key, between).await);
        let found = page.await?.items.into_iter().find(|item| item.position == position);
        let found = found.map(|item| Ok(Known { value: unpack(&item)?, version: item.version }));
        found.transpose()
    }

    /// Writes something down, if what stands in its place is so. Where there is too much of it, the file is refused with
    /// these words.
    pub(crate) async fn write<V: Serialize>(
        &self,
        position: &str,
        value: V,
        when: When,
        too_large: &'static str,
    ) -> Result<Known<V>, Error> {
        let version = self.clock.random();
        let body = pack(&value, too_large)?;
        let expires_at = self.clock.now().plus_ms(KEPT_MS);
        let item = Item { key: self.key.clone(), position: position.to_owned(), version, expires_at, body };
        let put = self.table.call(self.clock, self.deadline, async |table| table.put(&item, when).await);
        match put.await? {
            Written::Done => Ok(Known { value, version }),
            // Its own, where the answer was lost.
            Written::Refused(Some(there)) if there.version == version => Ok(Known { value, version }),
            Written::Refused(_) => Err(Error::Busy),
        }
    }
}

/// The place of a range among the items of its file.
fn place(range: usize) -> String {
    format!("{RANGES}{range:06}")
}

fn pack(value: &impl Serialize, too_large: &'static str) -> Result<Vec<u8>, Error> {
    let body = packed::pack(value).filter(|body| body.len() <= ITEM_MAX);
    body.ok_or_else(|| Error::Refused(Reject::new("file", "too_large", too_large)))
}
