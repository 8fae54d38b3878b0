//! The files that steps use, beside `pipeline.toml`: databases, tables, schemas.

use crate::mistake::Mistake;
use std::borrow::Cow;

/// Reads a file that a step names.
pub trait Files {
    /// The bytes of the file of this name, or why there are none, in words for the person who wrote the name.
    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String>;
}

/// Reads a file for a step, which calls it what it is: `the table`.
pub(crate) fn read(files: &dyn Files, what: &str, name: &str) -> Result<Cow<'static, [u8]>, Mistake> {
    files.read(name).map_err(|why| {
        Mistake::new(format!("{what} `{name}` cannot be read: {why}"))
            .with_help("it is a file beside the pipeline")
    })
}

/// Files that were built in, by name.
impl Files for &[(&'static str, &'static [u8])] {
    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String> {
        let file = self.iter().find(|(known, _)| *known == name);
        file.map(|(_, bytes)| Cow::Borrowed(*bytes)).ok_or_else(|| "there is no such file".to_owned())
    }
}

/// No files at all.
pub const NONE: &[(&str, &[u8])] = &[];
