//! `filter.types`: go on only with the types of events that are wanted.
//!
//! ```toml
//! filter.types = { field = "eventType", allow = ["purchase", "page_*"] }
//! ```
//!
//! ```toml
//! filter.types = { field = "eventType", deny = ["heartbeat", "debug_*"] }
//! ```
//! A name with `*` at its end takes all that begin so. Case counts. An event whose field is missing or no text has no
//! type: `allow` drops it, `deny` keeps it.
//!
//! | option | meaning |
//! | --- | --- |
//! | `field` | where the type stands, as `type` of `[event]`; any other field will do |
//! | `allow` | what goes on; all else is dropped |
//! | `deny` | what is dropped; all else goes on |

use super::settings::some;
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Path};
use crate::files::Files;
use crate::mistake::Mistake;
use serde::Deserialize;

pub(crate) struct Types {
    field: Path,
    /// In order.
    names: Vec<String>,
    prefixes: Vec<String>,
    /// Whether those are wanted, or the others.
    wanted: bool,
}

/// `filter.types`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the type stands, as `type` of `[event]`.
    field: Path,
    /// What goes on; `*` may stand at the end of a name.
    allow: Option<Vec<String>>,
    /// What is dropped; `*` may stand at the end of a name.
    deny: Option<Vec<String>>,
}

impl Step for Types {
    const NAME: &'static str = "filter.types";
    type Settings = Settings;

    fn compile(Settings { field, allow, deny }: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let (list, wanted) = match (allow, deny) {
            (Some(list), None) => (list, true),
            (None, Some(list)) => (list, false),
            (Some(_), Some(_)) => {
                return Err(Mistake::new("`allow` and `deny` are both given: one of them is meant")
                    .with_help("two steps, one of each, do both"));
            }
            (None, None) => return Err(Mistake::new("neither `allow` nor `deny` is given")),
        };
        let (mut names, mut prefixes) = (Vec::new(), Vec::new());
        for name in some(list, "type")? {
            let prefix = name.strip_suffix('*');
            if name.is_empty() || prefix.unwrap_or(&name).contains('*') {
                return Err(Mistake::new(format!(
                    "`{name}` is no type: `*` stands at the end of a name, like `page_*`"
                )));
            }
            match prefix {
                Some(prefix) => prefixes.push(prefix.to_owned()),
                None => names.push(name),
            }
        }
        names.sort_unstable();
        Ok(Self { field, names, prefixes, wanted })
    }

    fn touches(&self) -> Touches {
        Touches { reads: vec![self.field.clone().into()], ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let is_listed = event.str(&self.field).is_some_and(|name| {
            self.names.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
                || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
        });
        if is_listed == self.wanted { Verdict::Keep } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{refuse, run};
    use expect_test::expect;

    #[test]
    fn what_is_listed_goes_on_or_does_not() {
        for (value, is_listed) in [
            ("\"purchase\"", true),
            ("\"page_view\"", true),
            ("\"page_\"", true),
            ("\"日本語\"", true),
            ("\"page\"", false),
            ("\"Purchase\"", false),
            ("\"purchase \"", false),
            ("\"\"", false),
            ("null", false),
            ("7", false),
            (r#"["purchase"]"#, false),
        ] {
            let event = format!("{{\"t\":{value}}}");
            let list = r#"["purchase", "page_*", "日*"]"#;
            let allowed = run::<Types>(&format!("{{ field = \"t\", allow = {list} }}"), &event);
            let denied = run::<Types>(&format!("{{ field = \"t\", deny = {list} }}"), &event);
            assert_eq!((allowed == event, denied == event), (is_listed, !is_listed), "{value}");
        }
        assert_eq!(run::<Types>(r#"{ field = "t", allow = ["*"] }"#, "{}"), "dropped");
        assert_eq!(run::<Types>(r#"{ field = "t", deny = ["*"] }"#, "{}"), "{}");
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Types>(
            r#"{ field = "t", allow = ["a"], deny = ["b"] }"#,
            &expect![
                "`allow` and `deny` are both given: one of them is meant = two steps, one of each, do both"
            ],
        );
        refuse::<Types>(r#"{ field = "t" }"#, &expect!["neither `allow` nor `deny` is given"]);
        refuse::<Types>(
            r#"{ field = "t", deny = [] }"#,
            &expect!["no type is named, so the step does nothing"],
        );
        refuse::<Types>(
            r#"{ field = "t", deny = ["*_view"] }"#,
            &expect!["`*_view` is no type: `*` stands at the end of a name, like `page_*`"],
        );
    }
}
