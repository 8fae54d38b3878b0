//! `pipeline.test.toml`, read with the place of each mistake.

use millrace_core::event::{Event, Pattern};
use millrace_core::mistake::{Mistake, Mistakes, line_of, nearest};
use millrace_core::time::Micros;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// One test, ready to run.
pub(super) struct Test {
    pub(super) name: String,
    /// The line that it begins in.
    pub(super) line: usize,
    pub(super) given: Event,
    /// The places of the steps to run, from 0; none is the whole pipeline.
    pub(super) steps: Option<Vec<usize>>,
    /// When the event arrives.
    pub(super) at: Option<Micros>,
    /// What the event is then, whole.
    pub(super) expect: Option<Event>,
    /// What it has among others.
    pub(super) expect_contains: Option<Event>,
    /// What it has not.
    pub(super) expect_absent: Vec<Pattern>,
    pub(super) fate: Option<Fate>,
}

/// What becomes of an event; what is left open may be anything.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Out,
    Filtered { by: Option<String> },
    Quarantined { by: Option<String>, reason: Option<String> },
}

impl Fate {
    /// Reads `out`, `filtered`, `filtered by filter.keep`, `quarantined: cannot_cast`, `quarantined by clean.cast`,
    /// `quarantined by clean.cast: cannot_cast`.
    fn read(text: &str) -> Option<Self> {
        let (what, reason) = match text.split_once(':') {
            Some((what, reason)) => (what, Some(reason.trim().to_owned())),
            None => (text, None),
        };
        let mut words = what.split_whitespace();
        let fate = words.next()?;
        let by = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("by"), Some(step), None) => Some(step.to_owned()),
            _ => return None,
        };
        match (fate, by, reason) {
            ("out", None, None) => Some(Self::Out),
            ("filtered", by, None) => Some(Self::Filtered { by }),
            ("quarantined", by, reason) => Some(Self::Quarantined { by, reason }),
            _ => None,
        }
    }

    fn by(&self) -> Option<&str> {
        match self {
            Self::Out => None,
            Self::Filtered { by } | Self::Quarantined { by, .. } => by.as_deref(),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Out => "out",
            Self::Filtered { .. } => "filtered",
            Self::Quarantined { .. } => "quarantined",
        })?;
        self.by().map_or(Ok(()), |by| write!(f, " by {by}"))?;
        match self {
            Self::Quarantined { reason: Some(reason), .. } => write!(f, ": {reason}"),
            _ => Ok(()),
        }
    }
}

/// Reads the tests of a pipeline with these steps, or tells all that is wrong with them.
pub(super) fn read(text: &str, steps: &[&'static str]) -> Result<Vec<Test>, Mistakes> {
    let mut mistakes = Vec::new();
    let mut tests = Vec::new();
    match DeTable::parse(text) {
        Err(error) => mistakes.push(Mistake::from_syntax(text, &error)),
        Ok(table) => {
            for (key, value) in table.into_inner() {
                let at = value.span();
                match (key.get_ref().as_ref(), value.into_inner()) {
                    ("test", DeValue::Array(items)) => {
                        for item in items {
                            let line = line_of(text, item.span().start);
                            match Test::read(item, line, steps) {
                                Ok(ready) => tests.push(ready),
                                Err(mistake) => mistakes.push(mistake),
                            }
                        }
                    }
                    ("test", _) => {
                        mistakes.push(Mistake::new("tests are a list: write `[[test]]`").within(at));
                    }
                    (other, _) => mistakes.push(
                        Mistake::new(format!("`{other}` is not a table"))
                            .with_help("there is `[[test]]`")
                            .within(key.span()),
                    ),
                }
            }
            if tests.is_empty() && mistakes.is_empty() {
                let help = "a test is `[[test]]`, `name = …`, `given = { … }`, `expect = { … }`";
                mistakes.push(Mistake::new("there are no tests").with_help(help).within(0..0));
            }
        }
    }
    if mistakes.is_empty() { Ok(tests) } else { Err(Mistakes::new(text, mistakes)) }
}

/// A test as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    given: Json,
    steps: Option<Vec<Spanned<Which>>>,
    at: Option<Time>,
    expect: Option<Json>,
    expect_contains: Option<Json>,
    #[serde(default)]
    expect_absent: Vec<Pattern>,
    fate: Option<Spanned<String>>,
}

impl Test {
    fn read(written: Spanned<DeValue<'_>>, line: usize, steps: &[&'static str]) -> Result<Self, Mistake> {
        let whole = written.span();
        let written = Written::deserialize(ValueDeserializer::from(written))
            .map_err(|error| Mistake::from_toml(&error, whole.clone()))?;
        let has_event = written.expect.is_some()
            || written.expect_contains.is_some()
            || !written.expect_absent.is_empty();
        let fate = written.fate.map(|fate| read_fate(&fate, has_event, steps)).transpose()?;
        if !has_event && fate.is_none() {
            let help = "add `expect`, `expect_contains`, `expect_absent` or `fate`";
            return Err(Mistake::new("this test expects nothing").with_help(help).within(whole));
        }
        let steps = written.steps.map(|list| places(&list, steps)).transpose()?;
        Ok(Self {
            name: written.name,
            line,
            given: written.given.0,
            steps,
            at: written.at.map(|at| at.0),
            expect: written.expect.map(|event| event.0),
            expect_contains: written.expect_contains.map(|event| event.0),
            expect_absent: written.expect_absent,
            fate,
        })
    }
}

fn read_fate(written: &Spanned<String>, has_event: bool, steps: &[&'static str]) -> Result<Fate, Mistake> {
    let Some(fate) = Fate::read(written.get_ref()) else {
        let help = "there are `out`, `filtered`, `filtered by filter.keep`, `quarantined`, `quarantined: cannot_cast`, `quarantined by clean.cast: cannot_cast`";
        return Err(Mistake::new(format!("`{}` is no fate", written.get_ref()))
            .with_help(help)
            .within(written.span()));
    };
    if has_event && fate != Fate::Out {
        let help = "take `fate` out, or what is expected of the event";
        return Err(Mistake::new("an event that does not come out has nothing to expect")
            .with_help(help)
            .within(written.span()));
    }
    match fate.by() {
        // What comes behind the steps.
        Some("encode") | None => {}
        Some(by) => drop(place(by, steps, written.span())?),
    }
    Ok(fate)
}

/// Where the steps stand that a test names, in the order of the pipeline's file if by name.
fn places(list: &[Spanned<Which>], steps: &[&'static str]) -> Result<Vec<usize>, Mistake> {
    let mut places = Vec::new();
    for which in list {
        match which.get_ref() {
            Which::Name(name) => places.extend(place(name, steps, which.span())?),
            Which::Number(number) => match usize::try_from(*number) {
                Ok(number) if (1..=steps.len()).contains(&number) => places.push(number - 1),
                _ => {
                    let what = format!(
                        "there is no step {number}: the pipeline has {}, counted from 1",
                        steps.len()
                    );
                    return Err(Mistake::new(what).within(which.span()));
                }
            },
        }
    }
    Ok(places)
}

/// All places of the steps of this name.
fn place(name: &str, steps: &[&'static str], at: Range<usize>) -> Result<Vec<usize>, Mistake> {
    let places: Vec<_> =
        (0..).zip(steps).filter(|(_, step)| **step == name).map(|(place, _)| place).collect();
    if places.is_empty() {
        let help =
            nearest(name, steps.iter().copied()).unwrap_or_else(|| format!("it has {}", steps.join(", ")));
        return Err(Mistake::new(format!("the pipeline has no step `{name}`")).with_help(help).within(at));
    }
    Ok(places)
}

/// A step by its name, or by its place in the file.
#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "expected the name of a step or its number, from 1")]
enum Which {
    Name(String),
    Number(i64),
}

/// An event, as a table or as the text of its JSON.
struct Json(Event);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = String::new();
        let text = deserializer.deserialize_any(Writer { out: &mut json, depth: 0 })?;
        let json = text.unwrap_or(json);
        Event::read(&json)
            .map(Self)
            .map_err(|_| D::Error::custom("expected an event: a table, or a text that is a JSON object"))
    }
}

/// A time: TOML's own, or a text.
struct Time(Micros);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = String::new();
        let text = deserializer.deserialize_any(Writer { out: &mut json, depth: 0 })?;
        let text = text.or_else(|| serde_json::from_str(&json).ok());
        text.as_deref()
            .and_then(Micros::read_text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("expected a time, like 2026-11-20T13:05:00Z"))
    }
}

/// Writes a value of TOML as JSON, the keys in the order of the file; hands a text at the top back as it is.
struct Writer<'a> {
    out: &'a mut String,
    depth: usize,
}

/// What the deserializer of `toml` calls the one key of the map that a date or time is.
const DATETIME: &str = "$__toml_private_datetime";

impl Writer<'_> {
    fn text(self, text: &str) -> Option<String> {
        if self.depth == 0 {
            return Some(text.to_owned());
        }
        self.json(text)
    }

    fn json(self, value: impl serde::Serialize) -> Option<String> {
        // What JSON cannot hold, infinity, is null there.
        self.out.push_str(&serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned()));
        None
    }

    fn below(&mut self) -> Writer<'_> {
        Writer { out: self.out, depth: self.depth + 1 }
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self).map(drop)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(self.json(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.json(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(self.json(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(self.json(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(self.text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        self.out.push('[');
        let mut is_first = true;
        loop {
            let length = self.out.len();
            if !is_first {
                self.out.push(',');
            }
            if items.next_element_seed(self.below())?.is_none() {
                self.out.truncate(length);
                break;
            }
            is_first = false;
        }
        self.out.push(']');
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Self::Value, A::Error> {
        self.out.push('{');
        let mut is_first = true;
        while let Some(key) = entries.next_key::<String>()? {
            if key == DATETIME {
                let time = entries.next_value::<String>()?;
                self.out.pop();
                return Ok(self.text(&time));
            }
            if !is_first {
                self.out.push(',');
            }
            self.below().json(&key);
            self.out.push(':');
            entries.next_value_seed(self.below())?;
            is_first = false;
        }
        self.out.push('}');
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const STEPS: [&str; 3] = ["clean.cast", "filter.keep", "clean.cast"];

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn mistakes(text: &str, expected: Expect) {
        let mistakes = read(text, &STEPS).err().map(|mistakes| mistakes.render("pipeline.test.toml"));
        expected.assert_eq(&mistakes.unwrap_or_default());
    }

    #[test]
    fn an_event_is_a_table_or_json() {
        let text = "[[test]]\nname = \"a\"\nfate = \"out\"\n[test.given]\nz = 1\na = 2026-11-20T13:05:00Z\nb = [1.0, \"x\\n\", { c = true }, []]\n\
            [[test]]\nname = \"b\"\ngiven = '{\"z\": null}'\nat = 2026-11-20 13:05:00Z\nfate = \"out\"\nsteps = [3, \"clean.cast\"]\n";
        let tests = read(text, &STEPS).map_err(|mistakes| mistakes.render("x")).unwrap();
        let given: Vec<_> = tests.iter().map(|test| test.given.to_string()).collect();
        assert_eq!(
            given,
            [r#"{"z":1,"a":"2026-11-20T13:05:00Z","b":[1.0,"x\n",{"c":true},[]]}"#, r#"{"z": null}"#]
        );
        assert_eq!(tests[1].at.map(Micros::rfc3339), Some("2026-11-20T13:05:00Z".to_owned()));
        assert_eq!((tests[0].line, tests[1].line), (1, 8));
        assert_eq!(tests[1].steps, Some(vec![2, 0, 2]));
    }

    #[test]
    fn a_fate_is_read_as_it_is_written() {
        for text in [
            "out",
            "filtered",
            "filtered by filter.keep",
            "quarantined",
            "quarantined: cannot_cast",
            "quarantined by clean.cast: cannot_cast",
        ] {
            assert_eq!(Fate::read(text).map(|fate| fate.to_string()).as_deref(), Some(text));
        }
        for text in ["", "lost", "out by x", "filtered by", "filtered by a b", "filtered: why"] {
            assert_eq!(Fate::read(text), None, "{text}");
        }
    }

    #[test]
    fn mistakes_are_pointed_at() {
        mistakes(
            "",
            expect![[r#"
            pipeline.test.toml:1:1: error: there are no tests
              = a test is `[[test]]`, `name = …`, `given = { … }`, `expect = { … }`
        "#]],
        );
        mistakes(
            "[test]\nname = \"a\"\n",
            expect![[r#"
            pipeline.test.toml:1:1: error: tests are a list: write `[[test]]`
              |
            1 | [test]
              | ^^^^^^
        "#]],
        );
        mistakes(
            "[[tests]]\n",
            expect![[r#"
            pipeline.test.toml:1:3: error: `tests` is not a table
              |
            1 | [[tests]]
              |   ^^^^^
              = there is `[[test]]`
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = {}\nexpects = {}\n",
            expect![[r#"
            pipeline.test.toml:4:1: error: unknown setting `expects`, expected one of `name`, `given`, `steps`, `at`, `expect`, `expect_contains`, `expect_absent`, `fate`
              |
            4 | expects = {}
              | ^^^^^^^
              = did you mean `expect`?
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = {}\n",
            expect![[r#"
            pipeline.test.toml:1:1: error: this test expects nothing
              |
            1 | [[test]]
              | ^^^^^^^^
              = add `expect`, `expect_contains`, `expect_absent` or `fate`
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = '{\"a\": '\nfate = \"out\"\n",
            expect![[r#"
            pipeline.test.toml:3:9: error: expected an event: a table, or a text that is a JSON object
              |
            3 | given = '{"a": '
              |         ^^^^^^^^
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = 7\nfate = \"out\"\n",
            expect![[r#"
            pipeline.test.toml:3:9: error: expected an event: a table, or a text that is a JSON object
              |
            3 | given = 7
              |         ^
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = {}\nfate = \"lost\"\n",
            expect![[r#"
            pipeline.test.toml:4:8: error: `lost` is no fate
              |
            4 | fate = "lost"
              |        ^^^^^^
              = there are `out`, `filtered`, `filtered by filter.keep`, `quarantined`, `quarantined: cannot_cast`, `quarantined by clean.cast: cannot_cast`
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = {}\nfate = \"filtered by filter.kep\"\n",
            expect![[r#"
            pipeline.test.toml:4:8: error: the pipeline has no step `filter.kep`
              |
            4 | fate = "filtered by filter.kep"
              |        ^^^^^^^^^^^^^^^^^^^^^^^^
              = did you mean `filter.keep`?
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = {}\nfate = \"filtered\"\nexpect = {}\n",
            expect![[r#"
            pipeline.test.toml:4:8: error: an event that does not come out has nothing to expect
              |
            4 | fate = "filtered"
              |        ^^^^^^^^^^
              = take `fate` out, or what is expected of the event
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = {}\nfate = \"out\"\nsteps = [4]\n[[test]]\nname = \"a\"\ngiven = {}\nfate = \"out\"\nsteps = [true]\n",
            expect![[r#"
            pipeline.test.toml:5:10: error: there is no step 4: the pipeline has 3, counted from 1
              |
            5 | steps = [4]
              |          ^
            pipeline.test.toml:10:9: error: expected the name of a step or its number, from 1
               |
            10 | steps = [true]
               |         ^^^^^^
        "#]],
        );
        mistakes(
            "[[test]]\nname = \"a\"\ngiven = {}\nfate = \"out\"\nat = \"soon\"\n",
            expect![[r#"
            pipeline.test.toml:5:6: error: expected a time, like 2026-11-20T13:05:00Z
              |
            5 | at = "soon"
              |      ^^^^^^
        "#]],
        );
    }
}
