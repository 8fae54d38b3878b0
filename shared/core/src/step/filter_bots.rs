//! `filter.bots`: drop what programs sent, by their user agent.
//!
//! ```toml
//! filter.bots = "userAgent"
//! ```
//!
//! ```toml
//! filter.bots = { field = "userAgent", add = ["acme-monitor/"] }
//! ```
//!
//! ```toml
//! filter.bots = { field = "userAgent", patterns = ["bot", "crawl", "spider", "curl/"] }
//! ```
//! Drops crawlers, monitors, link previews, HTTP libraries and steered browsers that say what they are, by a list that
//! comes with Millrace, and whatever has an address of a page in its user agent, as no browser has. Of the 2123 user
//! agents of crawler-user-agents 1.67 it finds 84 % (woothee 44 %, uap-core 60 %), and takes none of the 839 browsers of
//! fake-useragent 2.2 for a bot; `local/user_agents.py` measures it. A program that passes itself off as a browser is not
//! found. A user agent that is missing, or no text, is no bot.
//!
//! | option | meaning |
//! | --- | --- |
//! | `field` | where the user agent stands |
//! | `patterns` | texts, any of which makes it a bot, instead of the list; case does not count |
//! | `add` | texts beside the list |

use super::cache::Cache;
use super::settings::Short;
use super::{Context, Step, Touches, Verdict};
use crate::bots::{self, Patterns};
use crate::event::{Event, Path};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct Bots {
    field: Path,
    with_list: bool,
    patterns: Option<Patterns>,
    /// What was found of user agents that came before.
    known: Cache<bool>,
}

/// `filter.bots`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the user agent stands.
    field: Path,
    /// Texts, any of which makes it a bot, instead of the list that comes with Millrace.
    patterns: Option<Vec<String>>,
    /// Texts beside that list.
    add: Option<Vec<String>>,
}

impl From<Path> for Settings {
    fn from(field: Path) -> Self {
        Self { field, patterns: None, add: None }
    }
}

impl Step for Bots {
    const NAME: &'static str = "filter.bots";
    type Settings = Short<Path, Settings>;

    fn compile(
        Short(Settings { field, patterns, add }, _): Self::Settings,
        _files: &dyn Files,
    ) -> Result<Self, Mistake> {
        if patterns.is_some() && add.is_some() {
            return Err(Mistake::new(
                "`patterns` replaces the list and `add` adds to it: one of them is meant",
            )
            .with_help("put all into `patterns`, or leave it out"));
        }
        let with_list = patterns.is_none();
        let patterns = patterns.or(add).map(Patterns::new).transpose().map_err(Mistake::new)?;
        Ok(Self { field, with_list, patterns, known: Cache::new() })
    }

    fn touches(&self) -> Touches {
        Touches { reads: vec![self.field.clone().into()], ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { field, with_list, patterns, known } = self;
        let Some(agent) = event.str(field) else { return Verdict::Keep };
        let is_bot = known.get(agent, |agent, is_bot| {
            *is_bot = patterns.as_ref().is_some_and(|patterns| patterns.are_in(agent))
                || *with_list && bots::is_bot(agent);
        });
        if *is_bot { Verdict::Drop } else { Verdict::Keep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, refuse, run};
    use expect_test::expect;

    const CRAWLER: &str = r#"{"ua":"Mozilla/5.0 (compatible; Googlebot/2.1)"}"#;
    const BROWSER: &str = r#"{"ua":"Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0 Safari/537.36 Acme"}"#;

    #[test]
    fn known_bots_are_dropped() {
        assert_eq!(run::<Bots>(r#""ua""#, CRAWLER), "dropped");
        assert_eq!(run::<Bots>(r#"{ field = "ua" }"#, CRAWLER), "dropped");
        assert_eq!(run::<Bots>(r#""ua""#, BROWSER), BROWSER);
        check::<Bots>(r#""a.ua""#, r#"{"a":{"ua":"CURL/8.5.0"}}"#, &expect!["dropped"]);
    }

    #[test]
    fn a_pipeline_has_patterns_of_its_own() {
        let own = r#"{ field = "ua", patterns = ["ACME"] }"#;
        assert_eq!(run::<Bots>(own, BROWSER), "dropped");
        assert_eq!(run::<Bots>(own, CRAWLER), CRAWLER);
        let add = r#"{ field = "ua", add = ["acme"] }"#;
        assert_eq!(run::<Bots>(add, BROWSER), "dropped");
        assert_eq!(run::<Bots>(add, CRAWLER), "dropped");
    }

    #[test]
    fn what_is_no_user_agent_is_no_bot() {
        for ua in ["null", "7", r#"["Googlebot"]"#, r#"{"bot":"bot"}"#, r#""""#, r#""日本 🦀""#] {
            let event = format!("{{\"ua\":{ua}}}");
            assert_eq!(run::<Bots>(r#""ua""#, &event), event);
        }
        assert_eq!(run::<Bots>(r#""ua""#, r#"{"bot":1}"#), r#"{"bot":1}"#);
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Bots>(
            r#"{ field = "ua", patterns = ["x"], add = ["y"] }"#,
            &expect![
                "`patterns` replaces the list and `add` adds to it: one of them is meant = put all into `patterns`, or leave it out"
            ],
        );
        refuse::<Bots>(r#"{ field = "ua", patterns = [] }"#, &expect!["there is no word in the list"]);
        refuse::<Bots>(r#"{ field = "ua", add = [""] }"#, &expect!["an empty word is in every text"]);
        refuse::<Bots>(r#"{ patterns = ["x"] }"#, &expect!["missing setting `field`"]);
        refuse::<Bots>(r#"["ua"]"#, &expect!["wrong type: a list, `[…]`, expected a string"]);
    }
}
