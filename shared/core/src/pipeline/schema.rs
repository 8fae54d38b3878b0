//! The JSON Schema of `pipeline.toml`, by which editors complete and check it.

use super::file::WHEN;
use super::{CheckSettings, EventSettings, LakeSettings};
use crate::change::ChangesSettings;
use crate::metric::MetricSettings;
use crate::step;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema, made of the types that the file is read into.
#[must_use]
pub fn schema() -> Value {
    // All in its place: steps may have types of one name, and editors show what stands there, not what it refers to.
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut generator = settings.into_generator();
    let mut kinds: Vec<(&str, Map<String, Value>)> = Vec::new();
    for entry in step::catalog(&mut generator) {
        let (kind, name) = entry.name.split_once('.').unwrap_or(("", entry.name));
        let mut schema = entry.schema;
        schema.insert("description".to_owned(), entry.summary.into());
        let schema = Value::from(schema);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, steps)) => drop(steps.insert(name.to_owned(), schema)),
            None => kinds.push((kind, Map::from_iter([(name.to_owned(), schema)]))),
        }
    }
    let one_of = |properties: Map<String, Value>| {
        json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    };
    let needs_one = kinds.iter().map(|(kind, _)| json!({ "required": [kind] })).collect::<Vec<_>>();
    let kinds = kinds.into_iter().map(|(kind, steps)| (kind.to_owned(), one_of(steps)));
    let when = json!({
        "type": "string",
        "description": "The step works on the events alone of which this expression (CEL) is true; others pass it by.",
    });
    let of_step: Map<_, _> = kinds.chain([(WHEN.to_owned(), when)]).collect();
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "pipeline.toml",
        "description": "What Millrace does to an event.",
        "type": "object",
        "properties": {
            "event": generator.subschema_for::<EventSettings>(),
            "step": {
                "description": "The steps, in the order in which they run.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": of_step,
                    "additionalProperties": false,
                    "oneOf": needs_one,
                },
            },
            "changes": generator.subschema_for::<ChangesSettings>(),
            "metric": {
                "description": "What is counted of a table's changes, by key and window, behind the steps.",
                "type": "array",
                "items": generator.subschema_for::<MetricSettings>(),
            },
            "lake": generator.subschema_for::<LakeSettings>(),
            "check": generator.subschema_for::<CheckSettings>(),
        },
        "required": ["event"],
        "additionalProperties": false,
    });
    // Of a type that contains itself alone.
    let definitions = generator.take_definitions(true);
    if let Some(schema) = schema.as_object_mut().filter(|_| !definitions.is_empty()) {
        schema.insert("definitions".to_owned(), definitions.into());
    }
    // The same text, whatever serde_json was built to do with the order of keys.
    schema.sort_all_objects();
    schema
}
