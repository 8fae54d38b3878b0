//! What is probably not meant so: the warnings of `millrace check`.
//!
//! They follow from what each step says it touches, so they are no proof: a field can also get away under another
//! name, in an expression or in free text. `[check] allow` says of a field that it is meant so.

use super::file::{Compiled, Words};
use super::{EventSettings, LakeSettings};
use crate::change::{self, ChangesSettings};
use crate::event::{Path, Pattern};
use crate::expression::{Always, Expression, Named as NamedIn};
use crate::metric::{MetricSettings, Metrics};
use crate::mistake::{Mistake, place_in};
use crate::redact::Kind;
use crate::step::Touches;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashSet;
use std::ops::Range;
use toml::Spanned;

/// `[check]`: what `millrace check` is not to warn of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSettings {
    /// Fields of which it is meant as it is.
    #[serde(default)]
    #[schemars(with = "Vec<Pattern>")]
    pub allow: Vec<Spanned<Pattern>>,
}

/// The parts of a file without mistakes.
pub(super) struct Parts<'a> {
    pub(super) event: &'a EventSettings,
    pub(super) event_words: Words,
    pub(super) steps: &'a [Compiled],
    pub(super) lake: &'a LakeSettings,
    pub(super) changes: &'a ChangesSettings,
    pub(super) metric_settings: &'a [MetricSettings],
    pub(super) metrics: &'a Metrics,
    pub(super) check: &'a CheckSettings,
}

/// These make something else of a field, which a step that reads meaning from it no longer understands.
const SPOILING: [&str; 5] = [
    "anonymize.encrypt",
    "anonymize.generalize",
    "anonymize.hmac",
    "anonymize.mask",
    "anonymize.truncate_ip",
];

/// These read meaning from a field, and what they read it for.
const READING: [(&str, &str); 6] = [
    ("enrich.geoip", "place"),
    ("enrich.referrer", "site"),
    ("enrich.url", "URL"),
    ("enrich.user_agent", "browser"),
    ("filter.bots", "browser"),
    ("filter.ip", "address"),
];

/// It reads a field and sets it where it is missing.
const FILLING: &str = "clean.default";

/// It makes an id of fields without a key.
const HASHING: &str = "enrich.hash_id";

/// What is in a field goes with it to the same place in the other one.
const MOVING: &str = "clean.rename";

/// A time is no time behind these.
const TIMELESS: [&str; 4] =
    ["anonymize.encrypt", "anonymize.hmac", "anonymize.mask", "anonymize.truncate_ip"];

/// Steps that make another value of the same one when the key is rotated.
const KEYED: [&str; 2] = ["anonymize.encrypt", "anonymize.hmac"];

/// Names that personal data goes by, their words without signs and capitals: at the end of a name, whatever stands
/// before. Some are of a kind that is found in text.
const PERSONAL: [(&str, Option<Kind>); 52] = [
    ("address", None),
    ("addressline", None),
    ("birthdate", None),
    ("birthday", None),
    ("cardnumber", Some(Kind::CreditCard)),
    ("cellphone", None),
    ("creditcard", Some(Kind::CreditCard)),
    ("dateofbirth", None),
    ("displayname", None),
    ("dob", None),
    ("email", Some(Kind::Email)),
    ("emailaddress", Some(Kind::Email)),
    ("familyname", None),
    ("firstname", None),
    ("fullname", None),
    ("givenname", None),
    ("iban", Some(Kind::Iban)),
    ("idfa", None),
    ("ip", Some(Kind::Ip)),
    ("ipaddress", Some(Kind::Ip)),
    ("lastname", None),
    ("lat", None),
    ("latitude", None),
    ("lng", None),
    ("lon", None),
    ("longitude", None),
    ("maidenname", None),
    ("mail", Some(Kind::Email)),
    ("middlename", None),
    ("mobile", None),
    ("mobilenumber", None),
    ("mobilephone", None),
    ("nickname", None),
    ("passport", None),
    ("passportnumber", None),
    ("password", None),
    ("phone", None),
    ("phonenumber", None),
    ("postalcode", None),
    ("postcode", None),
    ("remoteaddr", Some(Kind::Ip)),
    ("socialsecuritynumber", Some(Kind::UsSsn)),
    ("ssn", Some(Kind::UsSsn)),
    ("streetaddress", None),
    ("surname", None),
    ("taxid", None),
    ("telephone", None),
    ("userid", None),
    ("username", None),
    ("xforwardedfor", Some(Kind::Ip)),
    ("zip", None),
    ("zipcode", None),
];

/// Whom an `id` or a `name` tells of: in an object of this name, or behind the word.
const PEOPLE: [&str; 17] = [
    "account",
    "author",
    "billing",
    "buyer",
    "client",
    "contact",
    "customer",
    "employee",
    "member",
    "patient",
    "person",
    "profile",
    "recipient",
    "sender",
    "shipping",
    "traits",
    "user",
];

/// What a person has in an object, or behind a word, of [`PEOPLE`].
const THEIRS: [&str; 5] = ["first", "id", "last", "login", "name"];

/// They ask about something and do not hold it: `has_email`.
const ASKING: [&str; 4] = ["has", "is", "verified", "wants"];

/// What other languages write for words of CEL, which takes them for fields.
const FOREIGN: [(&str, &str); 9] = [
    ("FALSE", "false"),
    ("False", "false"),
    ("NULL", "null"),
    ("None", "null"),
    ("Null", "null"),
    ("TRUE", "true"),
    ("True", "true"),
    ("nil", "null"),
    ("undefined", "null"),
];

/// What happened to fields on the way, in order.
#[derive(Default)]
struct Log<'a> {
    entries: Vec<(Deed, &'a Compiled)>,
}

enum Deed {
    Wrote(Pattern),
    Removed(Pattern),
    KeptOnly(Vec<Pattern>),
    Spoiled(Pattern),
}

impl<'a> Log<'a> {
    /// The step that took this field out, where none set it since.
    fn remover(&self, field: &Pattern) -> Option<&'a Compiled> {
        let removes = |deed: &Deed| matches!(deed, Deed::Removed(_) | Deed::KeptOnly(_));
        self.last(field).and_then(|(deed, step)| removes(deed).then_some(*step))
    }

    /// The step that made something else of this field, where none set it since.
    fn spoiler(&self, field: &Pattern) -> Option<&'a Compiled> {
        self.last(field).and_then(|(deed, step)| matches!(deed, Deed::Spoiled(_)).then_some(*step))
    }

    fn last(&self, field: &Pattern) -> Option<&(Deed, &'a Compiled)> {
        self.entries.iter().rev().find(|(deed, _)| match deed {
            Deed::Wrote(written) => written.is_within(field) || field.is_within(written),
            Deed::Removed(pattern) | Deed::Spoiled(pattern) => pattern.covers(field),
            // It is kept, or something in it is.
            Deed::KeptOnly(patterns) => {
                let keeps = |pattern: &Pattern| {
                    pattern.is_deep() || pattern.is_within(field) || pattern.covers(field)
                };
                !field.is_deep() && !patterns.iter().any(keeps)
            }
        })
    }
}

/// A field that the file names, and the place.
struct Named {
    field: Pattern,
    at: Range<usize>,
}

/// A field that holds what a personal one held.
struct Carried<'a> {
    origin: Pattern,
    /// What is told of.
    into: Pattern,
    /// Where it stands, if it was put there as it was.
    place: Pattern,
    by: &'a Compiled,
    at: Range<usize>,
    /// How much was hidden and redacted before.
    behind: (usize, usize),
}

/// All that is probably not meant so.
pub(super) fn warnings(text: &str, parts: &Parts<'_>) -> Vec<Mistake> {
    let mut found: Vec<(Pattern, Mistake)> = Vec::new();
    let mut idle: Vec<Mistake> = Vec::new();
    let mut named = event_fields(text, parts);
    let mut log = Log::default();
    let (mut hidden, mut sometimes_hidden): (Vec<Pattern>, Vec<Pattern>) = Default::default();
    let mut redacted: Vec<(Pattern, Kind)> = Vec::new();
    let (mut own, mut brought): (Vec<Pattern>, Vec<Pattern>) = Default::default();
    let mut carried: Vec<Carried<'_>> = Vec::new();
    let personal = personal_fields(parts);
    for compiled in parts.steps {
        let (step, words) = (&compiled.step, &compiled.words);
        let (name, touches) = (step.name(), step.touches());
        found.extend(touches.named.iter().filter_map(|named| foreign_word(text, named)));
        idle.extend(idle_step(name, touches.works.as_ref(), touches.lets_pass.as_ref()));
        let fields = |patterns: &[Pattern]| -> Vec<Named> {
            // Which fields these are nobody knows.
            let definite = patterns.iter().filter(|pattern| !pattern.ends_deep());
            let named = |field: &Pattern| {
                let named = touches.named.iter().find(|named| named.field == *field);
                let at = match named {
                    Some(named) => place_in(text, named.string.clone(), &named.part),
                    None => words.find(text, &field.to_string()),
                };
                Named { field: field.clone(), at }
            };
            definite.map(named).collect()
        };
        let reads = fields(&touches.reads);
        let hides = [touches.hides.as_slice(), &touches.sometimes_hides].map(fields);
        for Named { field, at } in reads.iter().chain(hides.iter().flatten()) {
            if name == FILLING {
                break;
            }
            let gone = log.remover(field).map(|by| gone(text, name, field, by));
            let spoiled = || {
                let (_, what) = READING.iter().find(|(reader, _)| *reader == name)?;
                log.spoiler(field).map(|by| spoiled(text, name, what, field, by))
            };
            found.extend(gone.or_else(spoiled).map(|mistake| (field.clone(), mistake.within(at.clone()))));
        }

        let is_open = |field: &Pattern| {
            !hidden.iter().any(|pattern| pattern.covers(field)) && log.remover(field).is_none()
        };
        let guessed = reads.iter().filter(|read| name == HASHING && is_personal(&read.field));
        for Named { field, at } in guessed.filter(|read| is_open(&read.field)) {
            let message = format!("`{name}` has no key: whoever guesses `{field}` can tell from the id");
            let help = format!("take other fields, or put `anonymize.hmac = [\"{field}\"]` before this step");
            found.push((field.clone(), Mistake::warning(message).with_help(help).within(at.clone())));
        }

        for (from, into) in &touches.carries {
            if from == into || from.is_deep() {
                continue;
            }
            let inside = personal.iter().filter(|field| *field != from && field.is_within(from));
            let inside = inside.filter(|field| !own.iter().any(|made| field.is_within(made)));
            let known = is_personal(from).then_some(from).into_iter().chain(inside);
            let earlier = carried.iter().map(|carried| (&carried.origin, &carried.into, &carried.place));
            let mut more: Vec<Carried<'_>> = Vec::new();
            for (origin, told, place) in earlier.chain(known.map(|field| (field, field, field))) {
                let stood = if place.is_within(from) { place } else { from };
                let is_carried = stood == place || from.is_within(place) || from.is_within(told);
                let place = stood.moved(from, into).filter(|_| is_carried && is_open(stood));
                let Some(place) = place else { continue };
                let told = if name == MOVING { &place } else { into };
                if !more.iter().any(|carried| carried.into == *told) {
                    let at = words.find(text, &into.to_string());
                    let behind = (hidden.len(), redacted.len());
                    let (origin, into) = (origin.clone(), told.clone());
                    more.push(Carried { origin, into, place, by: compiled, at, behind });
                }
            }
            carried.extend(more);
        }

        // What a step makes itself is no producer's; what it makes a field of still is.
        let writes = fields(&touches.writes);
        let wrote: Vec<_> = writes.iter().map(|write| (Deed::Wrote(write.field.clone()), compiled)).collect();
        if name.starts_with("enrich.") {
            let made = writes.into_iter().map(|write| write.field);
            own.extend(made.filter(|field| !reads.iter().any(|read| read.field == *field)));
        } else {
            named.extend(writes);
        }
        if name == FILLING {
            log.entries.extend(reads.iter().map(|read| (Deed::Wrote(read.field.clone()), compiled)));
        }
        let redacts: Vec<_> = touches.redacts.iter().map(|(pattern, _)| pattern.clone()).collect();
        named.extend(fields(&redacts));
        named.extend(reads);
        named.extend(touches.brings.iter().map(|field| {
            let at = words.find(text, field.names().next_back().unwrap_or_default());
            Named { field: field.clone(), at }
        }));
        brought.extend(touches.brings);
        let spoils = if SPOILING.contains(&name) { touches.hides.as_slice() } else { &[] };
        log.entries.extend(spoils.iter().map(|fields| (Deed::Spoiled(fields.clone()), compiled)));
        log.entries.extend(touches.removes.into_iter().map(|fields| (Deed::Removed(fields), compiled)));
        log.entries.extend(wrote);
        log.entries.extend(touches.keeps_only.map(|fields| (Deed::KeptOnly(fields), compiled)));
        let is_found = |(fields, kind): &&(Pattern, Kind)| kind_of(fields) == Some(*kind);
        let found_in = touches.redacts.iter().filter(is_found).map(|(fields, _)| fields.clone());
        log.entries.extend(found_in.map(|fields| (Deed::Spoiled(fields), compiled)));
        redacted.extend(touches.redacts);
        hidden.extend(touches.hides);
        sometimes_hidden.extend(touches.sometimes_hides);
    }

    for (field, what) in [(&parts.event.id, "id"), (&parts.event.r#type, "type"), (&parts.event.time, "time")]
    {
        let field = &Pattern::from(field.clone());
        if let Some(by) = log.remover(field) {
            let (line, name) = (line(text, by), by.step.name());
            let message =
                format!("the {what} of an event is gone: `{name}` in line {line} removes `{field}`");
            let help = "every event would go to the quarantine: leave the field, or name another here";
            let at = parts.event_words.find(text, &field.to_string());
            found.push((field.clone(), Mistake::warning(message).with_help(help).within(at)));
        }
    }
    let id = &Pattern::from(parts.event.id.clone());
    if let Some(by) = log.spoiler(id).filter(|by| KEYED.contains(&by.step.name())) {
        let (line, name) = (line(text, by), by.step.name());
        let message =
            format!("the id of an event changes with the key: `{name}` in line {line} makes it of `{id}`");
        let help = "what is sent again around a rotation of the key lands twice: have an id that is nobody's, and leave it";
        let at = parts.event_words.find(text, &id.to_string());
        found.push((id.clone(), Mistake::warning(message).with_help(help).within(at)));
    }
    let time = &Pattern::from(parts.event.time.clone());
    if let Some(by) = log.spoiler(time).filter(|by| TIMELESS.contains(&by.step.name())) {
        let (line, name) = (line(text, by), by.step.name());
        let message = format!(
            "the time of an event can no longer be read: `{name}` in line {line} has made something else of `{time}`"
        );
        let help = "every event would go to the quarantine: leave the field, or name another here";
        let at = parts.event_words.find(text, &time.to_string());
        found.push((time.clone(), Mistake::warning(message).with_help(help).within(at)));
    }
    for column in &parts.lake.columns {
        let (field, at) = (&Pattern::from(column.name.get_ref().clone()), column.name.span());
        if let Some(by) = log.remover(field) {
            let (line, name) = (line(text, by), by.step.name());
            let message =
                format!("the column of `{field}` is always null: `{name}` in line {line} removes the field");
            let help = "take the column out, or leave the field";
            found.push((field.clone(), Mistake::warning(message).with_help(help).within(at.clone())));
        }
        named.push(Named { field: field.clone(), at });
    }

    for (settings, metric) in parts.metric_settings.iter().zip(&parts.metrics.0) {
        let name = settings.name.get_ref();
        idle.extend(metric.when().and_then(Expression::always).map(|always| idle_metric(name, &always)));
        let fields = settings.key.iter().chain(&settings.value);
        let fields = fields.map(|field| (Pattern::from(field.get_ref().clone()), field.span()));
        let asked: Vec<_> = metric.when().into_iter().flat_map(Expression::named).collect();
        found.extend(asked.iter().filter_map(|named| foreign_word(text, named)));
        let asked = asked.into_iter().map(|named| (named.field, place_in(text, named.string, &named.part)));
        for (field, at) in fields.chain(asked) {
            if let Some(by) = log.remover(&field) {
                let (line, remover) = (line(text, by), by.step.name());
                let message =
                    format!("the metric `{name}` finds no `{field}`: `{remover}` in line {line} removes it");
                let help = "metrics stand behind all steps: leave the field, or name another here";
                found.push((field.clone(), Mistake::warning(message).with_help(help).within(at.clone())));
            }
            named.push(Named { field, at });
        }
    }
    for attribute in &parts.changes.old {
        named.push(Named { field: change::old_place(attribute.get_ref()).into(), at: attribute.span() });
    }

    if let Some(partition) = &parts.lake.partition_by {
        let (field, at) = (&Pattern::from(partition.get_ref().clone()), partition.span());
        if let Some(by) = log.remover(field) {
            let (line, name) = (line(text, by), by.step.name());
            let message = format!(
                "each event lands in the partition `none`: `{name}` in line {line} removes `{field}`"
            );
            let help = "leave the field, or partition by another";
            found.push((field.clone(), Mistake::warning(message).with_help(help).within(at.clone())));
        }
        named.push(Named { field: field.clone(), at });
    }

    let is_within = |these: &[Pattern], field: &Pattern| these.iter().any(|place| field.is_within(place));
    let is_hidden = |field: &Pattern| {
        hidden.iter().any(|pattern| pattern.covers(field))
            || redacted.iter().any(|(fields, kind)| kind_of(field) == Some(*kind) && fields.covers(field))
            || is_within(&own, field) && !is_within(&brought, field)
            || log.remover(field).is_some()
    };
    let mut told = HashSet::new();
    for Named { field, at } in named {
        // The type of an event may well be called `name`, and is nobody's.
        let is_type = field == parts.event.r#type.clone().into();
        if is_personal(&field) && !is_type && !is_hidden(&field) && told.insert(field.clone()) {
            let is_sometimes = sometimes_hidden.iter().any(|pattern| pattern.covers(&field));
            let message = if is_sometimes {
                format!(
                    "`{field}` looks personal, and is anonymized only in the events that a `when` is true of"
                )
            } else if redacted.iter().any(|(fields, _)| fields.covers(&field)) {
                format!("`{field}` looks personal, and has no form that `anonymize.redact` would find it by")
            } else {
                format!("`{field}` looks personal, and no step anonymizes it")
            };
            let help = format!(
                "add `anonymize.hmac = [\"{field}\"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = [\"{field}\"]`"
            );
            found.push((field, Mistake::warning(message).with_help(help).within(at)));
        }
    }
    for Carried { origin, into, place, by, at, behind } in carried {
        let is_hidden = [&into, &place].into_iter().any(|field| {
            let redacts =
                |(fields, kind): &(Pattern, Kind)| kind_of(&origin) == Some(*kind) && fields.covers(field);
            hidden.iter().skip(behind.0).any(|pattern| pattern.covers(field))
                || redacted.iter().skip(behind.1).any(redacts)
                || log.remover(field).is_some()
        });
        if !is_hidden && told.insert(into.clone()) {
            let (line, name) = (line(text, by), by.step.name());
            let message = format!(
                "`{into}` holds what `{origin}` held, by `{name}` in line {line}, and no step anonymizes it"
            );
            let help = format!(
                "add `anonymize.hmac = [\"{into}\"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = [\"{into}\"]`"
            );
            found.push((into, Mistake::warning(message).with_help(help).within(at)));
        }
    }
    let ip = Pattern::from(Path::from_key("ip"));
    if parts.lake.rest && !is_hidden(&ip) && !told.contains(&ip) {
        let message = "ingest gives each event the sender's `ip`, and no step anonymizes it";
        let help = "add `anonymize.truncate_ip = [\"ip\"]` or `anonymize.drop = [\"ip\"]`; if no sender is a person, say so: `[check]`, `allow = [\"ip\"]`";
        found.push((ip, Mistake::warning(message).with_help(help).within(parts.event_words.name())));
    }
    allowed(found, parts.check).chain(idle).collect()
}

/// A field that is called as other languages call what CEL calls otherwise.
fn foreign_word(text: &str, named: &NamedIn) -> Option<(Pattern, Mistake)> {
    let name = named.field.to_string();
    let (_, word) = FOREIGN.iter().find(|(theirs, _)| *theirs == name)?;
    let message = format!("`{name}` is the field of this name, which is null where an event has none");
    let help =
        format!("CEL writes `{word}`; if there is such a field, say so: `[check]`, `allow = [\"{name}\"]`");
    let at = place_in(text, named.string.clone(), &named.part);
    Some((named.field.clone(), Mistake::warning(message).with_help(help).within(at)))
}

/// A step that does nothing, or lets nothing pass, whatever the event.
fn idle_step(name: &str, works: Option<&Always>, lets_pass: Option<&Always>) -> Option<Mistake> {
    let (message, always) = match (works, lets_pass) {
        (Some(always), _) if !always.flag => {
            (format!("this is true of no event, so `{name}` never works"), always)
        }
        (_, Some(always)) if always.flag => (format!("`{name}` lets every event pass"), always),
        (_, Some(always)) => (format!("`{name}` drops every event"), always),
        (Some(always), None) => ("this is true of every event, and says nothing".to_owned(), always),
        (None, None) => return None,
    };
    Some(Mistake::warning(message).with_help(why_always(always)).within(always.at.clone()))
}

fn idle_metric(name: &str, always: &Always) -> Mistake {
    let message = if always.flag {
        "this is true of every event, and says nothing".to_owned()
    } else {
        format!("this is true of no event, so `{name}` counts none")
    };
    Mistake::warning(message).with_help(why_always(always)).within(always.at.clone())
}

fn why_always(always: &Always) -> &'static str {
    if always.names_field {
        "look at `||` and `&&`: `x != 1 || x != 2` is true of any `x`, and `x == 1 && x == 2` of none"
    } else {
        "it names no field: name the one that it is to hang on, or take it out"
    }
}

/// The warnings but those that somebody has allowed, and one for each permission that nothing needs.
fn allowed(mut found: Vec<(Pattern, Mistake)>, check: &CheckSettings) -> impl Iterator<Item = Mistake> {
    let mut needless = Vec::new();
    for pattern in &check.allow {
        let before = found.len();
        found.retain(|(field, _)| !pattern.get_ref().covers(field));
        if found.len() == before {
            let message = format!("nothing is to be said of `{}` that this would allow", pattern.get_ref());
            let mistake = Mistake::warning(message).with_help("take it out");
            needless.push(mistake.within(pattern.span()));
        }
    }
    found.into_iter().map(|(_, mistake)| mistake).chain(needless)
}

/// The fields that look personal, of those that the steps and the columns name.
fn personal_fields(parts: &Parts<'_>) -> Vec<Pattern> {
    let steps = parts.steps.iter().flat_map(|compiled| {
        let Touches { reads, writes, hides, sometimes_hides, redacts, .. } = compiled.step.touches();
        let redacted = redacts.into_iter().map(|(fields, _)| fields);
        [reads, writes, hides, sometimes_hides].into_iter().flatten().chain(redacted)
    });
    let columns = parts.lake.columns.iter().map(|column| column.name.get_ref().clone().into());
    steps.chain(columns).filter(|field| !field.is_deep() && is_personal(field)).collect()
}

fn event_fields(text: &str, parts: &Parts<'_>) -> Vec<Named> {
    let event = parts.event;
    let fields = [&event.id, &event.r#type, &event.time].into_iter().chain(&event.partition_key);
    let named = |field: &Path| Named {
        field: field.clone().into(),
        at: parts.event_words.find(text, &field.to_string()),
    };
    fields.map(named).collect()
}

fn gone(text: &str, name: &str, field: &Pattern, by: &Compiled) -> Mistake {
    let (line, remover) = (line(text, by), by.step.name());
    Mistake::warning(format!("`{name}` finds no `{field}`: `{remover}` in line {line} removes it"))
        .with_help(format!("put this step before that one, or take `{field}` out here"))
}

fn spoiled(text: &str, name: &str, what: &str, field: &Pattern, by: &Compiled) -> Mistake {
    let (line, spoiler) = (line(text, by), by.step.name());
    Mistake::warning(format!(
        "`{name}` reads the {what} from what `{spoiler}` in line {line} has left of `{field}`"
    ))
    .with_help("put this step before that one")
}

fn line(text: &str, step: &Compiled) -> usize {
    crate::mistake::line_of(text, step.words.name().start)
}

/// Whether a field of this name usually holds something about a person; an attribute's old value does as the new one does.
fn is_personal(field: &Pattern) -> bool {
    let names: Vec<&str> = change::old_of(field).collect();
    let Some((last, above)) = names.split_last() else { return false };
    let words = words(last);
    let asks = |word: Option<&String>| word.is_some_and(|word| ASKING.contains(&word.as_str()));
    if asks(words.first()) || asks(words.last()) {
        return false;
    }
    let Some((last, before)) = words.split_last() else { return false };
    let whose = before.last().cloned().or_else(|| above.last().map(|above| self::words(above).concat()));
    if THEIRS.contains(&last.as_str()) {
        let is_somebody = whose.as_ref().is_some_and(|whose| PEOPLE.contains(&whose.as_str()));
        // A `name` at the top is a person's, an `id` or a `first` is not.
        if is_somebody || last == "name" && whose.is_none() && !field.is_deep() {
            return true;
        }
    }
    personal(&words).is_some()
}

/// By what kind a field of this name is found in text, where it is.
fn kind_of(field: &Pattern) -> Option<Kind> {
    personal(&words(field.names().next_back()?)).and_then(|(_, kind)| *kind)
}

/// What a name that ends with these words is about, one or many: `email`, `emails`, `addresses`.
fn personal(words: &[String]) -> Option<&'static (&'static str, Option<Kind>)> {
    (0..words.len()).find_map(|from| {
        let end = words.get(from..)?.concat();
        let is_it = |name: &str| matches!(end.strip_prefix(name), Some("" | "s" | "es"));
        PERSONAL.iter().find(|(name, _)| is_it(name))
    })
}

/// The words of a name, without signs, capitals and numbers: of `user_id`, `user-id`, `userId` and `USER_ID2` the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for sign in name.chars() {
        if !sign.is_alphabetic() || sign.is_uppercase() && before.is_lowercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| sign.is_alphabetic()) {
            word.extend(sign.to_lowercase());
        }
        before = sign;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_names_are_told_from_others() {
        for name in [
            "email",
            "E-Mail",
            "user_id",
            "userId",
            "user-id",
            "data.first_name",
            "name",
            "user.name",
            "X-Forwarded-For",
            "user_email",
            "customerEmail",
            "home_phone",
            "phone1",
            "userIP",
            "user.id",
            "customer_id",
            "display_name",
            "contactName",
            "customer.first",
            "shipping_zip",
            "geo.lat",
            "address_line_2",
            "emails[]",
            "data.userIds[]",
            "billing.addresses",
        ] {
            assert!(is_personal(&Pattern::try_from(name.to_owned()).unwrap()), "{name}");
        }
        for name in [
            "id",
            "product.name",
            "page.name",
            "eventName",
            "ip.country",
            "emailed",
            "userAgent",
            "sessionId",
            "has_email",
            "emailVerified",
            "is_mobile",
            "order.id",
            "first",
            "tip",
            "zipped",
            "flat",
            "tips",
            "productName",
        ] {
            assert!(!is_personal(&Pattern::try_from(name.to_owned()).unwrap()), "{name}");
        }
    }

    #[test]
    fn the_names_are_in_order_and_plain() {
        assert!(PERSONAL.is_sorted_by_key(|(name, _)| *name) && PEOPLE.is_sorted());
        let names = PERSONAL.iter().map(|(name, _)| name).chain(&PEOPLE).chain(&THEIRS).chain(&ASKING);
        assert!(names.clone().all(|name| words(name) == [*name]));
    }
}
