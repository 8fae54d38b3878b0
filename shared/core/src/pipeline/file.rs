//! The file's tables, read with the place of each mistake.

use super::lake::LakeSettings;
use crate::event::Path;
use crate::files::Files;
use crate::mistake::{Mistake, Mistakes, nearest};
use crate::step::{Apply, Compile, REGISTRY};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// `[event]`: where an event says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
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
    steps: Vec<Spanned<DeValue<'a>>>,
}

pub(super) fn read(text: &str) -> (File<'_>, Vec<Mistake>) {
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => return (File::default(), vec![Mistake::from_toml(&error, 0..0)]),
    };
    let mut file = File { lake: Some(LakeSettings::default()), ..File::default() };
    let mut mistakes = Vec::new();
    let mut seen_event = false;
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "event" => {
                seen_event = true;
                file.event = settings(value, &mut mistakes);
            }
            "lake" => {
                let at = value.span();
                file.lake = settings::<LakeSettings>(value, &mut mistakes);
                mistakes
                    .extend(file.lake.iter().flat_map(LakeSettings::mistakes).map(|m| m.within(at.clone())));
            }
            "step" => {
                let at = value.span();
                match value.into_inner() {
                    DeValue::Array(steps) => file.steps = steps.into_iter().collect(),
                    _ => mistakes.push(Mistake::new("steps are a list: write `[[step]]`").within(at)),
                }
            }
            other => mistakes.push(unknown("a table", other, key.span(), &["event", "lake", "step"])),
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

impl File<'_> {
    /// Compiles the steps that can be, and tells what is wrong with the others.
    pub(super) fn compile_steps(&self, files: &dyn Files) -> (Vec<Box<dyn Apply>>, Vec<Mistake>) {
        let mut steps = Vec::new();
        let mut mistakes = Vec::new();
        for step in &self.steps {
            match step_of(step).and_then(|(compile, settings)| compile(settings, files)) {
                Ok(step) => steps.push(step),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        (steps, mistakes)
    }
}

/// Finds the step that a `[[step]]` names, `kind.name = settings`.
fn step_of<'a>(step: &Spanned<DeValue<'a>>) -> Result<(Compile, Spanned<DeValue<'a>>), Mistake> {
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
    let (kind, inner) = one(step, "this step")?;
    let kinds = || REGISTRY.iter().filter_map(|entry| entry.name.split_once('.'));
    if !kinds().any(|(known, _)| known == kind.get_ref().as_ref()) {
        let known: Vec<_> = kinds().map(|(kind, _)| kind).collect();
        return Err(unknown("a kind of step", kind.get_ref(), kind.span(), &known));
    }
    let (name, settings) = one(&inner, &format!("`{}`", kind.get_ref()))?;
    let full = format!("{}.{}", kind.get_ref(), name.get_ref());
    let entry = REGISTRY.iter().find(|entry| entry.name == full).ok_or_else(|| {
        let known: Vec<_> = REGISTRY.iter().map(|entry| entry.name).collect();
        unknown("a step", &full, name.span(), &known)
    })?;
    Ok((entry.compile, settings))
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
