//! The steps: what a pipeline can do to an event.
//!
//! A step is one file here, and one line in `REGISTRY`. The comment at the top of the file is its page in
//! `docs/steps.md`.

mod anonymize_drop;
mod anonymize_encrypt;
mod anonymize_generalize;
mod anonymize_hmac;
mod anonymize_keep_only;
mod anonymize_mask;
mod anonymize_redact;
mod anonymize_truncate_ip;
mod cache;
mod clean_cast;
mod clean_default;
mod clean_empty_to_null;
mod clean_lowercase;
mod clean_max_length;
mod clean_rename;
mod clean_require;
mod clean_schema;
mod clean_timestamp;
mod clean_trim;
mod clean_typed;
mod enrich_classify;
mod enrich_compute;
mod enrich_constant;
mod enrich_deadband;
mod enrich_geoip;
mod enrich_hash_id;
mod enrich_lookup;
mod enrich_referrer;
mod enrich_sentiment;
mod enrich_session;
mod enrich_url;
mod enrich_user_agent;
mod filter_bots;
mod filter_drop;
mod filter_ip;
mod filter_keep;
mod filter_sample;
mod filter_types;
mod object;
mod settings;
mod when;

pub(crate) use settings::{Source, Span};
pub(crate) use when::When;

use crate::event::{Event, Pattern};
use crate::expression::{Always, Named};
use crate::files::Files;
use crate::geoip::Database;
use crate::mistake::Mistake;
use crate::redact::Kind;
use crate::time::Micros;
use crate::token::TokenKey;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// Lists the steps, each with the text of its file, of which the top is its documentation.
macro_rules! registry {
    ($($file:ident :: $step:ident),* $(,)?) => {
        /// All steps there are, by name.
        pub(crate) const REGISTRY: &[Entry] =
            &[$(entry::<$file::$step>(include_str!(concat!(stringify!($file), ".rs")))),*];
    };
}

registry![
    anonymize_drop::Remove,
    anonymize_encrypt::Encrypt,
    anonymize_generalize::Generalize,
    anonymize_hmac::Pseudonymize,
    anonymize_keep_only::KeepOnly,
    anonymize_mask::Mask,
    anonymize_redact::Redact,
    anonymize_truncate_ip::TruncateIp,
    clean_cast::Cast,
    clean_default::Fill,
    clean_empty_to_null::EmptyToNull,
    clean_lowercase::Lowercase,
    clean_max_length::MaxLength,
    clean_rename::Rename,
    clean_require::Require,
    clean_schema::Schema,
    clean_timestamp::Timestamp,
    clean_trim::Trim,
    clean_typed::Typed,
    enrich_classify::Classify,
    enrich_compute::Compute,
    enrich_constant::Constant,
    enrich_deadband::Deadband,
    enrich_geoip::GeoIp,
    enrich_hash_id::HashId,
    enrich_lookup::Lookup,
    enrich_referrer::Referrer,
    enrich_sentiment::Sentiment,
    enrich_session::Session,
    enrich_url::Url,
    enrich_user_agent::UserAgent,
    filter_bots::Bots,
    filter_drop::Drop,
    filter_ip::DenyIp,
    filter_keep::Keep,
    filter_sample::Sample,
    filter_types::Types,
];

/// One kind of step.
pub(crate) trait Step: Send + Sized + 'static {
    /// What `pipeline.toml` calls it.
    const NAME: &'static str;
    /// What stands behind the name there.
    type Settings: DeserializeOwned + JsonSchema;

    /// Checks the settings beyond their types, and makes ready all that need not be made for each event.
    fn compile(settings: Self::Settings, files: &dyn Files) -> Result<Self, Mistake>;

    /// Which fields it has to do with.
    fn touches(&self) -> Touches;

    /// Whether it encrypts, so that there must be a key for it.
    fn needs_encryption_key(&self) -> bool {
        false
    }

    /// The database that it reads places from.
    fn places(&self) -> Option<Places<'_>> {
        None
    }

    /// Forgets what an event's fate may depend on: the batch that begins may be one that comes again.
    fn begin_batch(&mut self) {}

    /// Works on one event. A step may keep room and caches from event to event, as long as what becomes of an event
    /// depends on nothing before its batch.
    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict;
}

/// What a step says of an event. It has no way to fail a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// On to the next step.
    Keep,
    /// Not wanted: it counts as filtered.
    Drop,
    /// Bad: to the quarantine. The reason, and a detail that repeats no value of the event.
    Reject(&'static str, Cow<'static, str>),
}

/// What a step may use beside the event.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Makes tokens of personal data.
    pub key: &'a TokenKey,
    /// When the stream took the event.
    pub arrived_at: Micros,
}

/// A database of places, and the name of its file.
pub struct Places<'a> {
    /// As `pipeline.toml` has it.
    pub file: &'a str,
    pub(crate) database: &'a Database<Cow<'static, [u8]>>,
}

impl Places<'_> {
    /// What it is, by its own account: `GeoLite2-City`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.database.kind()
    }

    /// When it was built, in seconds since 1970.
    #[must_use]
    pub fn built_s(&self) -> u64 {
        self.database.built_s()
    }

    /// Reads all of it, which takes seconds for one of cities. The error tells what is wrong, in words that go behind
    /// the file's name. Where nobody asks, a place that is damaged is one that nobody knows.
    pub fn verify(&self) -> Result<(), String> {
        self.database.verify()
    }
}

/// The fields that a step has to do with; `millrace check` warns by them.
#[derive(Debug, Default)]
pub(crate) struct Touches {
    /// What it looks at and leaves as it is.
    pub(crate) reads: Vec<Pattern>,
    /// What it sets, whatever was there.
    pub(crate) writes: Vec<Pattern>,
    /// What is gone behind it.
    pub(crate) removes: Vec<Pattern>,
    /// What is left behind it, where that is not all but what it removes.
    pub(crate) keeps_only: Option<Vec<Pattern>>,
    /// What no longer tells who somebody is behind it.
    pub(crate) hides: Vec<Pattern>,
    /// The same, where it is of such a kind that it is found in text.
    pub(crate) redacts: Vec<(Pattern, Kind)>,
    /// What is to be found in another field behind it, whole or in part.
    pub(crate) carries: Vec<(Pattern, Pattern)>,
    /// The same as it hides, of some events.
    pub(crate) sometimes_hides: Vec<Pattern>,
    /// What it takes from a table, or out of a text, as it stands there.
    pub(crate) brings: Vec<Pattern>,
    /// Where its expressions name what it reads.
    pub(crate) named: Vec<Named>,
    /// Whether each event gets past it, or none.
    pub(crate) lets_pass: Option<Always>,
    /// Whether its `when` is true of each event, or of none.
    pub(crate) works: Option<Always>,
}

/// A compiled step, whatever its kind.
pub(crate) trait Apply: Send {
    fn name(&self) -> &'static str;
    fn touches(&self) -> Touches;
    fn needs_encryption_key(&self) -> bool;
    fn places(&self) -> Option<Places<'_>>;
    fn begin_batch(&mut self);
    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict;
}

impl<T: Step> Apply for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn touches(&self) -> Touches {
        Step::touches(self)
    }

    fn needs_encryption_key(&self) -> bool {
        Step::needs_encryption_key(self)
    }

    fn places(&self) -> Option<Places<'_>> {
        Step::places(self)
    }

    fn begin_batch(&mut self) {
        Step::begin_batch(self);
    }

    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        Step::apply(self, event, cx)
    }
}

/// Compiles a step from what stands behind its name.
pub(crate) type Compile = fn(Spanned<DeValue<'_>>, &dyn Files) -> Result<Box<dyn Apply>, Mistake>;

/// A line of the registry.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) compile: Compile,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    source: &'static str,
}

/// What there is to know of a kind of step.
#[derive(Debug, Clone)]
pub struct About {
    /// What `pipeline.toml` calls it.
    pub name: &'static str,
    /// What it is for, in a line.
    pub summary: String,
    /// The rest of its documentation, Markdown.
    pub docs: String,
    /// What stands behind its name.
    pub schema: Schema,
}

/// All steps there are, by name. The schemas may refer to definitions of the generator.
pub fn catalog(generator: &mut SchemaGenerator) -> Vec<About> {
    let about = |entry: &Entry| {
        let docs = entry.docs();
        let (first, rest) = docs.split_once("\n\n").unwrap_or((&docs, ""));
        let summary = first.split_once("`: ").map_or(first, |(_name, summary)| summary).replace('\n', " ");
        let docs = rest.trim_end().to_owned();
        About { name: entry.name, summary: capitalized(&summary), docs, schema: (entry.schema)(generator) }
    };
    REGISTRY.iter().map(about).collect()
}

fn capitalized(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map(|first| first.to_uppercase().chain(signs).collect()).unwrap_or_default()
}

impl Entry {
    /// Its documentation, Markdown: the comment at the top of its file.
    pub(crate) fn docs(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        lines.flat_map(|line| [line.strip_prefix(' ').unwrap_or(line), "\n"]).collect()
    }
}

const fn entry<T: Step>(source: &'static str) -> Entry {
    Entry {
        name: T::NAME,
        compile: compile::<T>,
        schema: SchemaGenerator::subschema_for::<T::Settings>,
        source,
    }
}

fn compile<T: Step>(value: Spanned<DeValue<'_>>, files: &dyn Files) -> Result<Box<dyn Apply>, Mistake> {
    let span = value.span();
    let settings = T::Settings::deserialize(ValueDeserializer::from(value))
        .map_err(|error| Mistake::from_toml(&error, span.clone()))?;
    Ok(Box::new(T::compile(settings, files).map_err(|mistake| mistake.around(span))?))
}

/// A compiled step for a test; its settings in TOML.
#[cfg(test)]
pub(crate) fn step<T: Step>(settings: &str, files: &dyn Files) -> T {
    T::compile(T::Settings::deserialize(ValueDeserializer::parse(settings).unwrap()).unwrap(), files).unwrap()
}

/// Runs a compiled step on an event in a test, and tells what becomes of it.
#[cfg(test)]
pub(crate) fn play<T: Step>(step: &mut T, event: &str) -> String {
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let arrived_at = Micros::new(1_573_841_200_000_000).unwrap(); // 2019-11-15T18:06:40Z
    let mut event = Event::read(event).unwrap();
    match Step::apply(step, &mut event, &Context { key: &key, arrived_at }) {
        Verdict::Keep => event.to_string(),
        Verdict::Drop => "dropped".to_owned(),
        Verdict::Reject(reason, detail) => format!("{reason}: {detail}"),
    }
}

/// Runs a step on an event in a test: settings in TOML, the event and what becomes of it in JSON.
#[cfg(test)]
pub(crate) fn run<T: Step>(settings: &str, event: &str) -> String {
    play(&mut step::<T>(settings, &crate::files::NONE), event)
}

/// How often a step changes an event in a test.
#[cfg(test)]
pub(crate) fn edits<T: Step>(settings: &str, event: &str) -> u32 {
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let mut event = Event::read(event).unwrap();
    let cx = Context { key: &key, arrived_at: Micros::new(1_573_841_200_000_000).unwrap() };
    Step::apply(&mut step::<T>(settings, &crate::files::NONE), &mut event, &cx);
    event.edits()
}

/// Compiles settings that are mistaken in a test, and compares what is said of them.
#[cfg(test)]
pub(crate) fn refuse<T: Step>(settings: &str, expected: &expect_test::Expect) {
    let value = DeValue::parse(settings).unwrap();
    let mistake = compile::<T>(value, &crate::files::NONE).map(|_| ()).expect_err(settings);
    expected.assert_eq(&mistake.to_string());
}

/// [`run`], compared with what is expected.
#[cfg(test)]
pub(crate) fn check<T: Step>(settings: &str, event: &str, expected: &expect_test::Expect) {
    expected.assert_eq(&run::<T>(settings, event));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever file an example names.
    struct AnyFile;

    impl Files for AnyFile {
        fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String> {
            Ok(Cow::Borrowed(match name.rsplit('.').next() {
                Some("mmdb") => include_bytes!("../../../../data/demo.mmdb"),
                Some("csv") if name.ends_with("words.csv") => b"word,score\ngut,2\n",
                Some("csv") => b"sku,name,price\nA-1,Shoes,59.90\n",
                _ => b"{}",
            }))
        }
    }

    #[test]
    fn each_example_in_the_documentation_compiles() {
        for entry in REGISTRY {
            let docs = entry.docs();
            assert!(
                docs.starts_with(&format!("`{}`: ", entry.name)) && docs.contains("```toml"),
                "{}",
                entry.name
            );
            let blocks = docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
            let start = format!("{} = ", entry.name);
            // Some stand in tables of their own, `[step.enrich.classify]`.
            for example in blocks.flat_map(|block| block.split(&start).skip(1)) {
                let value = DeValue::parse(example.trim()).unwrap_or_else(|why| panic!("{example}: {why}"));
                let compiled = (entry.compile)(value, &AnyFile).map(|_| ());
                compiled.unwrap_or_else(|mistake| panic!("{}: {mistake}", entry.name));
            }
        }
    }
}
