use tokio::time::timeout;

use super::catch_up::{CatchUp, Reach};
use super::error::{Error, Kind, Operation};
use super::options::{ConnectOptions, ServerRole};
use super::session::{Purpose, Session};
use super::slot::{self, SlotState, Source};
use super::slot_counters::SlotCounters;
use super::stream::WalStream;
use crate::Lsn;

/// The beginning of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the end of the WAL; what the slot holds before it is for [`CatchUp`].
    ///
    /// A slot that standbys keep is streamed from its confirmed position: nothing else waits for them.
    Now,
    /// The same as `Now`, but not more than this number of bytes after the confirmed position. `restart_lsn` and
    /// `catalog_xmin` do not move while the stream waits behind its start; to take the slot again moves them.
    ///
    /// A backlog of some megabytes that ends within the step is read up to its end. The stream begins at the confirmed
    /// position and waits to be read, so that the server does not decode the backlog for the stream as well. Take the
    /// slot again after the catch-up.
    ///
    /// If `restart_lsn` is more than that behind, as with an old transaction that is open, the slot is streamed from
    /// its confirmed position: every chunk of a catch-up would decode all of that WAL again.
    Ahead(u64),
    /// The confirmed position of the slot: the stream sends everything.
    Confirmed,
}

/// The WAL that a server writes: the cluster's system identifier and the timeline (PostgreSQL, `IDENTIFY_SYSTEM`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemId {
    /// The number that `initdb` gave the cluster.
    pub system: u64,
    /// The timeline, which grows with each promotion of a standby.
    pub timeline: u32,
}

/// A slot that is held, with its positions.
#[derive(Debug)]
pub struct Opened {
    /// The WAL that is read.
    pub system: SystemId,
    /// The stream that holds the slot.
    pub stream: WalStream,
    /// The end of the catch-up. Commits from here on come by the stream, or after the slot is taken again.
    pub start: Lsn,
    /// Whether the slot holds WAL from `start` on, for which it must be taken again.
    pub has_more: bool,
    /// The slot's state after it was taken.
    pub slot: SlotState,
    /// The end of the WAL after the slot was taken: no other reader has read further through the slot.
    pub flushed: Lsn,
    /// The slot's statistics shortly before it was taken, if the server has any.
    pub counters: Option<SlotCounters>,
    /// The connection that has read the slot's state.
    session: Option<Session>,
}

/// The backlogs, in bytes, for which the stream waits at the confirmed position. For a smaller one it is not worth
/// taking the slot twice. A larger one is decoded by the stream, too, because only that moves `restart_lsn`.
const WAITING: (u64, u64) = (8 << 20, 512 << 20);

/// Takes the slot.
///
/// Taking it by a stream keeps every other reader out, and does not move its confirmed position.
pub async fn open(options: &ConnectOptions, source: &Source, at: StartAt) -> Result<Opened, Error> {
    open_with(options, source, at, None).await
}

/// Takes the slot as [`open`] does. If the role has no connection left for the state of the slot, `spare` reads it.
pub(super) async fn open_with(
    options: &ConnectOptions,
    source: &Source,
    at: StartAt,
    spare: Option<&mut Session>,
) -> Result<Opened, Error> {
    let name = source.slot();
    // The stream comes first: if only one more connection is free, it is for the stream.
    let mut session = Session::open(options, Purpose::Replication).await?;
    let (identified, other) = tokio::join!(identify(&mut session, source), Session::open(options, Purpose::Sql));
    let Identified { system, flushed, slot: before, counters } = identified?;
    let backlog = flushed.as_u64().saturating_sub(before.confirmed_flush_lsn.as_u64());
    let (requested, until) = match at {
        StartAt::Confirmed => (Lsn::default(), Lsn::default()),
        _ if before.is_failover => (Lsn::default(), Lsn::default()),
        StartAt::Now => (flushed, flushed),
        StartAt::Ahead(step) if before.distance() > step => (Lsn::default(), Lsn::default()),
        StartAt::Ahead(step) if (WAITING.0..=WAITING.1.min(step)).contains(&backlog) => (Lsn::default(), flushed),
        StartAt::Ahead(step) => {
            let end = Lsn::new(before.confirmed_flush_lsn.as_u64().saturating_add(step)).min(flushed);
            (end, end)
        }
    };

    let stream = match WalStream::start(session, options, source, requested).await {
        Err(error) if matches!(error.kind(), Kind::SlotUnreadable { .. }) => {
            return Err(unreadable(error, options, name).await?);
        }
        started => started?,
    };

    // Before this, another reader may have moved the slot.
    let has_more = requested < flushed;
    let (slot, flushed, session) = match (other, spare) {
        (Err(error), Some(spare)) if matches!(error.kind(), Kind::NoConnection) => {
            (SlotState::read(spare, name).await?, slot::flushed(spare).await?, None)
        }
        (other, _) => {
            let mut session = other?;
            (SlotState::read(&mut session, name).await?, slot::flushed(&mut session).await?, Some(session))
        }
    };
    let start = until.max(slot.confirmed_flush_lsn);
    let stream = stream.floor(slot.confirmed_flush_lsn);
    Ok(Opened { system, stream, start, has_more, slot, flushed, counters, session })
}

/// The WAL of a server and its end, and a slot as it was before it was taken.
struct Identified {
    system: SystemId,
    flushed: Lsn,
    slot: SlotState,
    counters: Option<SlotCounters>,
}

/// Reads the server and the slot. Fails if the slot cannot be taken.
async fn identify(session: &mut Session, source: &Source) -> Result<Identified, Error> {
    let identified = session.query("IDENTIFY_SYSTEM", Operation::Identify).await?;
    let Some([Some(system), Some(timeline), Some(flushed), ..]) = identified.first().map(Vec::as_slice) else {
        return Err(Error::protocol("the answer to IDENTIFY_SYSTEM"));
    };
    let system = SystemId {
        system: system.parse().map_err(|_| Error::protocol("the system's identifier"))?,
        timeline: timeline.parse().map_err(|_| Error::protocol("the timeline"))?,
    };

    let name = source.slot();
    let slot = match SlotState::read(session, name).await {
        // A standby may get the slot, or become the primary without it, which the next attempt shows. A slot that is
        // being synchronised looks incomplete.
        Err(error)
            if (error.is_slot_missing() || matches!(error.kind(), Kind::SlotUnfinished { .. }))
                && slot::is_in_recovery(session).await? =>
        {
            return Err(error.with_kind(Kind::Standby { slot: name.into() }));
        }
        slot => slot?,
    };

    slot::require_free(session, name).await?;
    slot::require_publication(session, source.publication()).await?;
    let counters = SlotCounters::read(session, name).await?;
    Ok(Identified { system, flushed: flushed.parse()?, slot, counters })
}

/// Returns the reason why the server does not let the slot be read: its state, if that says so.
async fn unreadable(error: Error, options: &ConnectOptions, slot: &str) -> Result<Error, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    if slot::is_in_recovery(&mut session).await? {
        return Ok(error.with_kind(Kind::Standby { slot: slot.into() }));
    }
    SlotState::read(&mut session, slot).await.map(|_| error)
}

impl Opened {
    /// Creates the catch-up of the backlog before the stream's start; `None` if there is no backlog.
    pub async fn catch_up(&mut self, options: &ConnectOptions, source: &Source) -> Result<Option<CatchUp>, Error> {
        if self.slot.confirmed_flush_lsn >= self.start {
            return Ok(None);
        }
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::open(options, Purpose::Sql).await.map_err(|error| match error.kind() {
                Kind::NoConnection => error.with_kind(Kind::NoCopy { slot: source.slot().into() }),
                _ => error,
            })?,
        };
        CatchUp::open(session, options, source, self.start, Reach::ToLargeTransaction).await.map(Some)
    }

    /// Drops the connection for the slot's state, because the catch-up opens connections with its own options.
    #[cfg(test)]
    pub(super) fn without_connection(self) -> Self {
        Self { session: None, ..self }
    }

    #[cfg(test)]
    pub(super) async fn catch_up_to_end(&self, options: &ConnectOptions, source: &Source) -> Option<CatchUp> {
        if self.slot.confirmed_flush_lsn >= self.start {
            return None;
        }
        let session = Session::open(options, Purpose::Sql).await.unwrap();
        Some(CatchUp::open(session, options, source, self.start, Reach::ToEnd).await.unwrap())
    }
}

impl ConnectOptions {
    /// Returns these options with one of their servers: the first one that accepts the login and has the demanded role.
    /// Each address of a name counts as a server.
    ///
    /// It connects only if there are several. Each has an equal share of the time for connecting. Use the result for
    /// all connections that concern the same slot, because two servers may be primaries during a failover.
    ///
    /// # Errors
    /// No server fits. The error names each with the reason. It is transient if a failure of one is.
    pub async fn choose_server(&self) -> Result<Self, Error> {
        let (mut servers, mut failures) = (Vec::new(), Vec::new());
        for server in &self.servers {
            match timeout(self.timeouts.connect, server.addresses()).await {
                Ok(Ok(addresses)) => servers.extend(addresses),
                Ok(Err(error)) => failures.push((server.to_string(), Error::lost(error))),
                Err(_) => failures.push((server.to_string(), Error::silent(self.timeouts.connect))),
            }
        }
        // If the only name cannot be resolved, connecting reports it.
        if self.servers.len() == 1 && servers.len() < 2 {
            return Ok(self.clone());
        }

        let share = self.timeouts.connect / u32::try_from(servers.len()).unwrap_or(u32::MAX).max(1);
        for server in servers {
            let mut options = Self { servers: vec![server.clone()], ..self.clone() };
            options.timeouts.connect = share;
            match options.check_role().await {
                Ok(()) => return Ok(Self { timeouts: self.timeouts, ..options }),
                Err(error) => failures.push((server.to_string(), error)),
            }
        }

        let is_transient = failures.iter().any(|(_, error)| error.is_transient());
        let shown: Vec<String> = failures
            .iter()
            .map(|(server, error)| format!("{server}: {}", outbox_net::ErrorChain::new(error)))
            .collect();
        Err(Error::new(Kind::NoServer { failures: shown.join("; ").into(), is_transient }))
    }

    async fn check_role(&self) -> Result<(), Error> {
        let mut session = Session::open(self, Purpose::Sql).await?;
        if self.role == ServerRole::Any {
            return Ok(());
        }
        match slot::is_in_recovery(&mut session).await? {
            true => Err(Error::new(Kind::NotPrimary)),
            false => Ok(()),
        }
    }
}
