//! The programs of the repository's README.md, as they are printed there; tests run them.
#![allow(missing_docs)]

pub mod consume;
pub mod produce;
