//! `enrich.session`: the id of the session that an event belongs to.
//!
//! ```toml
//! enrich.session = { user = "userId", time = "timestamp", gap = "30m", into = "sessionId" }
//! ```
//! Events of one user belong to one session as long as no gap between them is longer than `gap`. The id, 32 hex digits,
//! is made of the user and of the time of the session's first event, with the secret's key.
//!
//! | option | meaning |
//! | --- | --- |
//! | `user`, `time` | the fields of who it was and when |
//! | `gap` | the longest gap within a session: `90s`, `30m`, `1h`; 30 minutes if not said |
//! | `into` | the field of the id |
//!
//! **It sees one batch at a time.** What comes again after a failure must get the same ids, perhaps in another copy of the
//! function, so nothing is remembered from batch to batch: a session that runs over several batches has an id in each of
//! them, and where only the rest of a batch comes again, sessions begin with that rest. `millrace run` does the same, with
//! pieces of the file as batches. So it suits sources whose batches hold whole sessions, uploads of a device for instance.
//! Anywhere else take the sessions that your producers know of, or make them where all events are, in the lake:
//!
//! ```sql
//! SELECT *, sum(CASE WHEN before IS NULL OR event_time > before + INTERVAL '30' MINUTE THEN 1 ELSE 0 END)
//!            OVER (PARTITION BY user_id ORDER BY event_time) AS session
//! FROM (SELECT *, lag(event_time) OVER (PARTITION BY user_id ORDER BY event_time) AS before FROM events)
//! ```
//! An event that is older than the session at hand by more than the gap gets the id of a session of its own. Beyond 100 000
//! users in a batch each event of another user does.
//!
//! Where the user is missing, null, empty, or neither string nor number, or the time is none, nothing is set. What a
//! producer had put under `into` goes in any case. The step rejects nothing.

use super::settings::{Scope, Span};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Path, Value};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::seen;
use crate::time::Micros;
use serde::Deserialize;
use std::collections::HashMap;

/// How many users' sessions are known at a time: some 8 MB.
const USERS_MAX: usize = 100_000;

/// How many hex digits of the token make the id.
const ID_DIGITS: usize = 32;

pub(crate) struct Session {
    user: Path,
    time: Path,
    gap: i64,
    into: Path,
    sessions: HashMap<u128, Times>,
    name: String,
    id: String,
}

/// The session that a user is in.
#[derive(Clone, Copy)]
struct Times {
    /// The event that gave it its id.
    named: i64,
    first: i64,
    last: i64,
}

/// `enrich.session`.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The field of who it was.
    user: Path,
    /// The field of when it was.
    time: Path,
    /// The longest gap within a session.
    #[serde(default = "half_an_hour")]
    gap: Span,
    /// The field of the id.
    into: Path,
}

fn half_an_hour() -> Span {
    Span { micros: 30 * 60 * 1_000_000 }
}

impl Step for Session {
    const NAME: &'static str = "enrich.session";
    type Settings = Settings;

    fn compile(Settings { user, time, gap, into }: Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        Scope::default().apart(&user, &into)?;
        Scope::default().apart(&time, &into)?;
        let (sessions, name, id) = (HashMap::new(), String::new(), String::new());
        Ok(Self { user, time, gap: gap.micros, into, sessions, name, id })
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: vec![self.user.clone().into(), self.time.clone().into()],
            writes: vec![self.into.clone().into()],
            ..Touches::default()
        }
    }

    fn begin_batch(&mut self) {
        self.sessions.clear();
    }

    fn apply(&mut self, event: &mut Event, cx: &Context<'_>) -> Verdict {
        let user = match event.get(&self.user) {
            Some(Value::String(user)) if !user.is_empty() => Some(user),
            Some(Value::Number(user)) => Some(user.text()),
            _ => None,
        };
        let (Some(user), Some(at)) = (user, event.get(&self.time).and_then(Micros::read)) else {
            event.remove_at(&self.into);
            return Verdict::Keep;
        };
        self.name.clear();
        self.name.push_str("session\0");
        self.name.push_str(user);
        let named = self.named(at.get());
        self.name.push('\0');
        self.name.push_str(itoa::Buffer::new().format(named));
        self.id.clear();
        cx.key.bare_token(self.name.as_bytes(), &mut self.id);
        self.id.truncate(ID_DIGITS);
        event.put_str(&self.into, &self.id);
        Verdict::Keep
    }
}

impl Session {
    /// The time that names the session of the user whose event has this time.
    fn named(&mut self, at: i64) -> i64 {
        let user = seen::hash(&self.name);
        let is_full = self.sessions.len() >= USERS_MAX;
        let new = Times { named: at, first: at, last: at };
        match self.sessions.get_mut(&user) {
            Some(known) if at > known.last.saturating_add(self.gap) => *known = new,
            Some(known) if at >= known.first.saturating_sub(self.gap) => {
                known.first = known.first.min(at);
                known.last = known.last.max(at);
                return known.named;
            }
            None if !is_full => _ = self.sessions.insert(user, new),
            _ => {}
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{play, refuse, step};
    use expect_test::expect;

    const SETTINGS: &str = r#"{ user = "u", time = "at", into = "s" }"#;

    fn id(step: &mut Session, user: &str, at: i64) -> String {
        let after = play(step, &format!(r#"{{"u":{user},"at":{at}}}"#));
        let after: serde_json::Value = serde_json::from_str(&after).unwrap();
        after["s"].as_str().unwrap_or("none").to_owned()
    }

    fn session() -> Session {
        step(SETTINGS, &crate::files::NONE)
    }

    #[test]
    fn a_gap_parts_sessions() {
        let mut step = session();
        let start = 1_573_841_100;
        let first = id(&mut step, "\"ann\"", start);
        assert_eq!(first.len(), 32);
        assert_eq!(id(&mut step, "\"ann\"", start + 1800), first);
        assert_eq!(id(&mut step, "\"ann\"", start + 3600), first, "the gap counts from the last event");
        assert_eq!(id(&mut step, "\"ann\"", start - 60), first, "late, but within the gap");
        let second = id(&mut step, "\"ann\"", start + 3600 + 1801);
        assert_ne!(second, first);
        assert_ne!(id(&mut step, "\"bob\"", start), first);
        let old = id(&mut step, "\"ann\"", start);
        assert_eq!(old, first, "its own time names it");
        assert_eq!(id(&mut step, "\"ann\"", start + 3600 + 1802), second);
    }

    #[test]
    fn a_batch_that_comes_again_gets_the_same_ids() {
        let mut step = session();
        let batch = |step: &mut Session| {
            Step::begin_batch(step);
            (0..50)
                .map(|n| id(step, if n % 3 == 0 { "1" } else { "\"2\"" }, 1_573_841_100 + n * n * 20))
                .collect::<Vec<_>>()
        };
        let first = batch(&mut step);
        id(&mut step, "1", 1_573_841_000);
        assert_eq!(batch(&mut step), first);
        assert_eq!(batch(&mut session()), first, "in another copy too");
    }

    #[test]
    fn who_or_when_may_be_missing_and_a_claim_goes() {
        for event in [
            r#"{"s":"x"}"#,
            r#"{"s":"x","u":"ann"}"#,
            r#"{"s":"x","at":1573841100}"#,
            r#"{"s":"x","u":"","at":1573841100}"#,
            r#"{"s":"x","u":null,"at":1573841100}"#,
            r#"{"s":"x","u":["ann"],"at":1573841100}"#,
            r#"{"s":"x","u":"ann","at":"soon"}"#,
        ] {
            assert!(!play(&mut session(), event).contains("\"s\""), "{event}");
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut step = session();
        for user in 0..USERS_MAX + 10 {
            step.name = user.to_string();
            step.named(1);
        }
        assert_eq!(step.sessions.len(), USERS_MAX);
        assert_ne!(id(&mut step, "\"new\"", 1_573_841_100), "none");
    }

    #[test]
    fn mistakes_are_told() {
        refuse::<Session>(
            r#"{ user = "u", time = "at", into = "s", gap = "30" }"#,
            &expect!["`30` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`"],
        );
        refuse::<Session>(
            r#"{ user = "u", time = "at", into = "s", gap = "-5m" }"#,
            &expect!["`-5m` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`"],
        );
        refuse::<Session>(
            r#"{ user = "u", time = "at", into = "s", gap = "+5m" }"#,
            &expect!["`+5m` is no stretch of time: it is a number and one of s, m, h, d, w, like `30d`"],
        );
        refuse::<Session>(
            r#"{ user = "u", time = "at", into = "u" }"#,
            &expect!["`into` is `u`: to write it would replace `u`, which is read"],
        );
    }
}
