//! The files that steps use, beside `pipeline.toml`: databases, tables, schemas.

use std::borrow::Cow;

/// Reads a file that a step names.
pub trait Files {
    /// The bytes of the file of this name, or why there are none, in words for the person who wrote the name.
    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String>;
}

/// Files that are known when the program is built, by name.
impl Files for [(&'static str, &'static [u8])] {
    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String> {
        let file = self.iter().find(|(known, _)| *known == name);
        file.map(|(_, bytes)| Cow::Borrowed(*bytes)).ok_or_else(|| "there is no such file".to_owned())
    }
}

impl<const N: usize> Files for [(&'static str, &'static [u8]); N] {
    fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, String> {
        self.as_slice().read(name)
    }
}

/// No files at all.
pub const NONE: [(&str, &[u8]); 0] = [];
