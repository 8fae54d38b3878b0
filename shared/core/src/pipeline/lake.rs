//! `[lake]`: the columns of the lake's table.

use crate::event::Path;
use crate::mistake::Mistake;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::fmt;
use toml::Spanned;

/// The columns that each table has beside those of the pipeline, with their types in Athena.
/// `event_date` and `event_hour` are partitions; `rest` stands last and holds, as JSON, what no column names.
pub const FIXED_COLUMNS: [(&str, &str); 7] = [
    ("id", "string"),
    ("event_type", "string"),
    ("event_time", "timestamp"),
    ("received_at", "timestamp"),
    ("rest", "string"),
    ("event_date", "string"),
    ("event_hour", "int"),
];

/// `[lake]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LakeSettings {
    /// The columns that fields of the event get, in their order.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// The field, `tenant` say, by whose values the table is partitioned above date and hour.
    #[serde(default)]
    #[schemars(with = "Path")]
    pub partition_by: Option<Spanned<Path>>,
    /// Whether what no column names is kept, as JSON, in the column `rest`.
    #[serde(default = "keeps_rest")]
    pub rest: bool,
    /// How hard zstd tries, 1 to 22. Level 1 makes these files as small as level 3 does, in three quarters of the time.
    #[serde(default = "zstd_level", deserialize_with = "one_to_22")]
    #[schemars(range(min = 1, max = 22))]
    pub zstd: u8,
}

impl Default for LakeSettings {
    fn default() -> Self {
        Self { columns: Vec::new(), partition_by: None, rest: keeps_rest(), zstd: zstd_level() }
    }
}

fn zstd_level() -> u8 {
    1
}

fn one_to_22<'de, D: Deserializer<'de>>(level: D) -> Result<u8, D::Error> {
    let level = i64::deserialize(level)?;
    let taken = u8::try_from(level).ok().filter(|level| (1..=22).contains(level));
    taken.ok_or_else(|| D::Error::custom(format!("`zstd` is 1 to 22, not {level}")))
}

fn keeps_rest() -> bool {
    true
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The field.
    #[schemars(with = "Path")]
    pub name: Spanned<Path>,
    /// Its type in the table.
    pub r#type: ColumnType,
}

/// The types that a column can have, as Athena calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Text. A number or a boolean lands as its JSON text.
    String,
    /// A 64-bit integer.
    Bigint,
    /// A 64-bit float.
    Double,
    /// True or false.
    Boolean,
    /// UTC microseconds.
    Timestamp,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Bigint => "bigint",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
        })
    }
}

impl Column {
    /// The column's name in the table: underscores for dots and humps, `page.utmSource` becomes `page_utm_source`.
    /// Athena knows no capitals and wants quotes around other signs.
    #[must_use]
    pub fn flat_name(&self) -> String {
        flat_name(self.name.get_ref())
    }
}

fn flat_name(path: &Path) -> String {
    let path = path.to_string();
    let mut flat = String::with_capacity(path.len() + 4);
    let mut before = '_';
    for sign in path.chars() {
        if sign.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            flat.push('_');
        }
        flat.push(if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '_' });
        before = sign;
    }
    flat
}

impl LakeSettings {
    /// What the types of the file cannot tell: a column that is there twice.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if let (Some(field), Some(name)) = (&self.partition_by, self.partition()) {
            let has = |known: &str| known == name;
            let own = self.columns.iter().any(|column| has(&column.flat_name()));
            if own || FIXED_COLUMNS.iter().any(|(fixed, _)| has(fixed)) {
                let message = format!(
                    "the column `{name}` is there twice: what partitions the table is a column of its own"
                );
                mistakes.push(Mistake::new(message).within(field.span()));
            }
        }
        for (index, column) in self.columns.iter().enumerate() {
            let name = column.flat_name();
            let mut earlier = self.columns.iter().take(index);
            let message = if FIXED_COLUMNS.iter().any(|(fixed, _)| *fixed == name) {
                format!("the column `{name}` is there twice: the table has one of its own")
            } else if let Some(twin) = earlier.find(|earlier| earlier.flat_name() == name) {
                format!("the column `{name}` is there twice: `{}` has it already", twin.name.get_ref())
            } else {
                continue;
            };
            mistakes.push(Mistake::new(message).within(column.name.span()));
        }
        mistakes
    }

    /// The column that the table is partitioned by before date and hour, if by any.
    #[must_use]
    pub fn partition(&self) -> Option<String> {
        self.partition_by.as_ref().map(|field| flat_name(field.get_ref()))
    }

    /// The columns of the Glue table as `template.yaml` lists them, without the partitions.
    #[must_use]
    pub fn glue_columns(&self) -> Vec<(String, String)> {
        let fixed = |name: &'static str| {
            FIXED_COLUMNS
                .iter()
                .filter(move |column| column.0 == name)
                .map(|(n, t)| ((*n).to_owned(), (*t).to_owned()))
        };
        let own = self.columns.iter().map(|column| (column.flat_name(), column.r#type.to_string()));
        ["id", "event_type", "event_time", "received_at"]
            .into_iter()
            .flat_map(fixed)
            .chain(own)
            .chain(fixed("rest").filter(|_| self.rest))
            .collect()
    }
}
