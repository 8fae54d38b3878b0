//! `filter.sample`: keep a share of the events, whole users at a time.
//!
//! ```toml
//! filter.sample = { by = "userId", keep = 0.1 }
//! ```
//!
//! ```toml
//! filter.sample = { by = "userId", keep = 0.1, salt = "2026", missing = "drop" }
//! ```
//! A hash of the field's value decides: the same user is always in or always out, in every batch and every deployment.
//! Raise `keep`, and those who were in stay in. A number and its text, `7` and `"7"`, are the same; an object or array
//! counts as it is written.
//!
//! | option | meaning |
//! | --- | --- |
//! | `by` | the field that decides |
//! | `keep` | the share that is kept, above 0 and up to 1 |
//! | `salt` | any text; another salt draws another sample |
//! | `missing` | what becomes of an event where the field is missing, null or empty: `"keep"` (the default), `"drop"`, or the name of another field that decides then, `{ by = "id" }` |

use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;
use twox_hash::XxHash3_64;

pub(crate) struct Sample {
    by: Path,
    /// The hashes below are kept.
    end: u128,
    seed: u64,
    missing: Missing,
    text: String,
}

/// `filter.sample`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field that decides.
    by: Path,
    /// The share that is kept, above 0 and up to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    keep: f64,
    /// Another salt draws another sample.
    #[serde(default)]
    salt: String,
    /// What becomes of an event that does not have the field.
    #[serde(default)]
    missing: Missing,
}

/// What becomes of an event that does not have the field.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Missing {
    /// It is kept.
    #[default]
    Keep,
    /// It is dropped.
    Drop,
    /// Another field decides; without that too it is kept.
    By(Path),
}

impl Step for Sample {
    const NAME: &'static str = "filter.sample";
    type Settings = Settings;

    fn compile(settings: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let keep = settings.keep;
        if !(keep > 0.0 && keep <= 1.0) {
            let help = if (1.0..=100.0).contains(&keep) {
                format!("{keep} percent is {}", keep / 100.0)
            } else {
                "a tenth is 0.1".to_owned()
            };
            return Err(Mistake::new(format!("`keep` is {keep}, and no share: it is above 0 and up to 1"))
                .with_help(help));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 2⁶⁴"
        )]
        let end = (keep * 2_f64.powi(64)) as u128;
        Ok(Self {
            by: settings.by,
            end,
            seed: XxHash3_64::oneshot(settings.salt.as_bytes()),
            missing: settings.missing,
            text: String::new(),
        })
    }

    fn touches(&self) -> Touches {
        let other = if let Missing::By(path) = &self.missing { Some(path) } else { None };
        let reads = std::iter::once(&self.by).chain(other).cloned().map(Into::into);
        Touches { reads: reads.collect(), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { by, end, seed, missing, text } = self;
        let mut is_in = |path: &Path| {
            let id = event.find(path)?;
            let hash = match event.value(id) {
                Value::Null | Value::String("") => return None,
                Value::String(text) => XxHash3_64::oneshot_with_seed(*seed, text.as_bytes()),
                Value::Number(number) => XxHash3_64::oneshot_with_seed(*seed, number.text().as_bytes()),
                _ => {
                    text.clear();
                    event.write_value(id, text);
                    XxHash3_64::oneshot_with_seed(*seed, text.as_bytes())
                }
            };
            Some(u128::from(hash) < *end)
        };
        let is_kept = is_in(by).unwrap_or_else(|| match missing {
            Missing::Keep => true,
            Missing::Drop => false,
            Missing::By(other) => is_in(other).unwrap_or(true),
        });
        if is_kept { Verdict::Keep } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{play, refuse, run, step};
    use expect_test::expect;

    fn kept(settings: &str) -> Vec<u32> {
        let mut sample = step::<Sample>(settings, &crate::files::NONE);
        let is_kept = |n: &u32| play(&mut sample, &format!("{{\"u\":\"user-{n}\"}}")) != "dropped";
        (0..10_000).filter(is_kept).collect()
    }

    #[test]
    fn the_share_is_kept_and_a_larger_one_contains_it() {
        let (tenth, fifth) = (kept(r#"{ by = "u", keep = 0.1 }"#), kept(r#"{ by = "u", keep = 0.2 }"#));
        assert!((900..1100).contains(&tenth.len()), "{}", tenth.len());
        assert!((1850..2150).contains(&fifth.len()), "{}", fifth.len());
        assert!(tenth.iter().all(|n| fifth.contains(n)));
        assert_eq!(kept(r#"{ by = "u", keep = 1 }"#).len(), 10_000);
    }

    #[test]
    fn another_salt_draws_another_sample() {
        let (one, two) = (
            kept(r#"{ by = "u", keep = 0.1, salt = "a" }"#),
            kept(r#"{ by = "u", keep = 0.1, salt = "b" }"#),
        );
        let both = one.iter().filter(|n| two.contains(n)).count();
        assert!((50..150).contains(&both), "{both}");
        assert_eq!(one, kept(r#"{ by = "u", keep = 0.1, salt = "a" }"#));
    }

    #[test]
    fn whatever_the_field_holds_decides() {
        for (one, other) in [("7", "\"7\""), (r#""\u00e9""#, r#""é""#), ("1.0", "\"1.0\"")] {
            for salt in 0..20 {
                let is_kept = |value| {
                    let settings = format!("{{ by = \"u\", keep = 0.5, salt = \"{salt}\" }}");
                    run::<Sample>(&settings, &format!("{{\"u\":{value}}}")) != "dropped"
                };
                assert_eq!(is_kept(one), is_kept(other));
            }
        }
        for value in ["true", "[1]", "{}", "123456789012345678901234567890"] {
            let event = format!("{{\"u\":{value}}}");
            assert_eq!(run::<Sample>(r#"{ by = "u", keep = 1.0 }"#, &event), event);
            assert_eq!(run::<Sample>(r#"{ by = "u", keep = 1e-12 }"#, &event), "dropped");
        }
    }

    #[test]
    fn what_does_not_have_the_field_stays_goes_or_is_drawn_by_another() {
        for event in [r#"{"id":"x"}"#, r#"{"id":"x","u":null}"#, r#"{"id":"x","u":""}"#] {
            assert_eq!(run::<Sample>(r#"{ by = "u", keep = 1e-12 }"#, event), event);
            assert_eq!(run::<Sample>(r#"{ by = "u", keep = 1, missing = "drop" }"#, event), "dropped");
            assert_eq!(
                run::<Sample>(r#"{ by = "u", keep = 1e-12, missing = { by = "id" } }"#, event),
                "dropped"
            );
            assert_eq!(run::<Sample>(r#"{ by = "u", keep = 1e-12, missing = { by = "x" } }"#, event), event);
        }
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Sample>(
            r#"{ by = "u", keep = 10 }"#,
            &expect!["`keep` is 10, and no share: it is above 0 and up to 1 = 10 percent is 0.1"],
        );
        refuse::<Sample>(
            r#"{ by = "u", keep = 0 }"#,
            &expect!["`keep` is 0, and no share: it is above 0 and up to 1 = a tenth is 0.1"],
        );
        refuse::<Sample>(
            r#"{ by = "u", keep = nan }"#,
            &expect!["`keep` is NaN, and no share: it is above 0 and up to 1 = a tenth is 0.1"],
        );
        refuse::<Sample>(r#"{ by = "u" }"#, &expect!["missing setting `keep`"]);
        refuse::<Sample>(
            r#"{ by = "u", keep = 0.5, missing = "dorp" }"#,
            &expect!["unknown value `dorp`, expected one of `keep`, `drop`, `by` = did you mean `drop`?"],
        );
    }
}
