//! Targets for fuzzing: each takes any bytes, gives them to a parser of what comes from outside, and panics if a promise
//! of the parser is broken.
//!
//! `fuzz/` runs them on libFuzzer, which is guided by coverage. `tests/smoke.rs` runs them in every test run, on the
//! inputs of `fuzz/corpus` and [mutations](Mutator) of them.
#![allow(clippy::panic, reason = "a panic is how a target reports a fault")]

mod answers;
mod batches;
mod connector;
mod decode;
mod expansion;
mod mutator;
mod pgoutput;
mod pipelines;

pub use self::mutator::Mutator;

/// A function to fuzz.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Target {
    /// The name, which is that of its corpus.
    pub name: &'static str,
    /// Panics if the bytes show a fault.
    pub run: fn(&[u8]),
    /// Parts of the inputs' grammar, which mutations insert.
    pub words: &'static [&'static [u8]],
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target { name: "answers", run: answers::run, words: &[] },
    Target { name: "batches", run: batches::run, words: &[] },
    Target { name: "connector", run: connector::run, words: connector::WORDS },
    Target { name: "decode", run: decode::run, words: decode::WORDS },
    Target { name: "expansion", run: expansion::run, words: expansion::WORDS },
    Target { name: "pgoutput", run: pgoutput::run, words: &[] },
];

/// Runs the target of a name. Programs of libFuzzer call it.
///
/// # Panics
/// The bytes show a fault, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    match target {
        Some(target) => (target.run)(bytes),
        None => panic!("no target {name}"),
    }
}
