//! CleanStream as KPL aggregates, where a run has them: what they must hold. They have no positions, so an event may be there
//! more than once, and `lake` and `review` are not fed.

use crate::oracle::{At, Found};
use crate::scenario::Kind;
use crate::truth::Row;
use crate::world::Run;
use millrace_core::kpl;
use millrace_sim::kinesis::Record;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Found {
    /// Takes a record apart. What it holds counts as landed, once.
    pub(crate) fn take_aggregate(&mut self, record: &Record) {
        let events = if kpl::begins(&record.data) {
            kpl::read(&record.data).expect("a whole aggregate")
        } else {
            vec![record.data.as_slice()]
        };
        assert!(events.len() <= kpl::RECORDS_MAX, "Firehose takes apart what it is given");
        for line in events {
            let event: Value = serde_json::from_slice(line).expect("a clean event");
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let serial = u32::try_from(event["serial"].as_u64().expect("its number")).unwrap();
            if !self.plain.contains(&serial) {
                let object = format!("CleanStream {}", record.sequence);
                self.rows.push(Row { object, id: text("id"), serial });
            }
            self.plain.push(serial);
            self.tokens.push((record.arrived_at, serial, text("userId")));
        }
        self.public.push((format!("CleanStream {}", record.sequence), record.data.clone()));
        self.public.push((
            format!("CleanStream's key {}", record.sequence),
            record.partition_key.clone().into_bytes(),
        ));
    }
}

/// The record that an event was sent in, its partition key, and where the event stands among all.
type Sent<'a> = (&'a At, &'a str, (u64, usize));

/// What shares a partition key comes in RawStream's order; and once, where nothing goes wrong.
pub(crate) fn judge(run: &Run, found: &Found, wrong: &mut Vec<String>) {
    if !run.scenario.kpl {
        return;
    }
    let mut places: BTreeMap<u32, Vec<Sent<'_>>> = BTreeMap::new();
    for (at, (order, key, payloads)) in &found.read {
        for (index, serial) in payloads.iter().flatten().enumerate() {
            places.entry(*serial).or_default().push((at, key, (*order, index)));
        }
    }
    let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
    for serial in &found.plain {
        // Of what was sent twice nobody knows which one it is.
        let Some([(at, key, place)]) = places.get(serial).map(Vec::as_slice) else { continue };
        if !seen.insert(*serial) || found.given_up.contains(*at) {
            continue;
        }
        if last.insert(*key, *place).is_some_and(|before| before > *place) {
            wrong.push(format!("event {serial} came to the clean stream behind one that it was before"));
        }
    }
    let is_poisonous = run.scenario.events.iter().any(|event| event.kind >= Kind::PanicsTransform);
    let is_played_again = is_poisonous || run.scenario.mistake.is_some();
    if run.scenario.faults.is_empty() && !is_played_again && found.plain.len() > found.rows.len() {
        wrong.push("events are in the clean stream twice, though nothing went wrong".to_owned());
    }
}
