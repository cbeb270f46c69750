use std::error::Error;
use std::fmt;

use outbox_core::{Identifier, Pipeline};
use outbox_pg::{Applied, Migration, Migrations, SlotCreation, create_slot};
use tokio_postgres::Client;

/// The result of [`setup`]. `Display` reports it, a line for each step.
#[derive(Debug)]
pub struct Done {
    applied: Vec<(&'static str, Applied)>,
    slot: (Identifier, SlotCreation),
}

/// Makes the tables of the outbox, of the consumer and of this service, the publication, and then the slot. What is
/// there already stays as it is.
///
/// # Errors
/// PostgreSQL refused, or what is there does not fit.
pub async fn setup(client: &mut Client, pipeline: &Pipeline) -> Result<Done, Box<dyn Error + Send + Sync>> {
    let applied = vec![
        ("outbox table and publication", Migrations::outbox(pipeline).apply(client).await?),
        ("maintenance tables", Migrations::maintenance(pipeline).apply(client).await?),
        ("consumer tables", outbox_kafka_consumer::migrations(pipeline.layout().schema()).apply(client).await?),
        ("order-service tables", own_tables(Identifier::new("order_service")?).apply(client).await?),
    ];
    let slot = (pipeline.slot().clone(), create_slot(client, pipeline).await?);
    Ok(Done { applied, slot })
}

fn own_tables(schema: Identifier) -> Migrations {
    let steps = vec![
        Migration::new(
            1,
            "orders",
            "CREATE TABLE order_service.orders (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                customer_id bigint NOT NULL,
                product_id bigint NOT NULL,
                quantity integer NOT NULL CHECK (quantity > 0),
                created_at timestamptz NOT NULL DEFAULT clock_timestamp()
            )",
        ),
        Migration::new(
            2,
            "received events",
            "CREATE TABLE order_service.received_event (
                event_id uuid PRIMARY KEY,
                event_type text NOT NULL,
                aggregate_id text NOT NULL,
                payload json NOT NULL,
                topic text NOT NULL,
                partition integer NOT NULL,
                record_offset bigint NOT NULL,
                created_at timestamptz,
                handled_at timestamptz NOT NULL DEFAULT clock_timestamp()
            );
            CREATE INDEX received_event_handled_at ON order_service.received_event (handled_at)",
        ),
        // The event of an order, and where in the WAL it begins: the way of the event begins there.
        Migration::new(
            3,
            "the way of an order's event",
            "ALTER TABLE order_service.orders ADD event_id uuid, ADD wal_lsn pg_lsn;
            ALTER TABLE order_service.orders ALTER wal_lsn SET DEFAULT pg_current_wal_insert_lsn();
            CREATE INDEX orders_event_id ON order_service.orders (event_id);
            ALTER TABLE order_service.received_event ADD read_at timestamptz",
        ),
    ];
    Migrations::new("order-service", schema, steps)
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, applied) in &self.applied {
            match applied.versions.len() {
                0 => writeln!(f, "{what}: up to date")?,
                1 => writeln!(f, "{what}: applied 1 migration")?,
                n => writeln!(f, "{what}: applied {n} migrations")?,
            }
        }

        let (name, creation) = &self.slot;
        let name = name.as_str();
        match creation {
            SlotCreation::Created => write!(f, "replication slot {name}: created; start the connector soon"),
            _ => write!(f, "replication slot {name}: exists"),
        }
    }
}
