//! Numbers as they are written.

/// A number of JSON: its digits, read when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a> {
    text: &'a str,
    is_integer: bool,
}

impl<'a> Number<'a> {
    pub(super) fn new(text: &'a str, is_integer: bool) -> Self {
        Self { text, is_integer }
    }

    /// The digits as they came.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// Whether it is written without point and exponent, however large.
    #[must_use]
    pub fn is_integer(self) -> bool {
        self.is_integer
    }

    /// The integer, where it is written as one and i64 reaches it.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if self.is_integer { self.text.parse().ok() } else { None }
    }

    /// The integer, where it is written as one and u64 reaches it.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        if self.is_integer { self.text.parse().ok() } else { None }
    }

    /// The nearest float. A number that no float reaches is not taken as JSON, so this one is finite.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }
}
