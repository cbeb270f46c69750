use std::collections::{HashMap, HashSet};

use super::{Capabilities, Compression, ErrorCode};

/// The compression for each topic: the preferred one, or the strongest that the brokers accept.
///
/// The order is zstd, lz4 or snappy, then gzip, then none. It holds no connection: the caller reports the brokers'
/// answers. A batch that was rejected for its compression can be encoded again under the same sequence numbers, because
/// a broker that rejects a batch appends nothing of it.
#[derive(Debug)]
pub struct CompressionChoice {
    preferred: Compression,
    /// The compression for topics without a rejection: one that was accepted after a rejection, if there was any.
    start: Compression,
    topics: HashMap<Box<str>, Fallback>,
    /// Partitions with a batch that was too large, and tries every compression again.
    too_large: HashSet<(Box<str>, i32)>,
}

#[derive(Clone, Copy, Debug)]
struct Fallback {
    current: Compression,
    reason: ErrorCode,
}

impl CompressionChoice {
    /// Creates a choice that starts with `preferred` for every topic.
    pub fn new(preferred: Compression) -> Self {
        Self { preferred, start: preferred, topics: HashMap::new(), too_large: HashSet::new() }
    }

    /// Leaves out a compression that brokers of these versions cannot carry.
    pub fn limit(&mut self, capabilities: &Capabilities) {
        while let Some(next) = next(self.preferred).filter(|_| !capabilities.accepts(self.preferred)) {
            self.preferred = next;
            self.start = weaker(self.start, next);
        }
    }

    /// Returns the compression for the next batch to a topic.
    pub fn of(&self, topic: &str) -> Compression {
        self.topics.get(topic).map_or(self.start, |fallback| fallback.current)
    }

    /// Records that a broker rejected a batch and appended nothing. Returns whether to send it again at once, encoded
    /// with [`of`](Self::of) its topic; otherwise the compression is not the reason.
    ///
    /// A batch that is too large without compression tries the stronger ones once more, so that an earlier rejection
    /// that had another reason costs no record.
    pub fn rejected(&mut self, topic: &str, partition: i32, sent: Compression, reason: ErrorCode) -> bool {
        if reason.may_reject_compression() {
            // Even an uncompressed batch is rejected, so the compression is not the reason. The reason may be
            // temporary.
            let Some(next) = next(sent) else {
                self.topics.remove(topic);
                return false;
            };
            let current = weaker(next, self.of(topic));
            self.topics.insert(topic.into(), Fallback { current, reason });
            return true;
        }

        let is_too_large = matches!(reason, ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE);
        if !is_too_large || rank(sent) >= rank(self.preferred) || !self.too_large.insert((topic.into(), partition)) {
            return false;
        }
        self.topics.insert(topic.into(), Fallback { current: self.preferred, reason });
        true
    }

    /// Records that a broker accepted a batch. Returns why the topic's compression is weaker than the preferred one, if
    /// this was not reported before. Other topics then start with the accepted compression.
    pub fn accepted(&mut self, topic: &str, partition: i32, sent: Compression) -> Option<ErrorCode> {
        if !self.too_large.is_empty() {
            self.too_large.remove(&(Box::from(topic), partition));
        }
        let fallback = self.topics.get(topic).filter(|fallback| fallback.current == sent)?;
        if rank(sent) >= rank(self.start) {
            return None;
        }
        self.start = sent;
        Some(fallback.reason)
    }
}

/// Returns the strength of a compression. A compression is never replaced by another one of the same rank, but by gzip.
const fn rank(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Snappy | Compression::Lz4 | Compression::Zstd => 2,
    }
}

const fn next(compression: Compression) -> Option<Compression> {
    match compression {
        Compression::Zstd | Compression::Lz4 | Compression::Snappy => Some(Compression::Gzip),
        Compression::Gzip => Some(Compression::None),
        Compression::None => None,
    }
}

fn weaker(one: Compression, other: Compression) -> Compression {
    if rank(other) < rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REJECTED: ErrorCode = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;

    /// Sends one batch until it is accepted or has another fault; returns what it was sent with.
    fn send(
        choice: &mut CompressionChoice,
        topic: &str,
        answer: impl Fn(Compression) -> ErrorCode,
    ) -> Vec<Compression> {
        let mut sent = Vec::new();
        loop {
            let compression = choice.of(topic);
            sent.push(compression);
            match answer(compression) {
                ErrorCode(0) => {
                    choice.accepted(topic, 0, compression);
                    return sent;
                }
                code if choice.rejected(topic, 0, compression, code) => {}
                _ => return sent,
            }
        }
    }

    fn only(accepted: Compression) -> impl Fn(Compression) -> ErrorCode {
        move |sent| if sent == accepted { ErrorCode(0) } else { REJECTED }
    }

    #[test]
    fn each_compression_falls_back_to_gzip_and_then_to_none() {
        for preferred in [Compression::Zstd, Compression::Lz4, Compression::Snappy] {
            let mut choice = CompressionChoice::new(preferred);
            let sent = send(&mut choice, "a", only(Compression::None));
            assert_eq!(sent, [preferred, Compression::Gzip, Compression::None]);
            // Other topics start with the accepted compression.
            assert_eq!(choice.of("b"), Compression::None);
            assert_eq!(send(&mut choice, "b", only(Compression::None)), [Compression::None]);
        }
    }

    #[test]
    fn a_fallback_is_news_once() {
        let mut choice = CompressionChoice::new(Compression::Lz4);
        assert_eq!(choice.accepted("a", 0, Compression::Lz4), None);
        assert!(choice.rejected("a", 0, Compression::Lz4, ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT));
        let reason = Some(ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT);
        assert_eq!(choice.accepted("a", 0, Compression::Gzip), reason);
        assert_eq!(choice.accepted("a", 0, Compression::Gzip), None);
    }

    #[test]
    fn an_error_of_another_kind_does_not_cost_the_compression() {
        let mut choice = CompressionChoice::new(Compression::Zstd);
        let sent = send(&mut choice, "a", |_| ErrorCode::INVALID_REQUEST);
        assert_eq!(sent, [Compression::Zstd, Compression::Gzip, Compression::None]);
        assert_eq!((choice.of("a"), choice.of("b")), (Compression::Zstd, Compression::Zstd));
        assert!(!choice.rejected("a", 0, Compression::Zstd, ErrorCode::POLICY_VIOLATION));
        assert_eq!(choice.of("a"), Compression::Zstd);
    }

    #[test]
    fn answers_to_earlier_batches_never_raise_the_compression() {
        let mut choice = CompressionChoice::new(Compression::Zstd);
        assert!(choice.rejected("a", 0, Compression::Zstd, REJECTED));
        assert!(choice.rejected("a", 0, Compression::Gzip, REJECTED));
        assert!(choice.rejected("a", 1, Compression::Zstd, REJECTED));
        assert_eq!(choice.of("a"), Compression::None);
    }

    #[test]
    fn a_batch_that_is_too_large_without_compression_tries_each_once_more() {
        let mut choice = CompressionChoice::new(Compression::Zstd);
        send(&mut choice, "a", only(Compression::None));
        let large = |sent| if sent == Compression::None { ErrorCode::MESSAGE_TOO_LARGE } else { REJECTED };
        let round = [Compression::None, Compression::Zstd, Compression::Gzip, Compression::None];
        assert_eq!(send(&mut choice, "a", large), round);
        // The stronger compressions are not tried again for its half.
        assert_eq!(send(&mut choice, "a", large), [Compression::None]);

        // Batches of another partition do not make it start again.
        assert_eq!(choice.accepted("a", 1, Compression::None), None);
        assert_eq!(send(&mut choice, "a", large), [Compression::None]);

        // The next batch after a success does; by then the brokers accept more.
        send(&mut choice, "a", only(Compression::None));
        assert_eq!(
            send(&mut choice, "a", |sent| match sent {
                Compression::Zstd => ErrorCode(0),
                _ => ErrorCode::MESSAGE_TOO_LARGE,
            }),
            [Compression::None, Compression::Zstd]
        );
    }

    #[test]
    fn versions_without_zstd_begin_with_gzip() {
        let mut choice = CompressionChoice::new(Compression::Zstd);
        choice.limit(&Capabilities::default());
        assert_eq!(choice.of("a"), Compression::Gzip);
        let mut choice = CompressionChoice::new(Compression::Lz4);
        choice.limit(&Capabilities::default());
        assert_eq!(choice.of("a"), Compression::Lz4);
    }
}
