//! Settings: the environment, and the pipeline that was built in.

use std::fmt;

/// The `pipeline.toml` that this build carries; the build checked it.
pub const PIPELINE: &str = include_str!(env!("PIPELINE_FILE"));

/// The files that its steps name.
pub static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Reads environment variables and remembers which are missing, so that one failed start names them all.
#[derive(Debug)]
pub struct Env<F> {
    get: F,
    missing: Vec<&'static str>,
}

impl Env<fn(&str) -> Option<String>> {
    /// The process's environment.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }
}

impl<F: Fn(&str) -> Option<String>> Env<F> {
    /// An environment of any kind.
    pub fn new(get: F) -> Self {
        Self { get, missing: Vec::new() }
    }

    /// The variable's text; empty, and remembered as missing, where it is not set or empty.
    pub fn text(&mut self, name: &'static str) -> String {
        let text = self.optional(name);
        if text.is_none() {
            self.missing.push(name);
        }
        text.unwrap_or_default()
    }

    /// The variable's whole number, of days, hours, seconds or bytes; 0, and remembered as missing, where it is none or less.
    pub fn number(&mut self, name: &'static str) -> i64 {
        let number = self.text(name).parse().ok().filter(|number| *number >= 0);
        if number.is_none() && !self.missing.contains(&name) {
            self.missing.push(name);
        }
        number.unwrap_or_default()
    }

    /// The variable's text; none where it is not set or empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.get)(name).filter(|text| !text.is_empty())
    }

    /// An error that names what was missing, if anything was.
    pub fn check(self) -> Result<(), Missing> {
        if self.missing.is_empty() { Ok(()) } else { Err(Missing(self.missing)) }
    }
}

/// Environment variables that must be set and are not.
#[derive(PartialEq, Eq, thiserror::Error)]
#[error("environment variables that must be set are not, or hold no number where one is wanted: {}; Lambda sets AWS_*, template.yaml the others", self.names())]
pub struct Missing(Vec<&'static str>);

impl Missing {
    /// What they are called.
    #[must_use]
    pub fn names(&self) -> String {
        self.0.join(", ")
    }
}

/// What `main` returns shows through Debug, and is meant for people.
impl fmt::Debug for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let mut env = Env::new(|name| match name {
            "A" => Some("7".to_owned()),
            "E" => Some("-7".to_owned()),
            _ => None,
        });
        assert_eq!((env.text("A"), env.text("B"), env.text("C")), ("7".into(), String::new(), String::new()));
        assert_eq!((env.number("A"), env.number("D"), env.number("E")), (7, 0, 0));
        let why = format!("{:?}", env.check().unwrap_err());
        assert!(why.contains("B, C, D, E;") && !why.contains("A,"), "{why}");
    }
}
