//! What must be true after every run, judged by what clients were told and by the bytes in the stores.

use crate::scenario::{CANARY, CANARY_IP, Event, Kind, Scenario, Way};
use crate::truth::{self, Place, Row};
use crate::world::{NEXT_KEY, Run};
use crate::{feed, files, firehose, kpl, logs, metrics, replay, review, webhooks, world};
use millrace_core::record::order;
use millrace_core::time::Micros;
use millrace_core::token::TokenKey;
use millrace_sim::executor::End;
use millrace_sim::kinesis::{Record, Stream};
use millrace_sim::lambda::Function;
use millrace_sim::sqs::Message;
use millrace_sim::stream_mapping::{Acked, StreamMapping};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A record, by its stream, shard and sequence number.
pub(crate) type At = (String, String, String);

/// What the stores hold at the end of a run.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Of each record that functions read how many records came before it, its partition key, and the events of each of
    /// its payloads, in their order.
    pub(crate) read: BTreeMap<At, (u64, String, Vec<Vec<u32>>)>,
    /// The events of the clean stream, in the order in which it took them, and in which record each is.
    clean: Vec<(At, Place)>,
    /// Those of it where it carries aggregates, as often as they are there.
    pub(crate) plain: Vec<u32>,
    pub(crate) rows: Vec<Row>,
    /// The bad events, each with the record that it was in, once for each record.
    quarantined: BTreeSet<(String, u32)>,
    /// All that the quarantine holds, line by line.
    pub(crate) lines: Vec<Value>,
    /// Of these the ones in records that killed their function.
    pub(crate) deadly: BTreeSet<u32>,
    /// What was put away because it killed its function, by its source, and its events; also what was replayed since.
    died: BTreeMap<String, (Value, Vec<u32>)>,
    /// The events that the mistake refused, also what was replayed since.
    pub(crate) mistaken: BTreeSet<u32>,
    /// The records, and the places in them, of the events that were put away as late.
    late: BTreeSet<(At, u64)>,
    /// What was given up at some time, and what is given up still.
    pub(crate) given_up: BTreeSet<At>,
    dead: BTreeSet<At>,
    /// The records that streams had forgotten when they were to be redriven: of that there is a trace in the quarantine.
    forgotten: BTreeSet<At>,
    /// The places of the entries that redrive ever put into the quarantine, by reason.
    put_away: BTreeMap<String, BTreeSet<String>>,
    /// The events in spilled records, in messages and in files that were given up.
    dead_spilled: BTreeSet<u32>,
    /// What was told of files.
    manifests: Vec<Value>,
    /// What must hold no personal data, with its name.
    pub(crate) public: Vec<(String, Vec<u8>)>,
    /// The tokens of the clean stream: when it took them, of which event, and the token.
    pub(crate) tokens: Vec<(Micros, u32, String)>,
}

/// How long a function goes on with a key until it asks anew; and how long after it asked in vain, also where its guard did not let
/// it ask.
const RENEWED_WITHIN_MS: i64 = 5 * 60_000;
const ASKED_WITHIN_MS: i64 = 45_000;

/// How long a batch of a stream may be on its way: the timeout of its function, and what a call takes that nobody waits for.
const UNDERWAY_MS: i64 = 65_000;

/// What is wrong with a run: nothing, it is hoped.
pub(crate) fn judge(run: &Run) -> Vec<String> {
    let mut wrong = Vec::new();
    if run.end == End::Busy {
        wrong.push("the work does not end".to_owned());
        return wrong;
    }
    let found = Found::of(run);
    everything_was_read(run, &mut wrong);
    found.each_event_is_in_one_place(run, &mut wrong);
    found.nothing_is_put_again_in_vain(run, &mut wrong);
    found.order_is_kept(&mut wrong);
    found.counts_are_true(run, &mut wrong);
    files::judge(run, &found.manifests, &mut wrong);
    found.other_counts_are_true(run, &mut wrong);
    metrics::judge(run, &found, &mut wrong);
    review::judge(run, &found, &mut wrong);
    replay::judge(run, &found, &mut wrong);
    firehose::judge(run, &mut wrong);
    kpl::judge(run, &found, &mut wrong);
    webhooks::judge(run, &mut wrong);
    feed::judge(run, &mut wrong);
    found.what_is_put_away_did_kill(run, &mut wrong);
    found.no_personal_data(&mut wrong);
    found.tokens_are_of_their_time(run, &mut wrong);
    if run.scenario.puts_once() {
        wrong.extend(run.stack.seen.take());
    }
    wrong
}

/// What is wrong with a run after all was well again and the dead letters were redriven.
pub(crate) fn judge_mended(run: &Run) -> Vec<String> {
    let mut wrong = judge(run);
    match run.stack.letters() {
        0 => {}
        letters => wrong.push(format!("{letters} dead letters are left though all is well")),
    }
    wrong
}

impl Found {
    fn of(run: &Run) -> Self {
        let stack = &run.stack;
        let mut found = Self::default();
        for (shard, record) in stack.raw.records() {
            let payloads = truth::payloads(&record.data).iter().map(|plain| truth::serials(plain)).collect();
            found.read.insert(
                at(&stack.raw, &shard, &record),
                (record.order, record.partition_key.clone(), payloads),
            );
        }
        for (shard, record) in stack.orders.records() {
            let serials = truth::serials(&record.data);
            found.read.insert(
                at(&stack.orders, &shard, &record),
                (record.order, record.partition_key.clone(), vec![serials]),
            );
        }
        for (shard, record) in stack.clean.records() {
            if run.scenario.kpl {
                found.take_aggregate(&record);
                continue;
            }
            let (text, places) = truth::frame(&record.data);
            let at = at(&stack.clean, &shard, &record);
            // A frame that is replayed has the tokens of its time.
            if !stack.replays.has(&stack.clean, &record) {
                let tokens = truth::tokens(&text).into_iter();
                found.tokens.extend(tokens.map(|(serial, token)| (record.arrived_at, serial, token)));
            }
            found.public.push((format!("CleanStream {}", record.sequence), truth::unframed(&record.data)));
            found.public.push((
                format!("CleanStream's key {}", record.sequence),
                record.partition_key.clone().into_bytes(),
            ));
            found.clean.extend(places.into_iter().map(|place| (at.clone(), place)));
        }
        for (key, body) in stack.lake.objects() {
            let (rows, text) = truth::rows(&key, &body);
            found.rows.extend(rows);
            found
                .public
                .push((format!("lake {key}"), [body.as_ref(), text.as_bytes(), key.as_bytes()].concat()));
        }
        for (key, body) in stack.files.objects() {
            if key.starts_with("manifests/") {
                found.manifests.push(serde_json::from_slice(&body).unwrap());
                found.public.push((key, body.to_vec()));
            }
        }
        for body in stack.quarantine.objects().into_values() {
            for line in lines(&body) {
                let source = line["source"].to_string();
                let serials = truth::quarantined(&line);
                if line["reason"] == "function_died" {
                    found.deadly.extend(&serials);
                }
                found.quarantined.extend(serials.into_iter().map(|serial| (source.clone(), serial)));
                found.lines.push(line);
            }
        }
        for (key, body) in stack.quarantine.taken() {
            found.public.push(("a key of the quarantine".into(), key.clone().into_bytes()));
            for line in lines(&body) {
                // All but the payload, which is what it was.
                let mut told = line.clone();
                told["payload"].take();
                found.public.push((format!("{key}: what is told"), told.to_string().into_bytes()));
                let source = line["source"].to_string();
                if line["stage"] == "redrive" {
                    let reason = line["reason"].as_str().unwrap().to_owned();
                    found.put_away.entry(reason).or_default().insert(source.clone());
                }
                if line["reason"] == "function_died" {
                    found.died.insert(source, (line["source"].clone(), truth::quarantined(&line)));
                } else if line["reason"] == replay::REASON {
                    found.mistaken.extend(truth::quarantined(&line));
                } else if line["reason"] == "late" {
                    let of = ["stream", "shard", "sequence"].map(|name| line["source"][name].as_str());
                    let [stream, shard, sequence] = of.map(|text| text.unwrap().to_owned());
                    let index = line["source"]["index"].as_u64().expect("a place in a record");
                    found.late.insert(((stream, shard, sequence), index));
                }
            }
        }
        for mapping in [&run.transform, &run.changes, &run.drawn] {
            let stream = &mapping.stream;
            let kept = |record: &Record| stream.keeps(record);
            let all = mapping.dead.all();
            found.given_up.extend(all.iter().flat_map(|message| range(stream, message, |_| true)));
            found.dead.extend(mapping.dead.waiting().iter().flat_map(|message| range(stream, message, kept)));
            let forgotten: Vec<_> =
                all.iter().flat_map(|message| found.forgotten_of(stream, message)).collect();
            found.forgotten.extend(forgotten);
            let text = mapping.dead.all().into_iter().map(|message| message.body.into_bytes());
            found
                .public
                .extend(text.map(|text| (format!("dead letters of {}", mapping.function.name), text)));
        }
        for message in stack.spill_dead.waiting().iter().chain(&stack.spill.waiting()) {
            found.dead_spilled.extend(spilled(message));
        }
        for message in stack.inbox_dead.waiting().iter().chain(&stack.inbox.waiting()) {
            found.dead_spilled.extend(truth::serials(message.body.as_bytes()));
        }
        found.dead_spilled.extend(files::dead(run));
        for item in stack.state.taken() {
            let text = [item.key.as_bytes(), item.position.as_bytes(), &truth::unpacked(&item.body)].concat();
            found.public.push((format!("the item {}", item.position), text));
        }
        for function in &run.functions {
            let counts = function.counted().into_iter();
            let name = format!("the counts of {}", function.name);
            found.public.extend(counts.map(|counts| (name.clone(), counts.to_string().into_bytes())));
        }
        // Also of the runs that failed.
        let counts = stack.feed.counted.borrow().clone().into_iter();
        found
            .public
            .extend(counts.map(|counts| ("the counts of pull".into(), counts.to_string().into_bytes())));
        for message in stack.held.messages() {
            found.public.push((format!("the held message {}", message.key), message.body));
        }
        for row in stack.rows.rows() {
            found
                .public
                .push((format!("a row of {}", row.metric), [row.place, row.key].concat().into_bytes()));
        }
        for mapping in [&run.metrics, &run.review].into_iter().flatten() {
            let letters = mapping.dead.all().into_iter();
            let name = format!("dead letters of {}", mapping.function.name);
            found.public.extend(letters.map(|message| (name.clone(), message.body.into_bytes())));
        }
        found.public.push(("the answers".into(), run.told.answers.borrow().clone().into_bytes()));
        found.public.push(("the logs".into(), logs::of_this_thread()));
        found
    }

    fn each_event_is_in_one_place(&self, run: &Run, wrong: &mut Vec<String>) {
        let mut bodies: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &run.scenario.events {
            bodies.entry(&event.id).or_default().push(event);
        }
        let raw_dead = self.read.iter().filter(|(at, _)| self.is_gone(at));
        let raw_dead = raw_dead.flat_map(|(_, (.., payloads))| payloads.iter().flatten());
        let clean_dead = self.clean.iter().filter(|(at, _)| self.is_gone(at)).map(|(_, place)| &place.serial);
        let dead: BTreeSet<u32> = raw_dead.chain(clean_dead).chain(&self.dead_spilled).copied().collect();
        let mut mates = self.mates(&run.scenario);
        // Who died twice on a record, by chance, cannot know that it was not the record.
        mates.extend(self.died_by_chance(run, &mates));
        mates.retain(|serial| self.deadly.contains(serial));
        let landed = |event: &Event| self.rows.iter().any(|row| row.serial == event.serial);
        let is_bad = |event: &Event| self.quarantined.iter().any(|(_, serial)| *serial == event.serial);

        for (id, events) in bodies {
            let rows: Vec<_> = self
                .rows
                .iter()
                .filter(|row| events.iter().any(|event| event.serial == row.serial))
                .collect();
            if rows.len() > 1 && rows.len() > replay::lands_at_most(run, self, &events) {
                let objects: Vec<_> = rows.iter().map(|row| row.object.as_str()).collect();
                wrong.push(format!("{id} landed {} times: {}", rows.len(), objects.join(", ")));
            }
            let mut accepted = events.iter().filter(|event| run.told.of(event.serial).accepted);
            let (lands, drops, bad): (Vec<_>, Vec<_>, Vec<_>) =
                accepted.by_ref().fold(Default::default(), |mut all: (Vec<_>, Vec<_>, Vec<_>), event| {
                    match event.kind {
                        Kind::Filtered => all.1.push(event),
                        Kind::Bad | Kind::Garbage => all.2.push(event),
                        _ => all.0.push(event),
                    }
                    all
                });
            // What shares a record with poison shares its fate, whatever the function did before it died.
            let is_dead = |event: &Event| {
                dead.contains(&event.serial) || mates.contains(&event.serial) && is_bad(event)
            };
            let waits = |event: &Event| is_bad(event) && run.scenario.mistakes(event);
            if !lands.is_empty()
                && rows.is_empty()
                && !events.iter().any(|event| is_dead(event) || waits(event))
            {
                wrong.push(format!(
                    "{id} is lost: it was accepted, and neither landed nor is it a dead letter"
                ));
            }
            for event in &drops {
                if landed(event) || is_bad(event) && !mates.contains(&event.serial) && !waits(event) {
                    wrong.push(format!("{id} should have been filtered"));
                }
            }
            for event in &bad {
                if landed(event) || !is_bad(event) && !is_dead(event) {
                    wrong.push(format!("{id} should be in the quarantine"));
                }
            }
            for event in &events {
                let told = run.told.of(event.serial);
                let there = landed(event) || is_bad(event);
                let must_be_refused = matches!(event.kind, Kind::NoId | Kind::Forged);
                if there && (told.sent == 0 || must_be_refused) {
                    wrong.push(format!("{id} is there, and nobody sent it, or it was refused"));
                }
                let is_known_to_be = mates.contains(&event.serial) || waits(event);
                if is_bad(event) && is_good(event.kind) && !is_known_to_be {
                    wrong.push(format!("{id} is in the quarantine, and is good"));
                }
                if told.refused != must_be_refused && (told.refused || told.accepted) {
                    wrong.push(format!("{id} was refused or accepted, and should not have been"));
                }
            }
            for row in rows {
                let is_unnamed = events.iter().all(|event| event.kind == Kind::Unnamed);
                // By the message it came in, or as a hash of the bytes that it is in a feed.
                let is_named = row.id.starts_with("inbox-") || row.id.len() == 32;
                if row.id != id && !(is_unnamed && is_named) {
                    wrong.push(format!("{id} landed as {}", row.id));
                }
            }
        }
    }

    /// What this mapping gave up and is given up still, or was forgotten.
    pub(crate) fn gone(&self, mapping: &StreamMapping) -> BTreeSet<At> {
        let stream = &mapping.stream;
        let kept = |record: &Record| stream.keeps(record);
        let all = mapping.dead.all();
        let waiting = mapping.dead.waiting();
        let waiting = waiting.iter().flat_map(|message| range(stream, message, kept));
        waiting.chain(all.iter().flat_map(|message| self.forgotten_of(stream, message))).collect()
    }

    /// The records of a dead letter that its stream had forgotten when they were last read to be redriven. There has to be a trace
    /// of that.
    fn forgotten_of(&self, stream: &Stream, message: &Message) -> Vec<At> {
        let trace = trace(stream, message);
        if !self.put_away.get("forgotten").is_some_and(|traces| traces.contains(&trace)) {
            return Vec::new();
        }
        let records = records(stream, message);
        // The letter goes with its trace. Of letters that begin with the same record nobody knows which of them was read when.
        let reads = records.iter().flat_map(|(shard, record)| stream.begun(shard, &record.sequence));
        let read = reads.max().expect("who leaves a trace has read");
        let lost = records.iter().filter(|(_, record)| !stream.kept(record, read));
        lost.map(|(shard, record)| at(stream, shard, record)).collect()
    }

    /// Whether a record is a dead letter, or was forgotten as one.
    fn is_gone(&self, at: &At) -> bool {
        self.dead.contains(at) || self.forgotten.contains(at)
    }

    /// The events in messages that queue died of, whoever handed them to it since.
    pub(crate) fn died_in_messages(&self) -> impl Iterator<Item = u32> {
        let messages = self.died.values().filter(|(source, _)| source["stream"] == "inbox");
        messages.flat_map(|(_, serials)| serials).copied()
    }

    /// The records that events with these numbers came from, where they went out.
    pub(crate) fn let_out(&self, is_of: impl Fn(u32) -> bool) -> BTreeSet<At> {
        let framed =
            self.clean.iter().filter(|(_, place)| is_of(place.serial)).map(|(_, place)| place.from());
        // Aggregates have no places: any record with the event may be it.
        let read = self.read.iter().filter(|(_, (.., payloads))| {
            !self.plain.is_empty() && payloads.iter().flatten().any(|serial| is_of(*serial))
        });
        framed.chain(read.map(|(at, _)| at.clone())).collect()
    }

    /// The events in records without poison that their functions died of twice all the same, by chance: alone, while they were
    /// redriven, each time for a reason that lies elsewhere.
    fn died_by_chance(&self, run: &Run, mates: &BTreeSet<u32>) -> BTreeSet<u32> {
        let functions = run.stack.functions.borrow();
        let is_chance = |(source, serials): &&(Value, Vec<u32>)| {
            let (stream, record) = (source["stream"].as_str().unwrap(), source["sequence"].as_str().unwrap());
            let readers = functions.iter().filter(|function| readers(stream).contains(&function.name));
            let is_of = |event: &Value| {
                let is_redriven = event["redriven"] == true || event["Records"][0]["receiptHandle"] == "";
                is_redriven && world::names(event) == [record]
            };
            let accidents =
                |function: &Rc<Function>| function.accidents().iter().filter(|event| is_of(event)).count();
            serials.iter().all(|serial| !mates.contains(serial))
                && readers.map(accidents).any(|times| times >= 2)
        };
        self.died.values().filter(is_chance).flat_map(|(_, serials)| serials).copied().collect()
    }

    /// What was put away killed its function twice, alone, and each time that then lived through an event without records.
    fn what_is_put_away_did_kill(&self, run: &Run, wrong: &mut Vec<String>) {
        for (source, _) in self.died.values() {
            let (stream, sequence) =
                (source["stream"].as_str().unwrap(), source["sequence"].as_str().unwrap());
            if Self::who_died(run, stream, sequence) == 0 {
                wrong.push(format!("the record {sequence} of {stream} is put away, and did not kill"));
            }
        }
    }

    /// How many functions died twice of this record alone, and each time lived without it.
    fn who_died(run: &Run, stream: &str, sequence: &str) -> usize {
        let calls = run.stack.calls.borrow();
        let died = |function: &&&str| {
            let (mut deaths, mut has_died) = (0, false);
            for call in calls.iter().filter(|call| call.function == **function) {
                match call.records.as_slice() {
                    [only] if only == sequence => has_died = call.died,
                    [] => deaths += u32::from(std::mem::take(&mut has_died) && !call.died),
                    _ => {}
                }
            }
            deaths >= 2
        };
        readers(stream).iter().filter(died).count()
    }

    /// The events that share a record or a message with one which kills its function.
    fn mates(&self, scenario: &Scenario) -> BTreeSet<u32> {
        let poison: BTreeSet<u32> = scenario
            .events
            .iter()
            .filter(|event| event.kind >= Kind::PanicsTransform)
            .map(|event| event.serial)
            .collect();
        let mut records: BTreeMap<&At, BTreeSet<u32>> = BTreeMap::new();
        for (at, (.., payloads)) in &self.read {
            records.entry(at).or_default().extend(payloads.iter().flatten());
        }
        for (at, place) in &self.clean {
            records.entry(at).or_default().insert(place.serial);
        }
        let messages = scenario.sends.iter().filter(|send| send.way == Way::Message).map(|send| {
            send.events.iter().map(|place| scenario.events[*place].serial).collect::<BTreeSet<_>>()
        });
        let all = records.into_values().chain(messages);
        all.filter(|record| !record.is_disjoint(&poison)).flatten().collect()
    }

    /// Only what failed is sent again: where no answer is lost, RawStream has an event as often as clients sent it.
    fn nothing_is_put_again_in_vain(&self, run: &Run, wrong: &mut Vec<String>) {
        if !run.scenario.puts_once() || !run.scenario.spill_is_well() || run.stack.drained_in_part.get() {
            return;
        }
        let mut times: BTreeMap<u32, usize> = BTreeMap::new();
        for (at, (order, _, payloads)) in &self.read {
            if at.0 == run.stack.raw.name && run.stack.replays.has_of("raw", *order) {
                continue;
            }
            for serial in payloads.iter().flatten() {
                *times.entry(*serial).or_default() += 1;
            }
        }
        for (serial, times) in times {
            let sent = run.told.of(serial).sent;
            if times > sent {
                wrong.push(format!("event {serial} was sent {sent} times and is in RawStream {times} times"));
            }
        }
    }

    /// A token is its user's, of the key before a rotation or of the one after it: of the old one until its function asks anew, and a
    /// while after it asked in vain.
    fn tokens_are_of_their_time(&self, run: &Run, wrong: &mut Vec<String>) {
        let scenario = &run.scenario;
        let rotated_at = scenario.rotated_at();
        let new = TokenKey::parse(NEXT_KEY).unwrap();
        let in_vain = run.stack.account.faults().met("secrets");
        let in_files = files::serials(scenario);
        let token = |key: &TokenKey, event: &Event| {
            let mut token = String::new();
            key.token(format!("{CANARY}-{}", event.user).as_bytes(), &mut token);
            token
        };
        for (at, serial, found) in &self.tokens {
            let event = scenario.events.iter().find(|event| event.serial == *serial).unwrap();
            let is_old = *found == token(new.of_id("k1").unwrap(), event);
            let is_new = *found == token(&new, event);
            // Arrival times of a stream are not quite in order.
            let may_be_new = rotated_at.is_some_and(|rotated| *at >= rotated.plus_ms(-5_000));
            // A batch of a file has all of its function's time.
            let underway_ms = if in_files.contains(serial) {
                UNDERWAY_MS.max(scenario.files.seconds * 1_000 + 5_000)
            } else {
                UNDERWAY_MS
            };
            let may_be_old = rotated_at.is_none_or(|rotated| {
                let asked_in_vain =
                    |asked: &Micros| (*asked..asked.plus_ms(ASKED_WITHIN_MS + underway_ms)).contains(at);
                *at < rotated.plus_ms(RENEWED_WITHIN_MS + underway_ms) || in_vain.iter().any(asked_in_vain)
            });
            if !(is_old && may_be_old || is_new && may_be_new) {
                wrong.push(format!("event {serial} has a token of the wrong key or of another user"));
            }
        }
    }

    /// What shares a partition key comes to the clean stream in the order in which RawStream took it; but what was given
    /// up and redriven comes when it comes.
    fn order_is_kept(&self, wrong: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (_, place) in &self.clean {
            let from = place.from();
            if !seen.insert(place) || self.given_up.contains(&from) {
                continue;
            }
            let Some((order, key, _)) = self.read.get(&from) else { continue };
            let before = last.entry(key).or_default();
            let now = (*order, place.index);
            if now < *before {
                wrong.push(format!(
                    "event {} came to the clean stream behind one that it was before",
                    place.serial
                ));
            }
            *before = now;
        }
    }

    /// Each answer that counted told the truth about the records that are safe by it.
    fn counts_are_true(&self, run: &Run, wrong: &mut Vec<String>) {
        let events: BTreeMap<u32, &Event> =
            run.scenario.events.iter().map(|event| (event.serial, event)).collect();
        let out: BTreeSet<_> = self.clean.iter().map(|(_, place)| (place.from(), place.index)).collect();
        let mut check = |mapping: &StreamMapping, acked: &Acked, names: &[&str], truth: &[usize]| {
            let told: Vec<_> = names
                .iter()
                .map(|name| name.split('+').map(|name| number(&acked.counts, name)).sum::<usize>())
                .collect();
            if told != truth {
                let (function, first) =
                    (mapping.function.name, acked.records.first().map_or("-", |first| &first.sequence));
                wrong.push(format!(
                    "{function} counted {names:?} {told:?} from {first} on, and it was {truth:?}"
                ));
            }
        };
        for mapping in [&run.transform, &run.changes] {
            mapping.acked(|all| {
                for acked in all {
                    let is_mistaken = number(&acked.counts, "mistaken") > 0;
                    let mut truth = [0; 5];
                    for record in &acked.records {
                        let from = at(&mapping.stream, &acked.shard, record);
                        let (.., payloads) = &self.read[&from];
                        let mut pieces = 0;
                        let counted = payloads.iter().flat_map(|serials| {
                            let begin = pieces;
                            pieces += u64::try_from(serials.len()).unwrap();
                            // Lines of which none is JSON are no lines, but one piece of something else.
                            let is_one = serials.iter().all(|serial| events[serial].kind == Kind::Garbage);
                            (begin..).zip(if is_one { &serials[..1] } else { serials })
                        });
                        for (index, serial) in counted {
                            truth[0] += 1;
                            let place = (from.clone(), index);
                            match events[serial].kind {
                                _ if is_mistaken && run.scenario.mistakes(events[serial]) => truth[4] += 1,
                                Kind::Filtered => truth[2] += 1,
                                Kind::Bad | Kind::Garbage => truth[4] += 1,
                                _ if out.contains(&place) => truth[1] += 1,
                                _ if self.late.contains(&place) => truth[4] += 1,
                                _ => truth[3] += 1,
                            }
                        }
                    }
                    if run.scenario.kpl {
                        // An aggregate does not tell which one of two of the same id went out.
                        let [all, _, filtered, passed, bad] = truth;
                        let names = ["in", "filtered", "out+duplicates", "quarantined"];
                        check(mapping, acked, &names, &[all, filtered, passed, bad]);
                        continue;
                    }
                    check(mapping, acked, &["in", "out", "filtered", "duplicates", "quarantined"], &truth);
                }
            });
        }
        // A sink counts what it worked on. Lanes fail one by one, so what it landed may come again in a batch, and is
        // skipped then.
        let mut sink = |mapping: &Rc<StreamMapping>| {
            mapping.acked(|all| {
                for acked in all {
                    let events = |record: &Rc<Record>| {
                        let at = at(&mapping.stream, &acked.shard, record);
                        self.clean.iter().filter(|(in_record, _)| *in_record == at).count()
                    };
                    let events = acked.records.iter().map(events).sum();
                    if acked.is_whole {
                        check(mapping, acked, &["in", "landed+skipped", "quarantined"], &[events, events, 0]);
                    } else {
                        let counted = number(&acked.counts, "in");
                        check(mapping, acked, &["landed+skipped", "quarantined"], &[counted, 0]);
                    }
                }
            });
        };
        sink(&run.drawn);
        run.review.iter().for_each(sink);
        let landed: usize = run.drawn.function.counted().iter().map(|counts| number(counts, "landed")).sum();
        // What no lake is fed with is not its to count.
        let rows = if run.scenario.kpl { 0 } else { self.rows.len() };
        // What was put and never answered for is there, and counted once its letter is redriven, if it can be.
        let is_settled = run.drawn.dead.waiting().is_empty() && self.forgotten.is_empty();
        if landed > rows || landed < rows && is_settled && run.scenario.sink_is_well() {
            wrong.push(format!("lake counted {landed} events as landed, and {rows} are there"));
        }
    }

    /// What the functions without a stream of their own counted.
    fn other_counts_are_true(&self, run: &Run, wrong: &mut Vec<String>) {
        let sum = |function: &Function, name: &str| {
            function.counted().iter().map(|counts| number(counts, name)).sum::<usize>()
        };
        let (told, heard) =
            ((sum(&run.ingest, "accepted"), sum(&run.ingest, "rejected")), run.told.heard.get());
        let is_too_little = told.0 < heard.0 || told.1 < heard.1;
        if is_too_little || !run.told.is_deaf.get() && told != heard {
            wrong.push(format!("ingest counted accepted, rejected {told:?}, and answered {heard:?}"));
        }
        Self::queue_counts_are_true(run, wrong);
        if run.scenario.puts_once() && run.scenario.spill_is_well() {
            let all = run.stack.spill.all();
            let records: Vec<_> = all.iter().flat_map(spilled_records).collect();
            let events = |(_, data): &(String, Vec<u8>)| truth::serials(data).len();
            let most: usize = records.iter().map(events).sum();
            // What drain or redrive sent once more is the same in the same place; so is what a client sent twice at once.
            let least: usize = records.iter().collect::<BTreeSet<_>>().into_iter().map(events).sum();
            let told = sum(&run.ingest, "spilled") + sum(&run.webhooks, "spilled");
            let out = sum(&run.drain, "out");
            let all_came = run.scenario.redrive_ends() && run.stack.spill_dead.waiting().is_empty();
            if !(least..=most).contains(&told) || all_came && told != out {
                wrong.push(format!(
                    "{least} to {most} events were spilled; ingest and webhooks counted {told}, and drain {out} out"
                ));
            }
        }
        for counts in run.redrive.counted() {
            let count = |name| number(&counts, name);
            if count("letters") != count("done") + count("left")
                || count("records") < count("redriven") + count("quarantined")
            {
                wrong.push(format!("redrive counted what cannot be: {counts}"));
            }
        }
        for (name, reason) in [("quarantined", "function_died"), ("forgotten", "forgotten")] {
            let told = sum(&run.redrive, name);
            let entries = self.put_away.get(reason).cloned().unwrap_or_default();
            let there = entries.len();
            // What two functions gave up has one entry, which does not say of which of them.
            let most: usize = if reason == "function_died" {
                let of = |(source, _): &(Value, Vec<u32>)| {
                    let text = |name: &str| source[name].as_str().unwrap().to_owned();
                    Self::who_died(run, &text("stream"), &text("sequence"))
                };
                self.died.values().map(of).sum()
            } else {
                let mappings = [&run.transform, &run.changes, &run.drawn].into_iter();
                let of = |mapping: &Rc<StreamMapping>| {
                    let all = mapping.dead.all();
                    let traces = all.iter().map(|message| trace(&mapping.stream, message));
                    traces.filter(|trace| entries.contains(trace)).collect::<BTreeSet<_>>().len()
                };
                mappings.chain(&run.metrics).chain(&run.review).map(of).sum()
            };
            // A letter that is left, or delivered twice, has its records counted again.
            let is_exact = sum(&run.redrive, "left") == 0 && run.scenario.letters_come_once();
            // What was put and never answered for is there, and not counted until its letter is redriven again.
            let is_heard = run.scenario.quarantine_answers() || run.stack.letters() == 0;
            let is_wrong = is_heard && told < there || is_exact && told > most;
            if run.scenario.redrive_ends() && is_wrong {
                wrong.push(format!("redrive counted {told} as {name}, and {there} are in the quarantine"));
            }
        }
    }

    /// What `queue` counted of each event is what its messages have: all of them, and those that its answer does not name.
    fn queue_counts_are_true(run: &Run, wrong: &mut Vec<String>) {
        let garbage: BTreeSet<u32> = {
            let all = run.scenario.events.iter().filter(|event| event.kind == Kind::Garbage);
            all.map(|event| event.serial).collect()
        };
        for (messages, answer, counts) in run.stack.queued.borrow().iter() {
            let failed = answer["batchItemFailures"].as_array().into_iter().flatten();
            let failed: BTreeSet<_> =
                failed.map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect();
            let mut truth = [0; 3];
            for message in messages.as_array().into_iter().flatten() {
                let serials = truth::serials(message["body"].as_str().unwrap().as_bytes());
                truth[0] += serials.len();
                if !failed.contains(message["messageId"].as_str().unwrap()) {
                    truth[1] += serials.len();
                    truth[2] += serials.iter().filter(|serial| garbage.contains(serial)).count();
                }
            }
            let told = ["in", "out", "unread"].map(|name| number(counts, name));
            if told != truth {
                wrong.push(format!("queue counted in, out, unread {told:?}, and it was {truth:?}"));
            }
        }
    }

    fn no_personal_data(&self, wrong: &mut Vec<String>) {
        for (place, bytes) in &self.public {
            if truth::find(bytes, CANARY.as_bytes()).is_some()
                || truth::find(bytes, CANARY_IP.as_bytes()).is_some()
            {
                wrong.push(format!("personal data in {place}"));
            }
        }
    }
}

fn everything_was_read(run: &Run, wrong: &mut Vec<String>) {
    for mapping in [&run.transform, &run.changes, &run.drawn] {
        if mapping.behind() > 0 {
            wrong.push(format!("{} is {} records behind", mapping.function.name, mapping.behind()));
        }
    }
    for queue in [&run.stack.spill, &run.stack.inbox] {
        if !queue.waiting().is_empty() {
            wrong.push(format!("the {} queue is not empty", queue.name));
        }
    }
}

/// The functions that read a stream, or the inbox queue.
fn readers(stream: &str) -> &'static [&'static str] {
    match stream {
        "raw" => &["transform"],
        "clean" => &["lake", "review"],
        "inbox" => &["queue"],
        _ => &["changes", "metrics"],
    }
}

/// The entries in an object of the quarantine.
fn lines(body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(truth::inflated(body)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_good(kind: Kind) -> bool {
    matches!(kind, Kind::Good | Kind::Large | Kind::Unnamed | Kind::Filtered)
}

pub(crate) fn number(counts: &Value, name: &str) -> usize {
    usize::try_from(counts[name].as_u64().unwrap_or_default()).unwrap()
}

/// A record as lanes name it: a table's stream has its label in the shard's place.
pub(crate) fn at(stream: &Stream, shard: &str, record: &Record) -> At {
    let shard = match stream.arn.split_once("/stream/") {
        Some((_, label)) => label.replace(':', "-"),
        None => shard.to_owned(),
    };
    (stream.name.to_owned(), shard, record.sequence.clone())
}

/// What a dead letter says of its batch.
fn info(message: &Message) -> Value {
    let mut body: Value = serde_json::from_str(&message.body).unwrap();
    let kind = if body["KinesisBatchInfo"].is_object() { "KinesisBatchInfo" } else { "DDBStreamBatchInfo" };
    body[kind].take()
}

/// The place of the entry that a dead letter leaves in the quarantine when the stream has forgotten its records.
fn trace(stream: &Stream, message: &Message) -> String {
    let info = info(message);
    let (shard, first) = (&info["shardId"], &info["startSequenceNumber"]);
    json!({"stream": stream.name, "shard": shard, "sequence": first, "index": null}).to_string()
}

/// The records that a dead letter stands for, of these.
fn range(stream: &Stream, message: &Message, of_these: impl Fn(&Record) -> bool) -> Vec<At> {
    let records = records(stream, message).into_iter().filter(|(_, record)| of_these(record));
    records.map(|(shard, record)| at(stream, &shard, &record)).collect()
}

/// The records that a dead letter stands for, with their shard, whether they are still kept or not.
pub(crate) fn records(stream: &Stream, message: &Message) -> Vec<(String, Rc<Record>)> {
    let info = info(message);
    let (shard, first, last) = (
        info["shardId"].as_str().unwrap(),
        info["startSequenceNumber"].as_str().unwrap(),
        info["endSequenceNumber"].as_str().unwrap(),
    );
    let within =
        |record: &Record| order(&record.sequence, first).is_ge() && order(&record.sequence, last).is_le();
    stream.shards(|shards| {
        let of = shards.iter().find(|known| known.id == shard).expect("a shard of the stream");
        let records = of.records.iter().filter(|record| within(record));
        records.map(|record| (shard.to_owned(), Rc::clone(record))).collect()
    })
}

/// The events in a message of spilled records.
fn spilled(message: &Message) -> Vec<u32> {
    spilled_records(message).into_iter().flat_map(|(_, data)| truth::serials(&data)).collect()
}

/// The records in a message, each with what tells it from others of the same data.
fn spilled_records(message: &Message) -> Vec<(String, Vec<u8>)> {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let body: Value = serde_json::from_str(&message.body).unwrap();
    let records = body["records"].as_array().cloned().unwrap_or_default();
    let record = |record: Value| {
        let place = format!("{} {}", body["order"], record["partitionKey"]);
        (place, BASE64_STANDARD.decode(record["data"].as_str().unwrap()).unwrap())
    };
    records.into_iter().map(record).collect()
}
