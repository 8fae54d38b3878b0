//! How far a feed was read: the cursor, until when it is left alone, and which items its last page had.
//!
//! One item of the state table, replaced only by who has read it: a second run at the same time finds out.

use crate::Stopped;
use millrace_core::guard::Guard;
use millrace_core::port::{Between, Clock, Item, KeyTable, When, Written};
use millrace_core::time::Micros;
use millrace_core::token::fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The item's place under its key.
const POSITION: &str = "cursor";

/// How long the cursor of a feed that nobody asks is kept, milliseconds: ten years.
const KEPT_MS: i64 = 10 * 365 * 86_400_000;

/// The most items of a page that are remembered: 19 bytes each, beside a cursor, are what an item of the table holds.
const KNOWN_MAX: usize = 20_000;

/// How far a feed was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// What leads to the next page; none for the first.
    pub(crate) cursor: Option<String>,
    /// Until when the feed wants to be left alone.
    pub(crate) not_before: Option<Micros>,
    /// Since when the feed asks for more time instead of handing over a page.
    #[serde(default)]
    pub(crate) waits_since: Option<Micros>,
    /// The items of the last page that had some, as hashes: a feed may hand them over again.
    pub(crate) known: BTreeSet<String>,
}

/// A place, and which writing of the item it is.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) place: Place,
    key: String,
    version: Option<u64>,
}

impl State {
    /// Reads how far the feed of this name was read. What cannot be read is an error: to begin anew would hand over all
    /// of the feed again.
    pub(crate) async fn read<T: KeyTable>(
        table: &Guard<T>,
        name: &str,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<Self, Stopped> {
        let key = format!("pull/{}", fingerprint(name.as_bytes(), 8));
        let between = Between { after: "", before: None, backward: false };
        let page = table.call(clock, deadline, async |table| table.page(&key, between).await).await?;
        let Some(item) = page.items.into_iter().find(|item| item.position == POSITION) else {
            return Ok(Self { key, ..Self::default() });
        };
        let Ok(place) = serde_json::from_slice(&item.body) else { return Err(Stopped::State(key)) };
        Ok(Self { place, key, version: Some(item.version) })
    }

    /// Notes another place.
    pub(crate) async fn write<T: KeyTable>(
        &mut self,
        mut place: Place,
        table: &Guard<T>,
        clock: &impl Clock,
        deadline: Micros,
    ) -> Result<(), Stopped> {
        while place.known.len() > KNOWN_MAX {
            place.known.pop_last();
        }
        if place == self.place {
            return Ok(());
        }
        let item = Item {
            key: self.key.clone(),
            position: POSITION.to_owned(),
            version: self.version.map_or(1, |version| version + 1),
            expires_at: clock.now().plus_ms(KEPT_MS),
            body: serde_json::to_vec(&place).unwrap_or_default(), // texts and a number cannot refuse
        };
        let when = self.version.map_or(When::Absent, When::Version);
        match table.call(clock, deadline, async |table| table.put(&item, when).await).await? {
            Written::Done => {}
            // The answer to an attempt before was lost.
            Written::Refused(Some(there)) if there.version == item.version && there.body == item.body => {}
            Written::Refused(_) => return Err(Stopped::Overtaken),
        }
        (self.place, self.version) = (place, Some(item.version));
        Ok(())
    }
}
