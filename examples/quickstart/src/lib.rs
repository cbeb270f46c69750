//! The programs of the repository's README.md, as they are printed there; tests run them.
#![allow(missing_docs)]

/// Compiles README.md's examples.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub mod consume;
pub mod produce;
