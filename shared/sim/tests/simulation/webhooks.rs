//! Vendors and their webhooks: what is drawn of them, how they sign and send, who meddles, and what must be true of it.
//!
//! | vendor | signs | so who recorded a request |
//! | --- | --- | --- |
//! | Stripe | time and body | cannot send it once its time is over |
//! | GitHub | body | can send it for ever |
//! | one of [Standard Webhooks](https://www.standardwebhooks.com) | id, time and body | cannot send it once its time is over, nor under another id |
//!
//! A vendor sends again what was not answered with 2xx in time, under the same id, with a new time and signature or as it
//! was.

use crate::scenario::{CANARY_IP, Event, Kind, START, Scenario, moment};
use crate::truth;
use crate::world::{Ledger, Run, Stack, through_api};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use millrace_core::port::Kind as Refusal;
use millrace_core::time::Micros;
use millrace_core::token::{self, fingerprint};
use millrace_sim::chance::Chance;
use millrace_sim::executor::first;
use millrace_sim::fault::{CallFault, Fault, InvocationFault};
use millrace_sim::lambda::Function;
use serde_json::{Value, json};
use sha2::Sha256;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Stripe,
    Github,
    Acme,
}

/// What is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The vendor's.
    First,
    /// The vendor's, after a rotation.
    Second,
    /// Somebody else's.
    Foreign,
}

/// An event of a vendor.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) at: Micros,
    pub(crate) vendor: Vendor,
    /// Its place in the scenario's events.
    pub(crate) event: usize,
    /// How many times the vendor tries.
    pub(crate) tries: u32,
    /// How far the vendor's clock is ahead.
    pub(crate) ahead_ms: i64,
    /// Whether each attempt is signed anew.
    pub(crate) signs_anew: bool,
    /// Whether the vendor goes on with its first key after a rotation.
    pub(crate) keeps_key: bool,
    /// What others do who recorded the first request, so long after it.
    pub(crate) attacks: Vec<(i64, Attack)>,
}

/// What somebody does with a request that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    /// It is sent as it was.
    Replay,
    /// It says that it was signed now.
    Restamped,
    /// It has another id beside the body.
    Renamed,
    /// It has another body: that event's.
    OtherBody(usize),
    /// An event of one's own, not signed at all.
    Unsigned(usize),
    /// An event of one's own, signed with a key of one's own.
    OwnKey(usize),
}

/// How far the moment of signing may be off, by default, as docs/sources.md says.
const TOLERANCE_MS: i64 = 300_000;

/// From when a request is on its way until the function looks at the clock: a start takes ten seconds at most.
const UNDERWAY_MS: i64 = 12_000;

/// How long after a rotation a function may not know the new secret: it asks again, where it must, after half a minute.
const ROTATING_MS: i64 = 35_000;

/// How long a vendor waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Until when ids are surely known by the window of `transform`. What is sent later has to be known by its note.
const SOON_MS: i64 = 2_700_000;

/// What was told of all requests.
#[derive(Debug, Default)]
pub(crate) struct Book {
    wrong: RefCell<Vec<String>>,
    /// How many answers said accepted, known, refused.
    heard: [Cell<usize>; 3],
    /// Whether an answer may have been lost.
    is_deaf: Cell<bool>,
    /// Whether an id was known that only its note could tell.
    pub(crate) knew_by_note: Cell<bool>,
}

/// Now and then vendors send.
pub(crate) fn draw(scenario: &mut Scenario, chance: &Chance) {
    if !chance.percent(35) || scenario.kills_queue() {
        return;
    }
    // A message that drain gave up comes an hour later: nobody may send anything twice.
    let is_late = scenario.spill_receives < 100;
    for _ in 0..chance.between(1, 6) {
        let vendor = chance.pick(&[Vendor::Stripe, Vendor::Github, Vendor::Acme]);
        let kind = match chance.below(100) {
            0..12 => Kind::Filtered,
            12..20 => Kind::Bad,
            20..26 => Kind::NoId,
            _ => Kind::Good,
        };
        let at = match scenario.rotated_at() {
            Some(_) => START.plus_ms(i64::try_from(chance.below(1_800_000)).unwrap()),
            None => moment(chance),
        };
        let user = u32::try_from(chance.below(3)).unwrap();
        let event = scenario.event(None, user, kind);
        let attacks = (0..chance.below(3)).map(|_| attack(scenario, chance, vendor, event)).collect();
        let mut delivery = Delivery {
            at,
            vendor,
            event,
            tries: chance.pick(&[1, 3, 5, 8]),
            ahead_ms: chance.pick(&[0, 0, 0, 0, 1_500, -2_000, 200_000, -200_000, 400_000, -400_000]),
            signs_anew: chance.percent(60),
            keeps_key: chance.percent(30),
            attacks,
        };
        if is_late {
            delivery.tries = 1;
            delivery.attacks.retain(|(_, attack)| *attack != Attack::Replay);
        }
        scenario.deliveries.push(delivery);
    }
    for _ in 0..chance.below(4) {
        let fault = fault(chance);
        scenario.faults.push(fault);
    }
}

fn attack(scenario: &mut Scenario, chance: &Chance, vendor: Vendor, event: usize) -> (i64, Attack) {
    let after_ms = chance.pick(&[500, 10_000, 120_000, 200_000, 400_000, 1_200_000, 2_400_000, 7_200_000]);
    let id = scenario.events[event].id.clone();
    // Some forge another body for an id that there is.
    let mut forged = |id| {
        let id = chance.percent(50).then_some(id);
        scenario.event(id, 0, Kind::Forged)
    };
    let attack = match chance.below(10) {
        0 if vendor != Vendor::Github => Attack::Restamped,
        1 if vendor == Vendor::Acme => Attack::Renamed,
        2 => Attack::OtherBody(forged(id)),
        3 => Attack::Unsigned(forged(id)),
        4 => Attack::OwnKey(forged(id)),
        _ => Attack::Replay,
    };
    (after_ms, attack)
}

fn fault(chance: &Chance) -> Fault {
    let nth = |most| u32::try_from(chance.below(most)).unwrap();
    let how = chance.pick(&[
        CallFault::Refused(Refusal::Transient),
        CallFault::AnswerLost,
        CallFault::Late(Duration::from_millis(500)),
    ]);
    match chance.below(4) {
        0 => {
            let service = chance.pick(&["api", "raw", "table", "spill", "secrets"]);
            Fault::Call { service, nth: nth(20), how }
        }
        1 => {
            let (from, lasts) = (moment(chance), chance.pick(&[5_000, 120_000, 600_000]));
            let service = chance.pick(&["raw", "table", "spill", "api"]);
            Fault::Spell { service, from, until: from.plus_ms(lasts), percent: chance.pick(&[50, 100]), how }
        }
        _ => {
            let how = chance.pick(&[
                InvocationFault::Crash(nth(12)),
                InvocationFault::Crash(nth(12)),
                InvocationFault::Hang(nth(12)),
                InvocationFault::AnswerLost,
                InvocationFault::Throttled,
                InvocationFault::Cold,
            ]);
            Fault::Invocation { function: "webhooks", nth: nth(8), how }
        }
    }
}

impl Vendor {
    const ALL: [Self; 3] = [Self::Stripe, Self::Github, Self::Acme];

    /// The source that it is.
    fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Github => "github",
            Self::Acme => "acme",
        }
    }

    fn key(self, key: Key) -> String {
        format!("{} {key:?} 0123456789abcdef", self.name())
    }
}

/// What the secret of the webhooks holds: these keys of each vendor.
pub(crate) fn secrets(keys: &[Key]) -> String {
    let source = |vendor: Vendor| {
        let scheme = if vendor == Vendor::Acme { "standard" } else { vendor.name() };
        let secret = |key: &Key| match vendor {
            Vendor::Acme => format!("whsec_{}", BASE64_STANDARD.encode(vendor.key(*key))),
            _ => vendor.key(*key),
        };
        let secrets: Vec<_> = keys.iter().map(secret).collect();
        (vendor.name().to_owned(), json!({"scheme": scheme, "secrets": secrets}))
    };
    Value::Object(Vendor::ALL.into_iter().map(source).collect()).to_string()
}

/// A request, as whoever reads it on its way has it.
#[derive(Debug, Clone)]
struct Signed {
    vendor: Vendor,
    headers: serde_json::Map<String, Value>,
    body: String,
    /// When it was signed, by the vendor's clock.
    at: Micros,
    key: Key,
}

impl Signed {
    /// A vendor's request with this event.
    fn new(vendor: Vendor, event: &Event, key: Key, at: Micros) -> Self {
        let seconds = at.get() / 1_000_000;
        let (id, has_id) = (&event.id, event.kind != Kind::NoId);
        let mut body = event.fields();
        body["serial"] = json!(event.serial);
        if vendor == Vendor::Stripe {
            body["type"] = json!("charge.succeeded");
            body["created"] = json!(seconds);
            if has_id {
                body["id"] = json!(id);
            }
        }
        let body = body.to_string();
        let mac = |before: &str| {
            let mac = Hmac::<Sha256>::new_from_slice(vendor.key(key).as_bytes()).unwrap();
            mac.chain_update(before).chain_update(&body).finalize().into_bytes()
        };
        let hex = |bytes: &[u8]| {
            let mut text = String::new();
            token::hex(bytes, &mut text);
            text
        };
        let mut headers = match vendor {
            Vendor::Stripe => {
                let v1 = hex(&mac(&format!("{seconds}.")));
                json!({"stripe-signature": format!("t={seconds},v1={v1}")})
            }
            Vendor::Github => json!({
                "x-github-event": "push", "x-github-delivery": id,
                "x-hub-signature-256": format!("sha256={}", hex(&mac(""))),
            }),
            Vendor::Acme => json!({
                "webhook-id": id, "webhook-timestamp": seconds.to_string(),
                "webhook-signature": format!("v1,{}", BASE64_STANDARD.encode(mac(&format!("{id}.{seconds}.")))),
            }),
        };
        headers["content-type"] = json!("application/json");
        let Value::Object(mut headers) = headers else { unreachable!("it is one") };
        if !has_id {
            headers.remove("x-github-delivery");
            headers.remove("webhook-id");
        }
        Self { vendor, headers, body, at, key }
    }

    /// It as somebody sends it who says that it was signed now.
    fn restamped(mut self, now: Micros) -> Self {
        let seconds = now.get() / 1_000_000;
        if let Some(Value::String(text)) = self.headers.get_mut("stripe-signature") {
            let (_, signature) = text.split_once(',').unwrap();
            *text = format!("t={seconds},{signature}");
        } else {
            self.headers.insert("webhook-timestamp".into(), json!(seconds.to_string()));
        }
        self
    }

    fn renamed(mut self) -> Self {
        self.headers.insert("webhook-id".into(), json!("another"));
        self
    }

    fn unsigned(mut self) -> Self {
        for name in ["stripe-signature", "x-hub-signature-256", "webhook-signature"] {
            self.headers.remove(name);
        }
        self
    }

    /// What API Gateway makes of it.
    fn request(&self) -> Value {
        let path = format!("/v1/webhooks/{}", self.vendor.name());
        json!({
            "version": "2.0", "rawPath": path, "headers": self.headers, "body": self.body, "isBase64Encoded": false,
            "requestContext": {"http": {
                "method": "POST", "path": path, "sourceIp": format!("{CANARY_IP}99"), "userAgent": "simulated/1.0",
            }},
        })
    }
}

/// What has to become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// It is not refused, though the function may say to try again.
    Taken,
    /// It is refused.
    Refused,
    /// Either: a time limit is near, or a secret is new.
    Either,
}

/// Who sends, and who meddles.
pub(crate) struct Sender {
    pub(crate) stack: Rc<Stack>,
    pub(crate) webhooks: Rc<Function>,
    pub(crate) told: Rc<Ledger>,
    pub(crate) scenario: Rc<Scenario>,
}

/// Begins to send all of them.
pub(crate) fn begin(sender: Sender) {
    let sender = Rc::new(sender);
    for delivery in sender.scenario.deliveries.clone() {
        let sender = Rc::clone(&sender);
        sender.stack.account.clone().executor().spawn(async move { sender.deliver(&delivery).await });
    }
}

impl Sender {
    async fn deliver(self: &Rc<Self>, delivery: &Delivery) {
        let account = &self.stack.account;
        let event = &self.scenario.events[delivery.event];
        account.executor().sleep_until(delivery.at).await;
        let mut signed = self.sign(delivery, event);
        for (after_ms, attack) in delivery.attacks.clone() {
            let (own, event, signed) = (Rc::clone(self), event.clone(), signed.clone());
            account.executor().spawn(async move { own.attack(after_ms, attack, &event, signed).await });
        }
        for attempt in 0..delivery.tries {
            if attempt > 0 {
                account.sleep(Duration::from_millis(account.chance().between(1_000, 180_000))).await;
                if delivery.signs_anew {
                    signed = self.sign(delivery, event);
                }
            }
            account.tell(|| format!("{:?} sends {}, attempt {}", delivery.vendor, event.serial, attempt + 1));
            let expect = if event.kind == Kind::NoId { Expect::Refused } else { self.expect(&signed) };
            if self.post(&signed, event, expect).await {
                return;
            }
        }
    }

    fn sign(&self, delivery: &Delivery, event: &Event) -> Signed {
        let now = self.stack.account.now();
        let is_rotated = self.scenario.rotated_at().is_some_and(|at| now >= at);
        let key = if is_rotated && !delivery.keeps_key { Key::Second } else { Key::First };
        Signed::new(delivery.vendor, event, key, now.plus_ms(delivery.ahead_ms))
    }

    /// What has to become of a request that a vendor signed, where it is sent now.
    fn expect(&self, signed: &Signed) -> Expect {
        let now = self.stack.account.now();
        let skew_ms = self.scenario.skew_ms + 1_000; // times are of whole seconds
        let age_ms = (now.get() - signed.at.get()) / 1_000;
        let (least, most) = (age_ms - skew_ms, age_ms + skew_ms + UNDERWAY_MS);
        let has_time = signed.vendor != Vendor::Github;
        if has_time && (least > TOLERANCE_MS || most < -TOLERANCE_MS) {
            return Expect::Refused;
        }
        let is_known = signed.key == Key::First
            || self.scenario.secret_is_there()
                && self.scenario.rotated_at().is_some_and(|at| now >= at.plus_ms(ROTATING_MS));
        let in_time = !has_time || least >= -TOLERANCE_MS && most <= TOLERANCE_MS;
        if is_known && in_time { Expect::Taken } else { Expect::Either }
    }

    async fn attack(&self, after_ms: i64, attack: Attack, event: &Event, signed: Signed) {
        let account = &self.stack.account;
        account.sleep(Duration::from_millis(u64::try_from(after_ms).unwrap())).await;
        account.tell(|| format!("somebody has a request of {:?}: {attack:?}", signed.vendor));
        let now = account.now();
        let of = |place: usize| &self.scenario.events[place];
        let forge = |event, key| Signed::new(signed.vendor, event, key, now);
        let _ = match attack {
            Attack::Replay => {
                let has_no_time = signed.vendor == Vendor::Github;
                if has_no_time && after_ms > SOON_MS && !self.is_noted(event) {
                    return; // nobody may know it any more
                }
                let expect = if event.kind == Kind::NoId { Expect::Refused } else { self.expect(&signed) };
                let is_over = self.post(&signed, event, expect).await;
                if is_over && has_no_time && after_ms > SOON_MS {
                    self.stack.webhooks.knew_by_note.set(true);
                }
                is_over
            }
            Attack::Restamped => {
                // In the second in which it was signed it is what it was.
                let is_same = signed.at.get() / 1_000_000 == now.get() / 1_000_000;
                let expect = if is_same { Expect::Either } else { Expect::Refused };
                self.post(&signed.restamped(now), event, expect).await
            }
            Attack::Renamed => self.post(&signed.renamed(), event, Expect::Refused).await,
            Attack::OtherBody(other) => {
                let body = forge(of(other), Key::Foreign).body;
                self.post(&Signed { body, ..signed }, of(other), Expect::Refused).await
            }
            Attack::Unsigned(other) => {
                let forged = forge(of(other), Key::Foreign).unsigned();
                self.post(&forged, of(other), Expect::Refused).await
            }
            Attack::OwnKey(other) => {
                self.post(&forge(of(other), Key::Foreign), of(other), Expect::Refused).await
            }
        };
    }

    /// Whether it is sure that the function knows an event of GitHub's, by the note and not by the window.
    fn is_noted(&self, event: &Event) -> bool {
        let key = format!("webhooks/github/{}", fingerprint(event.id.as_bytes(), 16));
        let is_well = !self.scenario.faults.iter().any(|fault| {
            matches!(fault, Fault::Call { service: "table", .. } | Fault::Spell { service: "table", .. })
        });
        is_well && self.stack.state.items().iter().any(|item| item.key == key)
    }

    /// Sends it once; whether it was taken, or is refused for good.
    async fn post(&self, signed: &Signed, event: &Event, expect: Expect) -> bool {
        let (account, book) = (&self.stack.account, &self.stack.webhooks);
        self.told.note(event, |told| told.sent += 1);
        let request = signed.request();
        let answer = through_api(account, &self.webhooks, &request);
        let answer = first(answer, account.sleep(PATIENCE)).await.unwrap_or_default();
        account.tell(|| match &answer {
            Some((status, body)) => format!("the sender of {} is told {status} {body}", event.serial),
            None => format!("the sender of {} is told nothing", event.serial),
        });
        let Some((status, body)) = answer else {
            book.is_deaf.set(true);
            return false;
        };
        self.told.answers.borrow_mut().push_str(&body);
        if body.is_empty() {
            // API Gateway's own: 503 where the function was not asked.
            book.is_deaf.set(book.is_deaf.get() || status != 503);
            return false;
        }
        let told = match status {
            202 => 0,
            200 => 1,
            _ => 2,
        };
        book.heard[told].set(book.heard[told].get() + 1);
        let (is_taken, is_refused) = (told < 2, (400..500).contains(&status) && status != 429);
        if is_taken && expect == Expect::Refused || is_refused && expect == Expect::Taken {
            let (vendor, serial) = (signed.vendor.name(), event.serial);
            let wrong = format!("a webhook of {vendor} was answered {status}, and not so: event {serial}");
            book.wrong.borrow_mut().push(wrong);
        }
        let for_good = is_refused && matches!(event.kind, Kind::NoId | Kind::Forged);
        self.told.note(event, |told| {
            told.accepted |= is_taken;
            told.refused |= for_good;
        });
        is_taken || for_good
    }
}

/// What is wrong with a run's webhooks.
pub(crate) fn judge(run: &Run, wrong: &mut Vec<String>) {
    let book = &run.stack.webhooks;
    let scenario = &run.scenario;
    if scenario.deliveries.is_empty() {
        return;
    }
    wrong.extend(book.wrong.borrow().iter().cloned());
    let counts = run.webhooks.counted();
    let sum = |name: &str| counts.iter().filter_map(|counts| counts[name].as_u64()).sum::<u64>();
    let told = ["accepted", "known", "refused"].map(|name| usize::try_from(sum(name)).unwrap());
    let heard = [0, 1, 2].map(|place: usize| book.heard[place].get());
    let is_too_little = told.iter().zip(&heard).any(|(told, heard)| told < heard);
    if is_too_little || !book.is_deaf.get() && told != heard {
        wrong.push(format!("webhooks counted accepted, known, refused {told:?}, and answered {heard:?}"));
    }
    let own: BTreeSet<_> =
        scenario.deliveries.iter().map(|delivery| scenario.events[delivery.event].serial).collect();
    let forged = scenario.events.iter().filter(|event| event.kind == Kind::Forged);
    let forged: BTreeSet<_> = forged.map(|event| event.serial).collect();
    let mut copies = 0;
    for (_, record) in run.stack.raw.records() {
        for serial in truth::serials(&truth::plain(&record.data)) {
            copies += usize::from(own.contains(&serial) && !run.stack.replays.has(&run.stack.raw, &record));
            if forged.contains(&serial) {
                wrong.push(format!("event {serial} is in RawStream, and nobody signed it"));
            }
        }
    }
    let is_exact = scenario.puts_once() && scenario.spill_is_well() && !run.stack.drained_in_part.get();
    let spilled = run.stack.spill_dead.waiting().len() + run.stack.spill.waiting().len();
    if spilled == 0 && (copies < told[0] || is_exact && copies > told[0]) {
        wrong.push(format!("webhooks counted {} as accepted, and RawStream has {copies}", told[0]));
    }
}
