//! The same values as the `cel` crate.
