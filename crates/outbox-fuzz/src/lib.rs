//! Targets for fuzzing: each passes any bytes to a parser of untrusted input, and panics if a promise of the parser is
//! broken.
//!
//! | target | parser | promise |
//! | --- | --- | --- |
//! | `answers` | the answers of Kafka brokers | an answer or an error, within the memory that the bytes account for |
//! | `batches` | record batches | offsets ascend, and no record is larger than its batch says |
//! | `connector` | the JSON of a connector's configuration | it is read as it was written, and shows no password |
//! | `decode` | untrusted records | an event, another record, or an error that names the field |
//! | `expansion` | JSON that the EventRouter expands | what is written is JSON |
//! | `pgoutput` | messages of pgoutput | what is decoded is encoded as the same message |
//!
//! `fuzz/` runs them on libFuzzer, which is guided by coverage. `tests/smoke.rs` runs them in every test run, on the
//! inputs of `fuzz/corpus` and [mutations](Mutator) of them.
//!
//! Run one target on one input:
//!
//! ```
//! outbox_fuzz::run("pgoutput", b"R\0\0\x40\0public\0");
//! ```
//!
//! Make inputs without libFuzzer. The same seed makes the same inputs:
//!
//! ```
//! use outbox_fuzz::{Mutator, TARGETS};
//!
//! let corpus = [br#"{"plugin.name": "pgoutput"}"#.to_vec()];
//! for target in TARGETS {
//!     let mut mutator = Mutator::new(&corpus, target.words, 7);
//!     for _ in 0..10 {
//!         (target.run)(&mutator.next_input());
//!     }
//! }
//! ```
//!
//! To add a target, write a module with a function `run` that takes bytes, and add it to [`TARGETS`]. Add a program to
//! `fuzz/fuzz_targets`, and at least one input to a directory of the same name in `fuzz/corpus`.
//!
//! Inputs of both ways have at most 4 KiB. That is enough for every form of the parsers, and keeps them fast.
//!
//! A target that finds a fault panics. The input belongs into the corpus, in the commit that fixes the fault.
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
