use std::time::Instant;

use deadpool_postgres::{Object, Transaction};
use outbox_core::{OutboxEvent, StatementCaching};
use outbox_pg::PgOutbox;
use tokio_postgres::{IsolationLevel, Statement};

use super::handwritten;
use super::outbox_env::{ACCOUNTS, OutboxEnv, Written};
use crate::{Outcome, rows};

/// The way in which a transaction's events are enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not at all: the transaction without an outbox.
    None,
    /// By a prepared INSERT that this connection holds.
    Handwritten,
    /// `PgOutbox::enqueue`, prepared once
    Cached,
    /// `PgOutbox::enqueue`, parsed each time
    Unnamed,
    /// `PgOutbox::enqueue_all`
    All,
}

/// One connection that writes: BEGIN, UPDATE of one row, the outbox, COMMIT.
pub(super) struct Writer {
    session: Object,
    outbox: PgOutbox,
    /// The same with statements that are parsed each time.
    unnamed: PgOutbox,
    update: Statement,
    /// The INSERT written by hand, if there is a table.
    insert: Option<Statement>,
    isolation: IsolationLevel,
    /// The next event's number.
    next: u64,
    written: Written,
}

impl Writer {
    /// Creates one that numbers its events from `first` on.
    pub(super) async fn new(env: &OutboxEnv, session: Object, isolation: IsolationLevel, first: u64) -> Outcome<Self> {
        let insert = match env.pipeline().layout().row_life().has_table() {
            true => Some(session.prepare(handwritten::INSERT).await?),
            false => None,
        };
        Ok(Self {
            outbox: PgOutbox::new(env.pipeline().clone()),
            unnamed: PgOutbox::new(env.pipeline().clone()).statement_caching(StatementCaching::Unnamed),
            update: session.prepare("UPDATE account SET orders = orders + 1 WHERE id = $1").await?,
            insert,
            session,
            isolation,
            next: first,
            written: Written::default(),
        })
    }

    /// Returns the committed rows.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// Runs a transaction with that many events, and reports the seconds from before BEGIN until after COMMIT. The text
    /// of the payloads is there before.
    pub(super) async fn transaction(&mut self, way: Way, events: u64) -> Outcome<f64> {
        let numbers = self.next..self.next + events;
        self.next += events.max(1);
        let payloads: Vec<String> = numbers.clone().map(payload).collect();
        let account = (numbers.start % ACCOUNTS).cast_signed();

        let begun = Instant::now();
        let tx = self.session.build_transaction().isolation_level(self.isolation).start().await?;
        tx.execute(&self.update, &[&account]).await?;
        let outbox = if way == Way::Unnamed { &self.unnamed } else { &self.outbox };
        write(&tx, way, outbox, self.insert.as_ref(), numbers.clone().zip(payloads)).await?;
        tx.commit().await?;
        let seconds = begun.elapsed().as_secs_f64();

        let events = if way == Way::None { 0..0 } else { numbers };
        self.written += Written { transactions: 1, events: events.end - events.start, sum: events.sum() };
        Ok(seconds)
    }
}

async fn write(
    tx: &Transaction<'_>,
    way: Way,
    outbox: &PgOutbox,
    insert: Option<&Statement>,
    events: impl Iterator<Item = (u64, String)>,
) -> Outcome<()> {
    match way {
        Way::None => {}
        Way::Handwritten => {
            let insert = insert.ok_or("an outbox without a table has no INSERT")?;
            for (n, payload) in events {
                handwritten::insert(tx, insert, n, &payload).await?;
            }
        }
        Way::Cached | Way::Unnamed => {
            for (n, payload) in events {
                outbox.enqueue(tx, &event(n, payload)?).await?;
            }
        }
        Way::All => {
            let events = events.map(|(n, payload)| event(n, payload)).collect::<Outcome<Vec<_>>>()?;
            outbox.enqueue_all(tx, &events).await?;
        }
    }
    Ok(())
}

fn event(n: u64, payload: String) -> Outcome<OutboxEvent> {
    Ok(OutboxEvent::builder(rows::AGGREGATE_TYPE, rows::key(n), "OrderPlaced").json(payload).build()?)
}

fn payload(n: u64) -> String {
    format!(
        r#"{{"n":{n},"customer":"c4ca4238a0b923820dcc509a6f75849b","items":[{{"sku":"c81e728d9d4c","quantity":2,"price":"19.90"}}],"note":"leave it at the door with the green frame"}}"#
    )
}
