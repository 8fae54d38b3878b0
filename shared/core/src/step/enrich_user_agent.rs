//! `enrich.user_agent`: the browser, the system and the kind of device, from a user agent.
//!
//! ```toml
//! enrich.user_agent = { from = "userAgent", into = "agent" }
//! ```
//! | field | what |
//! | --- | --- |
//! | `agent.browser` | `Chrome`, `Samsung Internet`; of a bot or an app what it calls itself |
//! | `agent.browser_version` | as told, `126.0.0.0` |
//! | `agent.os` | `Windows`, `macOS`, `iOS`, `Android`, `Linux`, `Chrome OS` … |
//! | `agent.os_version` | as told, `17.5.1` |
//! | `agent.device` | `desktop`, `mobile`, `tablet`, `tv`, `console`, `bot` or `other` |
//!
//! What the text does not tell is left out. Browsers say less than one may think: Windows 11 says `10`, macOS says
//! `10.15.7`, and an iPad that asks for desktop pages is a Mac. For families of your own take `enrich.classify`.
//!
//! Of 839 browsers that people use (fake-useragent 2.2) it tells the same browser as uap-core of 98.8 %, the same system
//! of all, and of all the device that the list has; `local/user_agents.py` measures it. Bots are those of `filter.bots`.
//!
//! Where the field is missing, null, empty or no string, nothing is set. What a producer had put under `into` goes in
//! any case. The step rejects nothing.

use super::cache::Cache;
use super::object::{object, replace};
use super::settings::FromInto;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::user_agent;
use serde::Deserialize;

pub(crate) struct UserAgent {
    fields: FromInto,
    known: Cache<String>,
}

/// `enrich.user_agent`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of the user agent.
    from: ItemPath,
    /// The object for what it tells.
    into: ItemPath,
}

impl Step for UserAgent {
    const NAME: &'static str = "enrich.user_agent";
    type Settings = Settings;

    fn compile(Settings { from, into }: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        Ok(Self { fields: FromInto::new(from, into)?.apart()?, known: Cache::new() })
    }

    fn touches(&self) -> Touches {
        self.fields.touches()
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, known } = self;
        fields.each(event, |event, top, from, into| {
            let text = event.str_in(top, from).filter(|text| !text.is_empty());
            let json = text.map(|text| known.get(text, told));
            replace(event, top, into, json.map_or("", String::as_str));
            Verdict::Keep
        })
    }
}

fn told(text: &str, json: &mut String) {
    let agent = user_agent::read(text);
    object(json, |members| {
        members.text("browser", agent.browser);
        members.text("browser_version", agent.browser_version);
        members.text("os", agent.os);
        members.text("os_version", agent.os_version.as_deref());
        members.text("device", Some(agent.device.as_str()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse, run};
    use expect_test::expect;

    const SETTINGS: &str = r#"{ from = "ua", into = "agent" }"#;

    #[test]
    fn a_user_agent_tells_what_it_tells() {
        check::<UserAgent>(
            SETTINGS,
            r#"{"ua":"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"}"#,
            &expect![[
                r#"{"ua":"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1","agent":{"browser":"Safari","browser_version":"17.5","os":"iOS","os_version":"17.5","device":"mobile"}}"#
            ]],
        );
        check::<UserAgent>(SETTINGS, r#"{"ua":"é"}"#, &expect![[r#"{"ua":"é","agent":{"device":"other"}}"#]]);
    }

    #[test]
    fn where_no_text_is_nothing_is_set_and_a_claim_goes() {
        for value in ["null", "7", "\"\"", "[\"Chrome/1\"]", "{}"] {
            let event = format!(r#"{{"ua":{value}}}"#);
            assert_eq!(run::<UserAgent>(SETTINGS, &event), event);
            assert_eq!(edits::<UserAgent>(SETTINGS, &event), 0);
        }
        assert_eq!(run::<UserAgent>(SETTINGS, r#"{"agent":{"device":"tv"}}"#), "{}");
    }

    #[test]
    fn what_is_read_is_not_replaced() {
        refuse::<UserAgent>(
            r#"{ from = "ua", into = "ua" }"#,
            &expect!["`into` is `ua`: to write it would replace `ua`, which is read"],
        );
    }
}
