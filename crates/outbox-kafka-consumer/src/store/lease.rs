use std::collections::BTreeSet;

use deadpool_postgres::ClientWrapper;
use deadpool_postgres::tokio_postgres;
use outbox_core::uuid::Uuid;

use super::{Store, seconds};
use crate::Error;
use crate::protocol::{Member, Seat};

/// Topic and partition.
type Place = (String, i32);

/// Who is alive, and who has what.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) members: Vec<Member>,
    pub(crate) seats: Vec<Seat>,
}

/// A lease that was free.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Another owner let it run out instead of giving it back.
    pub(crate) was_abandoned: bool,
}

impl Store {
    /// Makes known that this consumer is alive, and renews its leases. Returns those that it still has.
    pub(crate) async fn renew(
        &self,
        client: &ClientWrapper,
        owner: Uuid,
        topics: &[String],
    ) -> Result<BTreeSet<Place>, Error> {
        let (link, ttl) = (self.on_client(client), seconds(self.lease));
        let renewed = async {
            link.query(&self.statements.be_member, &[&self.group, &owner, &topics, &ttl]).await?;
            link.query(&self.statements.renew, &[&self.group, &owner, &ttl]).await
        };
        let rows = renewed.await.map_err(|e| Error::store("renew the leases", e))?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, _>>().map_err(unread)
    }

    /// A lease for each partition, free at first.
    pub(crate) async fn add_seats(&self, client: &ClientWrapper, places: &BTreeSet<Place>) -> Result<(), Error> {
        let (topics, partitions): (Vec<&str>, Vec<i32>) = places.iter().map(|(t, p)| (t.as_str(), *p)).unzip();
        let added =
            self.on_client(client).query(&self.statements.add_seats, &[&self.group, &topics, &partitions]).await;
        added.map(drop).map_err(|e| Error::store("add leases", e))
    }

    pub(crate) async fn survey(&self, client: &ClientWrapper, topics: &[String]) -> Result<Survey, Error> {
        let link = self.on_client(client);
        let asked = async {
            let members = link.read(&self.statements.members, &[&self.group]).await?;
            Ok::<_, tokio_postgres::Error>((members, link.read(&self.statements.seats, &[&self.group, &topics]).await?))
        };
        let (members, seats) = asked.await.map_err(|e| Error::store("read the leases", e))?;
        let member = |row: &tokio_postgres::Row| {
            let topics: Vec<String> = row.try_get(1)?;
            Ok(Member { id: row.try_get(0)?, topics: topics.into_iter().collect() })
        };
        let seat = |row: &tokio_postgres::Row| {
            Ok(Seat { topic: row.try_get(0)?, partition: row.try_get(1)?, owner: row.try_get(2)? })
        };
        Ok(Survey {
            members: members.iter().map(member).collect::<Result<_, _>>().map_err(unread)?,
            seats: seats.iter().map(seat).collect::<Result<_, _>>().map_err(unread)?,
        })
    }

    /// Takes those of the leases that are free.
    pub(crate) async fn claim(
        &self,
        client: &ClientWrapper,
        owner: Uuid,
        places: &[Place],
    ) -> Result<Vec<Claimed>, Error> {
        let (topics, partitions): (Vec<&str>, Vec<i32>) = places.iter().map(|(t, p)| (t.as_str(), *p)).unzip();
        let ttl = seconds(self.lease);
        let claimed = self.on_client(client);
        let claimed = claimed.query(&self.statements.claim, &[&self.group, &owner, &ttl, &topics, &partitions]).await;
        let claim = |row: &tokio_postgres::Row| {
            Ok(Claimed { topic: row.try_get(0)?, partition: row.try_get(1)?, was_abandoned: row.try_get(2)? })
        };
        let rows = claimed.map_err(|e| Error::store("claim leases", e))?;
        rows.iter().map(claim).collect::<Result<_, _>>().map_err(unread)
    }

    pub(crate) async fn give_back(&self, client: &ClientWrapper, owner: Uuid, place: &Place) -> Result<(), Error> {
        let (topic, partition) = place;
        let given = self.on_client(client);
        let given = given.query(&self.statements.give_back, &[&self.group, topic, partition, &owner]).await;
        given.map(drop).map_err(|e| Error::store("give back a lease", e))
    }

    pub(crate) async fn leave(&self, client: &ClientWrapper, owner: Uuid) -> Result<(), Error> {
        let left = self.on_client(client).query(&self.statements.leave, &[&self.group, &owner]).await;
        left.map(drop).map_err(|e| Error::store("leave the group", e))
    }
}

pub(super) fn unread(error: tokio_postgres::Error) -> Error {
    Error::store("answer in the expected form: are the tables those of this version?", error)
}
