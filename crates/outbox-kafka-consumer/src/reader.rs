/// Which client library reads the records of partitions.
///
/// | | `Rskafka` | `Native` |
/// |---|---|---|
/// | topics of transactional producers | pauses at a marker | reads committed records |
/// | a header with a null value | pauses | reads it |
/// | repeated header names | keeps the last one | keeps all |
/// | `message.timestamp.type=LogAppendTime` | the producer's time | the broker's time |
/// | connections | one for each partition | one for each broker |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reader {
    /// rskafka, and the native reader from the first record on that rskafka cannot read. The default.
    ///
    /// A partition whose first batch has the broker's timestamps (`LogAppendTime`) is read natively from the start.
    /// OnDuplicate header names are not detected: if events have some, choose [`Native`](Self::Native).
    #[default]
    Auto,
    /// rskafka only. A record that it cannot read pauses its partition.
    Rskafka,
    /// The workspace's own client, `outbox-kafka`.
    Native,
}
