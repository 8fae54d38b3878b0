//! The steps: what a pipeline can do to an event.
//!
//! A step is one file here, and one line in `REGISTRY`.

mod anonymize_drop;
mod anonymize_hmac;
mod anonymize_truncate_ip;
mod clean_cast;
mod clean_require;
mod enrich_compute;
mod enrich_url;
mod filter_keep;
mod settings;

use crate::event::Event;
use crate::mistake::Mistake;
use crate::token::TokenKey;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// All steps there are, by name.
pub(crate) const REGISTRY: &[Entry] = &[
    entry::<anonymize_drop::Remove>(),
    entry::<anonymize_hmac::Pseudonymize>(),
    entry::<anonymize_truncate_ip::TruncateIp>(),
    entry::<clean_cast::Cast>(),
    entry::<clean_require::Require>(),
    entry::<enrich_compute::Compute>(),
    entry::<enrich_url::Url>(),
    entry::<filter_keep::Keep>(),
];

/// One kind of step.
pub(crate) trait Step: Send + Sync + Sized + 'static {
    /// What `pipeline.toml` calls it.
    const NAME: &'static str;
    /// What stands behind the name there.
    type Settings: DeserializeOwned;

    /// Checks the settings beyond their types.
    fn compile(settings: Self::Settings) -> Result<Self, Mistake>;

    /// Works on one event.
    fn apply(&self, event: &mut Event, cx: &Context<'_>) -> Verdict;
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
#[derive(Debug)]
pub struct Context<'a> {
    /// Makes tokens of personal data.
    pub key: &'a TokenKey,
}

/// A compiled step, whatever its kind.
pub(crate) trait Apply: Send + Sync {
    fn name(&self) -> &'static str;
    fn apply(&self, event: &mut Event, cx: &Context<'_>) -> Verdict;
}

impl<T: Step> Apply for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn apply(&self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        Step::apply(self, event, cx)
    }
}

/// Compiles a step from what stands behind its name.
pub(crate) type Compile = fn(Spanned<DeValue<'_>>) -> Result<Box<dyn Apply>, Mistake>;

/// A line of the registry.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) compile: Compile,
}

const fn entry<T: Step>() -> Entry {
    Entry { name: T::NAME, compile: compile::<T> }
}

fn compile<T: Step>(value: Spanned<DeValue<'_>>) -> Result<Box<dyn Apply>, Mistake> {
    let span = value.span();
    let settings = T::Settings::deserialize(ValueDeserializer::from(value))
        .map_err(|error| Mistake::from_toml(&error, span.clone()))?;
    Ok(Box::new(T::compile(settings).map_err(|mistake| mistake.within(span))?))
}

/// Runs a step on an event in a test: settings in TOML, the event and what becomes of it in JSON.
#[cfg(test)]
pub(crate) fn run<T: Step>(settings: &str, event: &str) -> String {
    let settings = T::Settings::deserialize(ValueDeserializer::parse(settings).unwrap()).unwrap();
    let step = T::compile(settings).unwrap();
    let key = TokenKey::new("k1", b"0123456789abcdef0123456789abcdef").unwrap();
    let mut event: Event = serde_json::from_str(event).unwrap();
    match Step::apply(&step, &mut event, &Context { key: &key }) {
        Verdict::Keep => event.to_string(),
        Verdict::Drop => "dropped".to_owned(),
        Verdict::Reject(reason, detail) => format!("{reason}: {detail}"),
    }
}

/// [`run`], compared with what is expected.
#[cfg(test)]
pub(crate) fn check<T: Step>(settings: &str, event: &str, expected: &expect_test::Expect) {
    expected.assert_eq(&run::<T>(settings, event));
}
