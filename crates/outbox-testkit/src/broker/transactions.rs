//! The coordinator of transactions (KIP-98), in its first version: clients add partitions before they write to them.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;

use super::log::Outcome;

/// The partitions that take part in a transaction.
pub(super) type Partitions = BTreeSet<(String, i32)>;

/// The transactions of the cluster by transactional id.
#[derive(Debug, Default)]
pub(super) struct Transactions(BTreeMap<String, Coordinated>);

#[derive(Debug)]
struct Coordinated {
    producer: (i64, i16),
    state: State,
}

#[derive(Debug)]
enum State {
    Empty,
    Ongoing(Partitions),
    Ended(Outcome),
}

impl Transactions {
    /// Begins an epoch of a transactional id, which fences the epoch before. `fresh` gives a new producer id.
    /// Returns the producer id with its epoch, and the partitions of the transaction that the epoch before left open.
    ///
    /// `claimed` is the id and the epoch that the client had, if it says so.
    pub(super) fn init(
        &mut self,
        transactional_id: &str,
        claimed: Option<(i64, i16)>,
        fresh: impl FnOnce() -> i64,
    ) -> Result<((i64, i16), Partitions), ResponseError> {
        if transactional_id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let Some(coordinated) = self.0.get_mut(transactional_id) else {
            let producer = (fresh(), 0);
            self.0.insert(transactional_id.to_owned(), Coordinated { producer, state: State::Empty });
            return Ok((producer, Partitions::new()));
        };
        if claimed.is_some_and(|claimed| claimed != coordinated.producer) {
            return Err(ResponseError::ProducerFenced);
        }

        let (id, epoch) = coordinated.producer;
        // The last epoch is never used: Kafka takes a new producer id before it.
        coordinated.producer = if epoch < i16::MAX - 1 { (id, epoch + 1) } else { (fresh(), 0) };
        let left_open = match std::mem::replace(&mut coordinated.state, State::Empty) {
            State::Ongoing(partitions) => partitions,
            State::Empty | State::Ended(_) => Partitions::new(),
        };
        Ok((coordinated.producer, left_open))
    }

    /// Adds partitions to the transaction of a producer, and begins it if it is the first.
    pub(super) fn add(
        &mut self,
        transactional_id: &str,
        producer: (i64, i16),
        partitions: Partitions,
    ) -> Result<(), ResponseError> {
        let coordinated = self.coordinated(transactional_id, producer)?;
        match &mut coordinated.state {
            State::Ongoing(ongoing) => ongoing.extend(partitions),
            state => *state = State::Ongoing(partitions),
        }
        Ok(())
    }

    /// Ends the transaction of a producer, and returns its partitions, which are to get a marker.
    pub(super) fn end(
        &mut self,
        transactional_id: &str,
        producer: (i64, i16),
        outcome: Outcome,
    ) -> Result<Partitions, ResponseError> {
        let coordinated = self.coordinated(transactional_id, producer)?;
        match std::mem::replace(&mut coordinated.state, State::Ended(outcome)) {
            State::Ongoing(partitions) => Ok(partitions),
            State::Ended(before) if before == outcome => Ok(Partitions::new()),
            other => {
                coordinated.state = other;
                Err(ResponseError::InvalidTxnState)
            }
        }
    }

    /// Checks that a producer may write to a partition now.
    pub(super) fn check(
        &self,
        transactional_id: &str,
        producer: (i64, i16),
        partition: (&str, i32),
    ) -> Result<(), ResponseError> {
        let coordinated = self.0.get(transactional_id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if coordinated.producer.0 != producer.0 {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if coordinated.producer.1 != producer.1 {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        match &coordinated.state {
            State::Ongoing(ongoing) if ongoing.contains(&(partition.0.to_owned(), partition.1)) => Ok(()),
            State::Ongoing(_) | State::Empty | State::Ended(_) => Err(ResponseError::InvalidTxnState),
        }
    }

    fn coordinated(&mut self, transactional_id: &str, producer: (i64, i16)) -> Result<&mut Coordinated, ResponseError> {
        let coordinated = self.0.get_mut(transactional_id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if coordinated.producer.0 != producer.0 {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if coordinated.producer.1 != producer.1 {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(coordinated)
    }
}
