/// A rule that the driver breaks, to see that the simulation finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// Every row that is not after the last position in the log counts as met.
    SkipUpToLastPosition,
    ConfirmCommitInsteadOfEnd,
    ConfirmOnReceipt,
    /// After OUT_OF_ORDER_SEQUENCE_NUMBER the batch counts as written.
    NoReadAfterRefusal,
    /// Under an inherited producer id, error 0 counts as written.
    NoReadAfterResume,
    NewProducerAfterTakeOver,
    /// A producer id is inherited without checking the slot.
    NoProofOfHold,
    /// The broker reports at first that it had a batch, and later no more.
    HideRepetitions,
    /// The scan's limit counts the slot's own records as well.
    LimitForOwn,
    /// After a failover the records of the time before it prove nothing.
    ForgetOtherTimeline,
    /// A scan ends with the first step that has a record of the slot.
    EndAtFirstOwn,
    /// A process ends at a poison row before it has written the rows before it.
    StopAtOnce,
    /// A batch without an answer is sent again under a new producer id.
    NewProducerWhenUnknown,
}
