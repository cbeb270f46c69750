//! Mutations of inputs, for runs without libFuzzer.

/// Boundary values of lengths and numbers.
const EDGES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, b'{'];
/// The most mutations of one input.
const MAX_MUTATIONS: u64 = 8;
/// The longest input in bytes.
const MAX_LENGTH: usize = 4096;

/// Makes new inputs of a corpus; the same seed makes the same ones.
#[derive(Clone, Debug)]
pub struct Mutator<'a> {
    corpus: &'a [Vec<u8>],
    words: &'a [&'a [u8]],
    state: u64,
}

impl<'a> Mutator<'a> {
    /// Creates a mutator of inputs, which inserts words as well.
    #[must_use]
    pub fn new(corpus: &'a [Vec<u8>], words: &'a [&'a [u8]], seed: u64) -> Self {
        // The generator would stay at 0.
        Self { corpus, words, state: seed | 1 }
    }

    /// Returns the next input: one of the corpus after some mutations, or a part of one and a part of another.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick(self.corpus).cloned().unwrap_or_default();
        for _ in 0..=self.below(MAX_MUTATIONS) {
            self.mutate(&mut input);
        }
        input.truncate(MAX_LENGTH);
        input
    }

    /// Applies one random mutation to an input.
    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input.len());
        let end = at + self.place((input.len() - at).min(16));
        match self.below(9) {
            0 => self.set(input, at, |byte, bits| byte ^ (1 << (bits % 8))),
            1 => self.set(input, at, |_, bits| bits.to_le_bytes()[0]),
            2 => {
                let edge = self.pick(&EDGES).copied().unwrap_or_default();
                self.set(input, at, |_, _| edge);
            }
            3 => self.set(input, at, |byte, bits| byte.wrapping_add(bits.to_le_bytes()[0] % 8).wrapping_sub(4)),
            4 => drop(input.drain(at..end)),
            5 => {
                let copied = input.get(at..end).unwrap_or_default().to_vec();
                drop(input.splice(at..at, copied));
            }
            6 => {
                let word = self.pick(self.words).copied().unwrap_or(&[0]);
                drop(input.splice(at..at, word.iter().copied()));
            }
            7 => input.truncate(end),
            _ => {
                let other = self.pick(self.corpus).cloned().unwrap_or_default();
                let from = self.place(other.len());
                input.truncate(at);
                input.extend(other.get(from..).unwrap_or_default());
            }
        }
    }

    fn set(&mut self, input: &mut [u8], at: usize, change: impl FnOnce(u8, u64) -> u8) {
        let bits = self.next();
        if let Some(byte) = input.get_mut(at) {
            *byte = change(*byte, bits);
        }
    }

    fn pick<T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.place(from.len().saturating_sub(1));
        from.get(at)
    }

    /// Returns a place from 0 to `last`.
    fn place(&mut self, last: usize) -> usize {
        usize::try_from(self.below(last as u64 + 1)).unwrap_or_default()
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Returns the next number (xorshift64*, by Vigna).
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }
}
