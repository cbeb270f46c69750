use std::ops::AddAssign;
use std::time::Duration;

use deadpool_postgres::Object;
use outbox_core::{Pipeline, RowLife, TableLayout};
use outbox_pg::{Maintenance, Migrations, create_slot};
use outbox_test_support::TestEnv;
use serde::Serialize;

use crate::Outcome;

/// A database with an outbox, the accounts that its transactions are about, and the slot that a relay would read.
pub(super) struct OutboxEnv {
    env: TestEnv,
}

/// The events that were committed: how many, and the sum of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) transactions: u64,
    pub(super) events: u64,
    pub(super) sum: u64,
}

/// More than are met while the writers of a run are at work.
pub(super) const ACCOUNTS: u64 = 10_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl OutboxEnv {
    pub(super) async fn create(life: RowLife) -> Outcome<Self> {
        let layout = TableLayout::recommended().with_row_life(life);
        let env = Self { env: TestEnv::builder().layout(layout).outbox().build().await };
        let mut client = env.env.client().await;
        if life == RowLife::Partitioned {
            Migrations::maintenance(env.pipeline()).apply(&mut client).await?;
            Maintenance::new(env.pipeline().clone(), DAY).run(&client).await?;
        }
        create_slot(&client, env.pipeline()).await?;

        // Room for each row's new version next to the old one, as a table that is updated much would have it.
        let accounts = format!(
            "CREATE TABLE account (id bigint PRIMARY KEY, orders bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
             INSERT INTO account (id) SELECT generate_series(0, {ACCOUNTS} - 1); VACUUM ANALYZE account"
        );

        for statement in accounts.split(';') {
            client.batch_execute(statement).await?;
        }
        Ok(env)
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        self.env.pipeline()
    }

    /// Returns a connection with a cache of statements.
    pub(super) async fn session(&self, commit: SynchronousCommit) -> Outcome<Object> {
        let session = self.env.pool_of(1).get().await?;
        session.batch_execute(&format!("SET synchronous_commit = {commit}")).await?;
        Ok(session)
    }

    /// Makes it ready for a run: what the last one left is written, and its dead rows are gone.
    pub(super) async fn settle(&self) -> Outcome<()> {
        let client = self.env.client().await;
        for statement in ["VACUUM ANALYZE account", "CHECKPOINT"] {
            client.batch_execute(statement).await?;
        }
        Ok(())
    }

    /// Checks that exactly these events are in the WAL, each once, and in the table where rows stay; and unless the
    /// accounts report as many transactions. Then forgets them.
    pub(super) async fn check(&self, written: Written) -> Outcome<()> {
        let client = self.env.client().await;
        let (table, name) = (self.pipeline().layout().qualified_name(), self.env.name());
        let life = self.pipeline().layout().row_life();

        // Within a message the payload is a text in JSON.
        let kind = if life.has_table() { 'I' } else { 'M' };
        let published = format!(
            r#"SELECT count(*), count(DISTINCT n), coalesce(sum(n), 0)::bigint FROM (
                SELECT substring(encode(data, 'escape') FROM '\{{\\*"n\\*":(\d+)')::bigint AS n
                FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2,
                    'messages', 'true')
                WHERE get_byte(data, 0) = ascii('{kind}')) AS message"#
        );

        let publication = self.pipeline().publication().as_str();
        let rows = if life.has_table() {
            format!("(SELECT (payload->>'n')::bigint AS n FROM {table})")
        } else {
            "(SELECT 0::bigint AS n WHERE false)".to_owned()
        };
        let stored = format!("SELECT count(*), count(DISTINCT n), coalesce(sum(n), 0)::bigint FROM {rows} AS stored");
        let stored = client.query_one(&stored, &[]).await?;
        let accounts = client.query_one("SELECT sum(orders)::bigint FROM account", &[]).await?;

        // Its commit has the server write what was committed before it with synchronous_commit off.
        client.batch_execute("UPDATE account SET orders = 0").await?;

        let published = client.query_one(&published, &[&name, &publication]).await?;
        let counted = |row: &tokio_postgres::Row| -> Outcome<[i64; 3]> {
            Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?])
        };

        let wanted = [written.events, written.events, written.sum].map(u64::cast_signed);
        let (published, stored, transactions) =
            (counted(&published)?, counted(&stored)?, accounts.try_get::<_, i64>(0)?);
        let kept = if life.keeps_rows() { wanted } else { [0; 3] };
        if published != wanted || stored != kept || transactions != written.transactions.cast_signed() {
            return Err(format!(
                "no figure: of {written:?} there are {published:?} in the WAL, {stored:?} in the table (count, distinct, \
                 sum), and {transactions} transactions"
            )
            .into());
        }

        if life.has_table() {
            client.batch_execute(&format!("TRUNCATE {table}")).await?;
        }
        Ok(())
    }
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.events += other.events;
        self.sum += other.sum;
    }
}

/// The outboxes that are compared, one database each.
pub(super) struct OutboxEnvs {
    pub(super) keep: OutboxEnv,
    pub(super) partitions: OutboxEnv,
    pub(super) vanish: OutboxEnv,
    pub(super) message: OutboxEnv,
}

impl OutboxEnvs {
    pub(super) async fn create() -> Outcome<Self> {
        Ok(Self {
            keep: OutboxEnv::create(RowLife::Keep).await?,
            partitions: OutboxEnv::create(RowLife::Partitioned).await?,
            vanish: OutboxEnv::create(RowLife::DeleteOnInsert).await?,
            message: OutboxEnv::create(RowLife::Message).await?,
        })
    }

    pub(super) fn remove(self) {
        tokio::task::block_in_place(|| drop(self));
    }
}

/// The server's setting of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SynchronousCommit {
    On,
    Off,
}

impl std::fmt::Display for SynchronousCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}
