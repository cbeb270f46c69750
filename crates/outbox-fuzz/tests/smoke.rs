//! Runs each target on its corpus and on mutations of it: thousands in every run, for a minute in a full one.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use outbox_fuzz::{Mutator, TARGETS, Target};

/// The inputs of a usual run, of each target.
const INPUTS: usize = 4_000;
/// The time of a full run, of each target.
const TIME: Duration = Duration::from_secs(10);

#[test]
fn no_input_shows_a_fault() {
    let is_full = xtask::is_full();
    for target in TARGETS {
        let corpus = corpus(target.name);
        corpus.iter().for_each(|input| check(target, input));

        let begin = Instant::now();
        // A full run explores, the usual one is the same every time.
        let seed = if is_full { u64::from(std::process::id()) << 32 } else { 7 };
        let mut mutator = Mutator::new(&corpus, target.words, seed);
        let mut count = 0;
        while if is_full { begin.elapsed() < TIME } else { count < INPUTS } {
            check(target, &mutator.next_input());
            count += 1;
        }
        eprintln!("{}: {} inputs of the corpus, {count} mutations, {:?}", target.name, corpus.len(), begin.elapsed());
    }
}

/// Panics with the input if a target does.
fn check(target: Target, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(outcome.is_ok(), "{} has a fault: add this input to fuzz/corpus: {}", target.name, input.escape_ascii());
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty(), "{} is empty", directory.display());
    corpus
}
