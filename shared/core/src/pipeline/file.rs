//! The file's tables, read with the place of each mistake.

use super::lake::LakeSettings;
use super::warn::CheckSettings;
use crate::change::ChangesSettings;
use crate::event::{Event, Id, Path};
use crate::expression::Expression;
use crate::files::Files;
use crate::metric::{Metric, MetricSettings, Metrics};
use crate::mistake::{Mistake, Mistakes, find_word, nearest};
use crate::seen;
use crate::step::{Apply, Compile, REGISTRY, When};
use crate::tenant;
use crate::token::fingerprint;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// `[event]`: where an event says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSettings {
    /// The field of its id, the key by which a resent event is recognised.
    pub id: Path,
    /// What ingest does with an event that has none.
    #[serde(default)]
    pub missing_id: MissingId,
    /// The field of its type.
    pub r#type: Path,
    /// The field of its time.
    pub time: Path,
    /// The fields that order is kept by: the first that the event has. None of them: the id.
    #[serde(default)]
    pub partition_key: Vec<Path>,
}

/// What ingest does with an event that has no id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MissingId {
    /// Refuses it, naming the field.
    #[default]
    Reject,
    /// Gives it the hash of its bytes: sent again, it gets the same id.
    Hash,
    /// Gives it a random id: sent again, it is another event.
    Generate,
}

impl EventSettings {
    /// Reads `[event]` alone, for functions that run no steps.
    pub fn read(text: &str) -> Result<Self, Mistakes> {
        let (file, mistakes) = read(text);
        file.event.filter(|_| mistakes.is_empty()).ok_or_else(|| Mistakes::new(text, mistakes))
    }
}

impl EventSettings {
    /// The key that an event's order is kept by, hashed: Kinesis takes at most 256 characters, and shows keys in its
    /// metrics.
    #[must_use]
    pub fn partition_key_of(&self, event: &Event) -> String {
        let mut fields = self.partition_key.iter().chain([&self.id]);
        let is_there = |id: &Id| !event.value(*id).is_null();
        let key = fields.find_map(|path| event.find(path).filter(is_there)).unwrap_or(event.root());
        if let Some(text) = event.value(key).as_str() {
            return fingerprint(text.as_bytes(), 8);
        }
        let mut json = String::new();
        event.write_value(key, &mut json);
        fingerprint(json.as_bytes(), 8)
    }

    /// What an event is known by, when it has gone through the steps: its id, among those of its tenant.
    #[must_use]
    pub fn identity_of(&self, event: &Event) -> u128 {
        let id = event.str(&self.id).unwrap_or_default();
        event.str(&tenant::PATH).map_or_else(|| seen::hash(id), |tenant| seen::hash_of_tenant(tenant, id))
    }
}

impl LakeSettings {
    /// Reads `[lake]` alone, for functions that run no steps.
    pub fn read(text: &str) -> Result<Self, Mistakes> {
        let (file, mistakes) = read(text);
        file.lake.filter(|_| mistakes.is_empty()).ok_or_else(|| Mistakes::new(text, mistakes))
    }
}

/// The file's parts; none where a part could not be read, which is among the mistakes then.
#[derive(Default)]
pub(super) struct File<'a> {
    pub(super) event: Option<EventSettings>,
    pub(super) lake: Option<LakeSettings>,
    pub(super) changes: Option<ChangesSettings>,
    pub(super) metrics: Vec<MetricSettings>,
    pub(super) check: Option<CheckSettings>,
    /// The keys and texts of `[event]`.
    pub(super) event_words: Words,
    steps: Vec<Spanned<DeValue<'a>>>,
}

pub(super) fn read(text: &str) -> (File<'_>, Vec<Mistake>) {
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => return (File::default(), vec![Mistake::from_syntax(text, &error)]),
    };
    let mut file = File {
        lake: Some(LakeSettings::default()),
        changes: Some(ChangesSettings::default()),
        check: Some(CheckSettings::default()),
        ..File::default()
    };
    let mut mistakes = Vec::new();
    let mut seen_event = false;
    for (key, value) in table {
        match key.get_ref().as_ref() {
            name @ ("event" | "lake" | "changes" | "check")
                if matches!(value.get_ref(), DeValue::Array(_)) =>
            {
                seen_event |= name == "event";
                let message = format!("there is one table `{name}`: write `[{name}]`");
                mistakes.push(Mistake::new(message).within(value.span()));
            }
            "event" => {
                seen_event = true;
                file.event_words = Words::of(&key, &value);
                file.event = settings(value, &mut mistakes);
            }
            "lake" => {
                let at = value.span();
                file.lake = settings::<LakeSettings>(value, &mut mistakes);
                mistakes
                    .extend(file.lake.iter().flat_map(LakeSettings::mistakes).map(|m| m.within(at.clone())));
            }
            "changes" => file.changes = settings(value, &mut mistakes),
            "metric" => {
                let at = value.span();
                match value.into_inner() {
                    DeValue::Array(metrics) => {
                        let read = |metric| settings(metric, &mut mistakes);
                        file.metrics = metrics.into_iter().filter_map(read).collect();
                    }
                    _ => mistakes.push(Mistake::new("metrics are a list: write `[[metric]]`").within(at)),
                }
            }
            "check" => file.check = settings(value, &mut mistakes),
            "step" => {
                let at = value.span();
                match value.into_inner() {
                    DeValue::Array(steps) => file.steps = steps.into_iter().collect(),
                    _ => mistakes.push(Mistake::new("steps are a list: write `[[step]]`").within(at)),
                }
            }
            other => {
                let known = ["event", "step", "changes", "metric", "lake", "check"];
                mistakes.push(unknown("a table", other, key.span(), &known));
            }
        }
    }
    if !seen_event {
        let help = "it says where an event has its id, type and time: `[event]`, `id = \"id\"`, `type = …`, `time = …`";
        mistakes.push(Mistake::new("the table `[event]` is missing").with_help(help).within(0..0));
    }
    (file, mistakes)
}

fn settings<T: DeserializeOwned>(value: Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<T> {
    let at = value.span();
    T::deserialize(ValueDeserializer::from(value)).map_err(|e| mistakes.push(Mistake::from_toml(&e, at))).ok()
}

/// A compiled step, and where it stands in the file.
pub(super) struct Compiled {
    pub(super) step: Box<dyn Apply>,
    /// Its name, then the keys and texts of its settings.
    pub(super) words: Words,
}

/// The keys and texts of a table with their places, below the place of its name.
#[derive(Default)]
pub(super) struct Words {
    name: Range<usize>,
    texts: Vec<(String, Range<usize>)>,
    keys: Vec<(String, Range<usize>)>,
}

impl Words {
    pub(super) fn of(name: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Self {
        let mut words = Self { name: name.span(), ..Self::default() };
        words.collect(value);
        words
    }

    fn collect(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(text) => self.texts.push((text.to_string(), value.span())),
            DeValue::Array(items) => items.iter().for_each(|item| self.collect(item)),
            DeValue::Table(entries) => {
                for (key, value) in entries {
                    self.keys.push((key.get_ref().to_string(), key.span()));
                    self.collect(value);
                }
            }
            _ => {}
        }
    }

    /// Where the table is named.
    pub(super) fn name(&self) -> Range<usize> {
        self.name.clone()
    }

    /// Where the table names a field: a text of its own, or a word of an expression; else where it is named itself.
    pub(super) fn find(&self, text: &str, field: &str) -> Range<usize> {
        if let Some((_, at)) = self.texts.iter().chain(&self.keys).find(|(word, _)| word == field) {
            return at.clone();
        }
        let mut texts = self.texts.iter();
        texts.find_map(|(_, at)| find_word(text, at.clone(), field)).unwrap_or_else(|| self.name())
    }
}

impl File<'_> {
    /// Compiles the steps that can be, and tells what is wrong with the others.
    pub(super) fn compile_steps(&self, files: &dyn Files) -> (Vec<Compiled>, Vec<Mistake>) {
        let mut steps = Vec::new();
        let mut mistakes = Vec::new();
        for step in &self.steps {
            let compiled = step_of(step).and_then(|found| {
                let mut words = Words::of(&found.name, &found.settings);
                let mut step = (found.compile)(found.settings, files)?;
                if let Some(condition) = found.when {
                    let at = condition.span();
                    words.collect(&condition);
                    let condition = Spanned::<String>::deserialize(ValueDeserializer::from(condition))
                        .map_err(|error| Mistake::from_toml(&error, at))?;
                    let condition = Expression::condition(&condition)?;
                    step = Box::new(When { condition, step });
                }
                Ok(Compiled { step, words })
            });
            match compiled {
                Ok(step) => steps.push(step),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        (steps, mistakes)
    }
}

impl File<'_> {
    /// Compiles the metrics that can be, and tells what is wrong with the others.
    pub(super) fn compile_metrics(&self) -> (Metrics, Vec<Mistake>) {
        let (mut metrics, mut mistakes) = (Vec::new(), Vec::new());
        for settings in &self.metrics {
            match Metric::compile(settings, &metrics) {
                Ok(metric) => metrics.push(metric),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        (Metrics(metrics), mistakes)
    }
}

/// What a `[[step]]` names.
struct Found<'a> {
    compile: Compile,
    settings: Spanned<DeValue<'a>>,
    name: Spanned<Cow<'a, str>>,
    /// The expression that has to be true of an event for it.
    when: Option<Spanned<DeValue<'a>>>,
}

/// Beside the step's name: when it is to work.
pub(super) const WHEN: &str = "when";

/// Finds the step that a `[[step]]` names, `kind.name = settings`.
fn step_of<'a>(step: &Spanned<DeValue<'a>>) -> Result<Found<'a>, Mistake> {
    let mut step = step.clone();
    let when = match step.get_mut() {
        DeValue::Table(entries) => entries.remove(WHEN),
        _ => None,
    };
    let one = |table: &Spanned<DeValue<'a>>, what: &str| match table.get_ref() {
        DeValue::Table(entries) => match entries.iter().collect::<Vec<_>>().as_slice() {
            [(key, value)] => Ok(((*key).clone(), (*value).clone())),
            [] => Err(Mistake::new(format!("{what} is empty")).with_help(STEP_FORM).within(table.span())),
            [_, (second, _), ..] => Err(Mistake::new("a step is one thing: give each its own `[[step]]`")
                .with_help("the steps run in the order of the file")
                .within(second.span())),
        },
        _ => Err(Mistake::new(format!("{what} is no table")).with_help(STEP_FORM).within(table.span())),
    };
    let mut known: Vec<_> =
        REGISTRY.iter().filter_map(|entry| entry.name.split_once('.')).map(|it| it.0).collect();
    known.dedup();
    if let DeValue::Table(entries) = step.get_ref()
        && let Some((other, _)) = entries.iter().find(|(key, _)| !known.contains(&key.get_ref().as_ref()))
    {
        let names = |name: &str| REGISTRY.iter().any(|entry| entry.name == name);
        let step = entries.iter().find_map(|(key, value)| {
            let told = [key.get_ref().as_ref(), value.get_ref().as_str().unwrap_or_default()];
            told.into_iter().find(|name| names(name))
        });
        if let Some(step) = step {
            let message = "a step is named by a key of its own, in front of its settings";
            let help = format!("write `{step} = …`, without quotes around the name");
            return Err(Mistake::new(message).with_help(help).within(other.span()));
        }
        if ["if", "where", "condition", "only_if"].contains(&other.get_ref().as_ref()) {
            let message = format!("`{}` is not a kind of step", other.get_ref());
            let help = "the condition of a step is `when`";
            return Err(Mistake::new(message).with_help(help).within(other.span()));
        }
        known.push(WHEN);
        let what = if entries.len() > 1 { "a kind of step, or `when`" } else { "a kind of step" };
        return Err(unknown(what, other.get_ref(), other.span(), &known));
    }
    let (kind, inner) = one(&step, "this step")?;
    let (name, settings) = one(&inner, &format!("`{}`", kind.get_ref()))?;
    let full = format!("{}.{}", kind.get_ref(), name.get_ref());
    let entry = REGISTRY.iter().find(|entry| entry.name == full).ok_or_else(|| {
        let known: Vec<_> = REGISTRY.iter().map(|entry| entry.name).collect();
        unknown("a step", &full, name.span(), &known)
    })?;
    Ok(Found { compile: entry.compile, settings, name, when })
}

const STEP_FORM: &str = "a step is written `clean.require = [\"id\"]` below `[[step]]`";

fn unknown(what: &str, name: &str, at: Range<usize>, known: &[&str]) -> Mistake {
    let help = nearest(name, known.iter().copied()).unwrap_or_else(|| {
        let mut known = known.to_vec();
        known.dedup();
        format!("there are {}", known.join(", "))
    });
    Mistake::new(format!("`{name}` is not {what}")).with_help(help).within(at)
}

pub(super) fn received_at() -> Path {
    Path::from_key(super::RECEIVED_AT)
}
