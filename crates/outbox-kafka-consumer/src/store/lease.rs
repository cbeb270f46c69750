use std::collections::{BTreeMap, BTreeSet};

use outbox_core::uuid::Uuid;

use super::{Connection, PgError, Row, Store, seconds};
use crate::Error;
use crate::protocol::{Member, PartitionLease};

/// Topic and partition.
type TopicPartition = (String, i32);

/// The members that are alive, and the partitions that each has leased.
#[derive(Debug)]
pub struct GroupView {
    pub members: Vec<Member>,
    /// The event types that the members, and those that ended recently, have handlers for.
    pub handles: BTreeSet<String>,
    pub seats: Vec<PartitionLease>,
}

/// A lease that was free.
#[derive(Debug, PartialEq, Eq)]
pub struct Claimed {
    pub topic: String,
    pub partition: i32,
    /// Another owner let it run out instead of giving it back.
    pub was_abandoned: bool,
}

impl Store {
    /// Records that this consumer is alive, and renews its leases. Returns the leases that it still has.
    pub async fn renew(
        &self,
        client: &mut Connection,
        owner: Uuid,
        topics: &[String],
        handles: &[String],
    ) -> Result<BTreeSet<TopicPartition>, Error> {
        let (mut executor, ttl) = (self.on_client(client), seconds(self.lease));
        let renewed = async {
            executor.query(&self.statements.lease.be_member, &[&self.group, &owner, &topics, &ttl, &handles]).await?;
            executor.query(&self.statements.lease.renew, &[&self.group, &owner, &ttl]).await
        };
        let rows = renewed.await.map_err(|e| Error::store("renew the leases", e))?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, _>>().map_err(unread)
    }

    /// Adds a lease for each partition, free at first.
    pub async fn add_seats(&self, client: &mut Connection, places: &BTreeSet<TopicPartition>) -> Result<(), Error> {
        let (topics, partitions): (Vec<&str>, Vec<i32>) = places.iter().map(|(t, p)| (t.as_str(), *p)).unzip();
        let added =
            self.on_client(client).query(&self.statements.lease.add_seats, &[&self.group, &topics, &partitions]).await;
        added.map(drop).map_err(|e| Error::store("add leases", e))
    }

    /// Reads the members of the group that are alive, and the leases of these topics.
    pub async fn survey(&self, client: &mut Connection, topics: &[String]) -> Result<GroupView, Error> {
        let mut executor = self.on_client(client);
        let asked = async {
            let members = executor.read(&self.statements.lease.members, &[&self.group]).await?;
            Ok::<_, PgError>((members, executor.read(&self.statements.lease.seats, &[&self.group, &topics]).await?))
        };
        let (members, seats) = asked.await.map_err(|e| Error::store("read the leases", e))?;
        let member = |row: &Row| {
            let (topics, is_alive): (Vec<String>, bool) = (row.try_get(1)?, row.try_get(3)?);
            let member = Member { id: row.try_get(0)?, topics: topics.into_iter().collect() };
            Ok(is_alive.then_some(member))
        };

        let handles = |row: &Row| row.try_get::<_, Vec<String>>(2);
        let seat = |row: &Row| {
            Ok(PartitionLease { topic: row.try_get(0)?, partition: row.try_get(1)?, owner: row.try_get(2)? })
        };

        Ok(GroupView {
            members: members
                .iter()
                .filter_map(|row| member(row).transpose())
                .collect::<Result<_, _>>()
                .map_err(unread)?,
            handles: members
                .iter()
                .map(handles)
                .collect::<Result<Vec<_>, _>>()
                .map_err(unread)?
                .concat()
                .into_iter()
                .collect(),
            seats: seats.iter().map(seat).collect::<Result<_, _>>().map_err(unread)?,
        })
    }

    /// Records how many partitions these topics have, unless the group has looked for them before.
    pub async fn subscribe(&self, client: &mut Connection, topics: &BTreeMap<String, i32>) -> Result<(), Error> {
        let (topics, partitions): (Vec<&str>, Vec<i32>) = topics.iter().map(|(t, n)| (t.as_str(), *n)).unzip();
        let sql = &self.statements.lease.subscribe;
        let subscribed = self.on_client(client).query(sql, &[&self.group, &topics, &partitions]).await;
        subscribed.map(drop).map_err(|e| Error::store("record the topics that the group reads", e))
    }

    /// Removes the rows of partitions that no longer exist. The topics are given with their numbers of partitions. Held
    /// events of such a partition become those of partition 0, whose owner retries them. The positions of a deleted
    /// topic stay, so that [`OnOffsetOutOfRange`](crate::OnOffsetOutOfRange) decides if it is created again.
    pub async fn forget_partitions(
        &self,
        client: &mut Connection,
        owner: Uuid,
        topics: &BTreeMap<String, i32>,
    ) -> Result<(), Error> {
        let (topics, partitions): (Vec<&str>, Vec<i32>) = topics.iter().map(|(t, n)| (t.as_str(), *n)).unzip();
        let sql = &self.statements.lease.forget_partitions;
        let forgotten = self.on_client(client).query(sql, &[&self.group, &topics, &partitions, &owner]).await;
        forgotten.map(drop).map_err(|e| Error::store("remove the leases of partitions that do not exist", e))
    }

    /// Returns whether a partition existed when the group first looked for its topic.
    pub async fn is_first_partition(&self, topic: &str, partition: i32) -> Result<bool, Error> {
        let mut client = self.connection().await?;
        let row = self
            .on_client(&mut client)
            .query_opt(&self.statements.lease.first_partitions, &[&self.group, &topic])
            .await;
        let row = row.map_err(|e| Error::store("read the topics that the group reads", e))?;
        let first: Option<i32> = row.map(|row| row.try_get(0)).transpose().map_err(unread)?;
        Ok(first.is_some_and(|first| partition < first))
    }

    /// Claims the leases that are free.
    pub async fn claim(
        &self,
        client: &mut Connection,
        owner: Uuid,
        places: &[TopicPartition],
    ) -> Result<Vec<Claimed>, Error> {
        let (topics, partitions): (Vec<&str>, Vec<i32>) = places.iter().map(|(t, p)| (t.as_str(), *p)).unzip();
        let ttl = seconds(self.lease);
        let mut executor = self.on_client(client);
        let claimed =
            executor.query(&self.statements.lease.claim, &[&self.group, &owner, &ttl, &topics, &partitions]).await;
        let claim = |row: &Row| {
            Ok(Claimed { topic: row.try_get(0)?, partition: row.try_get(1)?, was_abandoned: row.try_get(2)? })
        };
        let rows = claimed.map_err(|e| Error::store("claim leases", e))?;
        rows.iter().map(claim).collect::<Result<_, _>>().map_err(unread)
    }

    pub async fn give_back(&self, client: &mut Connection, owner: Uuid, place: &TopicPartition) -> Result<(), Error> {
        let (topic, partition) = place;
        let mut executor = self.on_client(client);
        let given = executor.query(&self.statements.lease.give_back, &[&self.group, topic, partition, &owner]).await;
        given.map(drop).map_err(|e| Error::store("give back a lease", e))
    }

    pub async fn leave(&self, client: &mut Connection, owner: Uuid) -> Result<(), Error> {
        let left = self.on_client(client).query(&self.statements.lease.leave, &[&self.group, &owner]).await;
        left.map(drop).map_err(|e| Error::store("leave the group", e))
    }
}

pub fn unread(error: PgError) -> Error {
    Error::store("answer in the expected form: are the tables those of this version?", error)
}
