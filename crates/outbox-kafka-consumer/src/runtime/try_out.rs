use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::OutboxEvent;
use outbox_core::record::DecodeHints;
use outbox_net::ErrorChain;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::failed::{Failed, Fault};
use super::in_flight::InFlight;
use super::item::Todo;
use super::lane::Lane;
use crate::protocol::FailureKind;
use crate::received::Delivery;
use crate::store::{Fence, Transaction};

/// The outcome of events that were tried out.
pub enum TriedOut {
    Handled,
    Ignored,
}

/// Kind, text and delay before the next attempt.
pub type NotTriedOut = (FailureKind, String, Option<Duration>);

impl Shared {
    /// Calls the handlers of events of one type in a transaction of the caller's, as a lane does.
    pub async fn try_out(
        self: &Arc<Self>,
        tx: &mut Transaction<'_>,
        events: &[(&OutboxEvent, Delivery, i64)],
    ) -> Result<TriedOut, NotTriedOut> {
        let (mut delivered, mut handlers, mut attempt) = (Vec::new(), None, 1);
        for (event, delivery, offset) in events {
            let record = self.pipeline.row(event).and_then(|row| self.pipeline.encode(&row));
            let record = record.map_err(|e| undecodable(&e))?;
            let topic = record.topic.clone();
            let sorted = self.sort(&topic, 0, *offset, record.into(), &mut DecodeHints::default());
            let Some(mut item) = sorted.map_err(|e| undecodable(&e))? else { continue };
            match item.todo {
                Todo::Reject(why) => return Err((FailureKind::Undecodable, why, None)),
                Todo::Hold(why) => {
                    let failed = Failed::new(FailureKind::Unhandled, why);
                    let retry_in = self.disposition(&failed, None, 1, 0.).next_attempt;
                    return Err((failed.kind, failed.error, retry_in));
                }
                _ => {}
            }

            item.delivery = *delivery;
            let lane = self.lane_without_partition(&topic);
            let taken = lane.delivered(&mut item).map_err(|fault| self.not_tried_out(fault, None, 1))?;

            if let Some((event, route)) = taken {
                delivered.push(event);
                attempt = i32::try_from(delivery.attempt).unwrap_or(i32::MAX);
                handlers = Some((lane, route));
            }
        }

        let Some((lane, route)) = handlers else { return Ok(TriedOut::Ignored) };
        match lane.call_all(tx, &route, delivered).await {
            Ok(()) => Ok(TriedOut::Handled),
            Err(fault) => Err(self.not_tried_out(fault, Some(&route), attempt)),
        }
    }

    fn not_tried_out(&self, fault: Fault, route: Option<&crate::registry::Route>, attempt: i32) -> NotTriedOut {
        let failed = match fault {
            Fault::Event(failed) => failed,
            Fault::Stop(e) => Failed::new(FailureKind::Undecodable, ErrorChain::new(&*e).to_string()),
            Fault::Locked(e) => Failed::locked(&e),
            fault => Failed::new(FailureKind::Failed, ErrorChain::new(&fault.into_error()).to_string()),
        };
        // Without the random part of the delay.
        let retry_in = self.disposition(&failed, route, attempt, 0.).next_attempt;
        (failed.kind, failed.error, retry_in)
    }

    fn lane_without_partition(self: &Arc<Self>, topic: &str) -> Lane {
        let in_flight = InFlight::new(topic.into(), 0, Fence { position: 0, epoch: 0 }, 0);
        Lane::new(Arc::clone(self), Arc::new(in_flight), CancellationToken::new())
    }
}

fn undecodable(error: &(dyn StdError + 'static)) -> NotTriedOut {
    (FailureKind::Undecodable, ErrorChain::new(error).to_string(), None)
}
