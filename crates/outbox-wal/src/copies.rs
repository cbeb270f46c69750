use tracing::{Span, debug};

use super::catch_up::Reach;
use super::chunk::{self, Report};
use super::decoding::{Decoding, SlotCopy};
use super::error::{Error, Kind};
use super::options::ConnectOptions;
use super::pipe::PipeSender;
use super::slot::{SlotState, Source};
use crate::Lsn;
use outbox_net::ErrorChain;

/// The task that lets the server decode, chunk by chunk. A function gives nothing before it has decoded a whole chunk,
/// and its connection decodes nothing while that is taken: so two copies of the slot take turns, and one decodes
/// while what the other has decoded is taken.
pub(super) struct Copies {
    pub(super) options: ConnectOptions,
    pub(super) source: Source,
    pub(super) until: Lsn,
    pub(super) reach: Reach,
    pub(super) pipe: PipeSender,
}

/// The copy that is not read from.
enum Other {
    NotYet,
    Idle(SlotCopy),
    /// The server has no slot or no connection left.
    Unavailable,
}

/// The step after a chunk.
enum Next {
    Unknown,
    Decoding(Box<Decoding>),
    End(SlotState),
}

impl Copies {
    pub(super) async fn read(self, mut copy: SlotCopy) -> Result<(), Error> {
        let (mut last, mut messages, mut other) = (None, 0, Other::NotYet);
        let slot = copy.state().await?;
        let mut next = self.begin(copy, slot, last).await?;
        while let Next::Decoding(mut current) = next {
            if !current.decoded(&self.pipe, &self.source).await? {
                return Ok(());
            }
            let name = current.copy.name.clone();
            let handed_over = current.hand_over(&self.pipe, &self.source);
            // The first chunk reports a large transaction, for which a second one would be decoded without success.
            let (read, following) = match last {
                None => (handed_over.await?, Next::Unknown),
                Some(_) => {
                    let (read, following) = tokio::join!(handed_over, self.on_the_other(&mut other, &name, last));
                    (read?, following)
                }
            };
            let Some(read) = read else { return Ok(()) };
            messages += read.messages;
            let Decoding { mut copy, slot: before, .. } = *current;
            let after = match &following {
                Next::Unknown => copy.state().await?,
                Next::Decoding(following) => following.slot,
                Next::End(slot) => *slot,
            };
            if after.confirmed <= before.confirmed {
                return Err(Error::protocol("a copy of the slot that does not move"));
            }
            let is_cut_short = self.reach == Reach::ToLargeTransaction && after.confirmed < self.until;
            if is_cut_short && chunk::has_few_ends(before, after, read) {
                if let Next::Decoding(vain) = following {
                    copy.end(&vain.copy.pid).await?;
                }
                return Err(Error::new(Kind::FewEnds { until: after.confirmed }));
            }
            let wal = after.confirmed.as_u64().saturating_sub(before.confirmed.as_u64());
            last = Some(Report { wal, ..read });
            next = match following {
                Next::Unknown => self.begin(copy, after, last).await?,
                known => {
                    other = Other::Idle(copy);
                    known
                }
            };
        }
        Span::current().record("messages", messages);
        debug!(target: "outbox.relay", "caught up");
        Ok(())
    }

    async fn begin(&self, copy: SlotCopy, slot: SlotState, last: Option<Report>) -> Result<Next, Error> {
        if slot.confirmed >= self.until {
            return Ok(Next::End(slot));
        }
        copy.begin(slot, chunk::next(slot, self.until, last), &self.source)
            .await
            .map(|decoding| Next::Decoding(Box::new(decoding)))
    }

    /// Begins the chunk after the one that the copy `decoded` has, where there is another copy for it.
    async fn on_the_other(&self, other: &mut Other, decoded: &str, last: Option<Report>) -> Next {
        let copy = match std::mem::replace(other, Other::Unavailable) {
            Other::NotYet => SlotCopy::open(&self.options, decoded).await,
            Other::Idle(copy) => copy.renew(decoded).await,
            Other::Unavailable => return Next::Unknown,
        };
        let begun = async {
            let mut copy = copy?;
            let slot = copy.state().await?;
            self.begin(copy, slot, last).await
        };
        begun.await.unwrap_or_else(|e| {
            debug!(target: "outbox.relay", error = %ErrorChain::new(&e), "one copy of the slot has to do");
            Next::Unknown
        })
    }
}
