//! `enrich.classify`: give a text the label of the first rule that takes it.
//!
//! ```toml
//! enrich.classify = { from = "userAgent", into = "browser", otherwise = "Other", rules = [
//!   { any = ["Edg/", "Edge/"], label = "Edge" },
//!   { any = ["CriOS/", "Chrome/"], label = "Chrome" },
//!   { regex = '^Shop/[0-9]+', label = "Our app" },
//! ] }
//! ```
//! | option | meaning |
//! | --- | --- |
//! | `from`, `into` | the field of the text, and the field of the label; they may be the same |
//! | `rules` | in their order: the first that takes the text gives the label |
//! | `otherwise` | the label of a text that no rule takes; without it, such a text gets none |
//! | `missing` | the label where there is no text: the field is missing, null, or no string. Without it, `otherwise` is taken; `false` is none |
//! | `ignore_case` | whether `Bot` is `bot`, in words and in regular expressions; `false` if not said |
//!
//! A rule has either `any`, words of which one stands anywhere in the text, or `regex`, which matches anywhere in it
//! (the syntax is that of the Rust crate `regex`; it takes linear time, whatever the text). All words are looked for in
//! one pass, so a long list costs little; regular expressions are tried one after the other. Where there is no label,
//! what a producer had put under `into` goes. The step rejects nothing.

use super::cache::Cache;
use super::settings::{FromInto, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath, Value};
use crate::files::Files;
use crate::matcher::{Case, Classes, Rule};
use crate::mistake::Mistake;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use std::fmt;
use toml::Spanned;

pub(crate) struct Classify {
    fields: FromInto,
    classes: Classes,
    /// The rules of texts that came before.
    known: Cache<Option<usize>>,
    labels: Vec<String>,
    otherwise: Option<String>,
    missing: Option<String>,
}

/// `enrich.classify`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the text.
    from: ItemPath,
    /// The field of the label.
    into: ItemPath,
    /// The rules; the first that takes the text gives the label.
    #[schemars(with = "Vec<RuleSettings>")]
    rules: Vec<Spanned<RuleSettings>>,
    /// The label of a text that no rule takes.
    otherwise: Option<String>,
    /// The label where there is no text, or `false` for none; if not said, `otherwise`.
    missing: Option<Missing>,
    /// Whether `Bot` is `bot`.
    #[serde(default)]
    ignore_case: bool,
}

/// A rule: what takes a text, and the label that it gets.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    /// Words, one of which stands in the text.
    any: Option<Vec<String>>,
    /// A regular expression that matches somewhere in the text.
    regex: Option<String>,
    /// The label.
    label: String,
}

/// A label, or false for none.
enum Missing {
    Label(String),
    None,
}

impl JsonSchema for Missing {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LabelOrFalse".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "const": false }] })
    }
}

impl<'de> Deserialize<'de> for Missing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelOrFalse;

        impl Visitor<'_> for LabelOrFalse {
            type Value = Missing;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a label, or false for none")
            }

            fn visit_str<E: Error>(self, label: &str) -> Result<Missing, E> {
                Ok(Missing::Label(label.to_owned()))
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Missing, E> {
                if flag {
                    return Err(E::invalid_value(Unexpected::Bool(flag), &self));
                }
                Ok(Missing::None)
            }
        }

        deserializer.deserialize_any(LabelOrFalse)
    }
}

impl Step for Classify {
    const NAME: &'static str = "enrich.classify";
    type Settings = Settings;

    fn compile(settings: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let Settings { from, into, rules, otherwise, missing, ignore_case } = settings;
        let is_one = from == into;
        let fields = FromInto::new(from, into)?;
        let fields = if is_one { fields } else { fields.apart()? };
        let rules = some(rules, "rule")?;
        let places: Vec<_> = rules.iter().map(Spanned::span).collect();
        let (mut labels, mut compiled) = (Vec::new(), Vec::new());
        for (number, rule) in rules.into_iter().enumerate() {
            let at = rule.span();
            let RuleSettings { any, regex, label } = rule.into_inner();
            compiled.push(match (any, regex) {
                (Some(words), None) => Rule::AnyOf(words),
                (None, Some(regex)) => Rule::Regex(regex),
                (any, _) => {
                    let what = if any.is_some() { "both" } else { "neither" };
                    let message = format!("rule {}: it has {what} `any` and `regex`", number + 1);
                    return Err(Mistake::new(message.replace("neither `any` and", "neither `any` nor"))
                        .with_help("a rule has one of them: `{ any = [\"Edg/\"], label = \"Edge\" }`")
                        .within(at));
                }
            });
            labels.push(label);
        }
        let case = if ignore_case { Case::Ignored } else { Case::Sensitive };
        let classes = Classes::new(&compiled, case).map_err(|(rule, why)| {
            let mistake = Mistake::new(why);
            match rule.and_then(|rule| places.get(rule)) {
                Some(at) => mistake.within(at.clone()),
                None => mistake,
            }
        })?;
        let missing = match missing {
            Some(Missing::Label(label)) => Some(label),
            Some(Missing::None) => None,
            None => otherwise.clone(),
        };
        Ok(Self { fields, classes, known: Cache::new(), labels, otherwise, missing })
    }

    fn touches(&self) -> Touches {
        self.fields.touches()
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, classes, known, labels, otherwise, missing } = self;
        fields.each(event, |event, top, from, into| {
            let label = match event.get_in(top, from) {
                Some(Value::String(text)) => {
                    let rule = *known.get(text, |text, rule| *rule = classes.of(text));
                    rule.map_or(otherwise.as_ref(), |rule| labels.get(rule))
                }
                _ => missing.as_ref(),
            };
            match label {
                Some(label) => event.put_str_in(top, into, label),
                None => event.remove_at_in(top, into),
            }
            Verdict::Keep
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{edits, refuse, run};
    use expect_test::expect;

    const BROWSERS: &str = r#"{ from = "userAgent", into = "browser", otherwise = "Other", rules = [
        { any = ["Edg/", "Edge/"], label = "Edge" }, { regex = '^Shop/[0-9]', label = "App" },
        { any = ["Chrome/"], label = "Chrome" }, { any = ["Safari/"], label = "Safari" }] }"#;

    fn label(settings: &str, value: &str) -> String {
        let after = run::<Classify>(settings, &format!(r#"{{"userAgent":{value}}}"#));
        let after: serde_json::Value = serde_json::from_str(&after).unwrap();
        after["browser"].as_str().unwrap_or("none").to_owned()
    }

    #[test]
    fn the_first_rule_that_takes_a_text_gives_the_label() {
        for (text, expected) in [
            ("Chrome/1 Safari/2 Edg/3", "Edge"),
            ("Chrome/1 Safari/2", "Chrome"),
            ("Shop/4 Chrome/1", "App"),
            ("Chrome/1 Shop/4", "Chrome"),
            ("chrome/1 Löwe", "Other"),
            ("", "Other"),
        ] {
            assert_eq!(label(BROWSERS, &format!("\"{text}\"")), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_text_is_otherwise_or_what_is_said_of_it() {
        for value in ["null", "7", "[\"Edg/\"]", "{\"a\":\"Edg/\"}", "true"] {
            assert_eq!(label(BROWSERS, value), "Other", "{value}");
            assert_eq!(label(&BROWSERS.replace("rules", "missing = \"Unknown\", rules"), value), "Unknown");
            assert_eq!(label(&BROWSERS.replace("rules", "missing = false, rules"), value), "none");
        }
        assert_eq!(run::<Classify>(BROWSERS, "{}"), r#"{"browser":"Other"}"#);
        assert_eq!(label(&BROWSERS.replace("otherwise = \"Other\",", ""), "\"x\""), "none");
    }

    #[test]
    fn what_a_producer_claims_goes() {
        let quiet = BROWSERS.replace("otherwise = \"Other\",", "");
        assert_eq!(run::<Classify>(&quiet, r#"{"browser":"Edge","userAgent":"x"}"#), r#"{"userAgent":"x"}"#);
        let event = r#"{"browser":{"a":1},"userAgent":"Edg/1"}"#;
        assert_eq!(run::<Classify>(BROWSERS, event), r#"{"browser":"Edge","userAgent":"Edg/1"}"#);
    }

    #[test]
    fn case_may_not_count_and_a_label_may_replace_its_text() {
        let settings = r#"{ from = "a", into = "a", ignore_case = true, rules = [{ any = ["BOT"], label = "bot" }, { regex = "^x", label = "y" }] }"#;
        assert_eq!(run::<Classify>(settings, r#"{"a":"Googlebot"}"#), r#"{"a":"bot"}"#);
        assert_eq!(run::<Classify>(settings, r#"{"a":"X"}"#), r#"{"a":"y"}"#);
    }

    #[test]
    fn a_label_that_stands_there_is_no_change() {
        assert_eq!(edits::<Classify>(BROWSERS, r#"{"userAgent":"Edg/1","browser":"Edge"}"#), 0);
        assert_eq!(edits::<Classify>(&BROWSERS.replace("otherwise = \"Other\",", ""), "{}"), 0);
    }

    #[test]
    fn mistakes_name_the_rule() {
        let refuse = |rules: &str, expected| {
            refuse::<Classify>(&format!("{{ from = \"a\", into = \"b\", rules = [{rules}] }}"), expected);
        };
        refuse("", &expect!["no rule is named, so the step does nothing"]);
        refuse(
            r#"{ any = ["x"], label = "x" }, { label = "y" }"#,
            &expect![[
                r#"rule 2: it has neither `any` nor `regex` = a rule has one of them: `{ any = ["Edg/"], label = "Edge" }`"#
            ]],
        );
        refuse(
            r#"{ any = ["x"], regex = "x", label = "y" }"#,
            &expect![[
                r#"rule 1: it has both `any` and `regex` = a rule has one of them: `{ any = ["Edg/"], label = "Edge" }`"#
            ]],
        );
        refuse(r#"{ regex = "(x", label = "y" }"#, &expect!["rule 1: no regular expression: unclosed group"]);
        refuse(r#"{ any = [], label = "y" }"#, &expect!["rule 1: there is no word in the list"]);
        refuse(
            r#"{ any = "x", label = "y" }"#,
            &expect![[r#"wrong type: string "x", expected a list, `[…]` = a list has brackets: ["x"]"#]],
        );
    }

    #[test]
    fn one_field_within_the_other_is_a_mistake() {
        let rules = r#"rules = [{ any = ["x"], label = "x" }]"#;
        refuse::<Classify>(
            &format!("{{ from = \"a.b\", into = \"a\", {rules} }}"),
            &expect!["`into` is `a`: to write it would replace `a.b`, which is read"],
        );
    }
}
