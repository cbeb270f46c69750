//! The code of the book's pages that is no whole program: it compiles as printed.
#![allow(
    dead_code,
    unused_variables,
    missing_docs,
    clippy::let_and_return,
    clippy::unused_async,
    reason = "the pages show parts of programs"
)]

type Any = Box<dyn std::error::Error + Send + Sync>;

mod postgres_page {
    use outbox_core::layout::{Column, ColumnType, EventField, Identifier, Nullability};
    use outbox_core::{DomainEvent, Outbox as _, OutboxEvent, Pipeline, TableLayout};
    use outbox_pg::{PgOutbox, RetriedTransaction, tokio_postgres};
    use serde::{Deserialize, Serialize};
    use shop::OrderCreated;

    use super::Any;

    async fn typed_events(outbox: &PgOutbox, tx: tokio_postgres::Transaction<'_>) -> Result<(), Any> {
        #[derive(DomainEvent, Serialize, Deserialize)]
        #[event(aggregate_type = "order")]
        enum OrderEvent {
            #[event(event_type = "OrderCreated", version = 2)]
            Created {
                #[event(aggregate_id)]
                order_id: u64,
                quantity: u32,
            },
            #[event(event_type = "OrderCancelled")]
            Cancelled {
                #[event(aggregate_id)]
                order_id: u64,
            },
        }

        outbox.publish(&tx, &OrderEvent::Created { order_id: 7, quantity: 2 }).await?;
        Ok(())
    }

    fn own_columns(
        order: &OrderCreated,
        [tenant_id, lang, record_key]: [Identifier; 3],
    ) -> Result<(Pipeline, OutboxEvent), Any> {
        let layout = TableLayout::recommended()
            .with_column(Column::own(tenant_id, ColumnType::Bigint, Nullability::NotNull).header("tenant"))?
            .with_column(Column::from_header(lang, "lang"))?
            .with_column(Column::new(EventField::Key, record_key, ColumnType::Text, Nullability::NotNull))?;
        let pipeline = Pipeline::builder().service("billing").layout(layout).build()?;

        let event = OutboxEvent::from_event(order);
        let event = event.column("tenant_id", 7_i64).header("lang", "de").key("tenant 7").build()?;
        Ok((pipeline, event))
    }

    mod messages {
        use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
        use outbox_pg::{Migrations, PgOutbox, create_slot, tokio_postgres::Client};

        async fn set_up(client: &mut Client) -> Result<PgOutbox, Box<dyn std::error::Error>> {
            let layout = TableLayout::messages();
            let pipeline = Pipeline::new(ConnectorConfig::recommended(&layout), layout)?;
            Migrations::outbox(&pipeline).apply(client).await?; // the publication, without tables
            create_slot(client, &pipeline).await?;
            Ok(PgOutbox::new(pipeline))
        }
    }

    async fn retried(outbox: PgOutbox, event: OutboxEvent, mut client: tokio_postgres::Client) -> Result<(), Any> {
        let (outbox, event) = (&outbox, &event);
        RetriedTransaction::default()
            .run(&mut client, |tx| Box::pin(async move { outbox.enqueue(&tx, event).await }))
            .await?;
        Ok(())
    }
}

mod existing_table {
    use outbox_core::{ConnectorConfig, Identifier, Pipeline, TableLayout};
    use outbox_pg::{Readiness, tokio_postgres::Client};

    use super::Any;

    async fn classic(client: Client) -> Result<(), Any> {
        let layout = TableLayout::classic(Identifier::new("public")?, Identifier::new("outboxevent")?);
        let pipeline = Pipeline::new(ConnectorConfig::recommended(&layout), layout)?;

        Readiness::check(&client, &pipeline).await?.into_result()?;
        Ok(())
    }
}

mod consumer_page {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use outbox_core::{DomainEvent, IncomingEvent, OutboxEvent};
    use outbox_kafka_consumer::deadpool_postgres::{Object, Transaction};
    use outbox_kafka_consumer::{
        Builder, Consumer, DeadLetterMode, HandlerPolicy, HandlerResult, Next, Received, RetryPolicy, with,
    };
    use serde::{Deserialize, Serialize};

    use super::Any;

    #[derive(Debug, Deserialize, IncomingEvent)]
    #[event(aggregate_type = "order")]
    struct OrderCreated {
        order_id: i64,
        product_id: i64,
        quantity: i64,
    }

    async fn tables(consumer: Consumer, mut client: Object) -> Result<(), Any> {
        consumer.migrations().apply(&mut client).await?;
        Ok(())
    }

    fn batches(builder: Builder) -> Builder {
        const LOCK: &str = "SELECT FROM stock WHERE product_id = ANY ($1) ORDER BY product_id FOR UPDATE";
        const RESERVE: &str = "UPDATE stock SET reserved = reserved + quantity
            FROM (SELECT product, sum(quantity) AS quantity
                  FROM unnest($1::bigint[], $2::bigint[]) AS event (product, quantity) GROUP BY product) AS wanted
            WHERE product_id = product";

        async fn reserve(tx: &Transaction<'_>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
            let (products, quantities): (Vec<i64>, Vec<i64>) =
                events.iter().map(|event| (event.event().product_id, event.event().quantity)).unzip();
            tx.execute(&tx.prepare_cached(LOCK).await?, &[&products]).await?;
            tx.execute(&tx.prepare_cached(RESERVE).await?, &[&products, &quantities]).await?;
            Ok(())
        }

        let builder = builder.on_batch(reserve);
        builder
    }

    #[derive(Serialize, DomainEvent)]
    #[event(aggregate_type = "invoice")]
    struct Billed {
        #[event(aggregate_id)]
        order: i64,
    }

    fn caused(order: i64, event: &Received<OrderCreated>) -> Result<OutboxEvent, Any> {
        let billed = OutboxEvent::from_event(&Billed { order }).caused_by(event.envelope()).build()?;
        Ok(billed)
    }

    #[derive(Debug)]
    struct GatewayError;

    impl GatewayError {
        fn is_final(&self) -> bool {
            true
        }
    }

    impl std::fmt::Display for GatewayError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the gateway refused the payment")
        }
    }

    impl std::error::Error for GatewayError {}

    async fn charge(_: &Transaction<'_>, _: Received<OrderCreated>) -> HandlerResult {
        Err(GatewayError.into())
    }

    async fn set_role(_: &Transaction<'_>, _: Received<()>) -> HandlerResult {
        Ok(())
    }

    fn policies(builder: Builder) -> Builder {
        let payments = HandlerPolicy::new()
            .retry(RetryPolicy::by_failure(|failed| match failed.error::<GatewayError>() {
                Some(error) if error.is_final() => None,
                _ if failed.attempt() >= 50 => None,
                _ => Some(Duration::from_secs(30)),
            }))
            .timeout(Duration::from_secs(5))
            .max_batch_size(NonZeroUsize::MIN)
            .on_failure(DeadLetterMode::ContinueKey);

        let builder = builder.on(payments.of(charge)).before_each(set_role);
        builder
    }

    struct Metrics;

    async fn count_errors(_: &Metrics, tx: &Transaction<'_>, next: Next<'_>) -> HandlerResult {
        next.run(tx).await
    }

    fn layers(builder: Builder, metrics: Metrics) -> Builder {
        async fn set_tenant(tx: &Transaction<'_>, next: Next<'_>) -> HandlerResult {
            let tenant = next.event().envelope().headers.get("tenant").unwrap_or_default();
            tx.execute("SELECT set_config('app.tenant', $1, true)", &[&tenant]).await?;
            next.run(tx).await
        }

        let builder = builder.layer(set_tenant).layer(with(metrics, count_errors)).on(charge);
        builder
    }
}

mod handlers_on_sqlx {
    use outbox_core::Pipeline;
    use outbox_sqlx::sqlx;
    use shop::OrderCreated;

    use outbox_kafka_consumer::{Consumer, HandlerResult, Received};
    use sqlx::{Executor as _, PgPool, Postgres, Transaction};

    async fn reserve(tx: &mut Transaction<'_, Postgres>, event: Received<OrderCreated>) -> HandlerResult {
        let insert = sqlx::query("INSERT INTO reservation (order_id, quantity) VALUES ($1, $2)");
        insert.bind(event.event().order_id).bind(event.event().quantity).execute(&mut **tx).await?;
        Ok(())
    }

    async fn consume(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
        let consumer = Consumer::sqlx_builder(["127.0.0.1:9092"])
            .pipeline(Pipeline::recommended())
            .group("stock")
            .pool(pool.clone())
            .on(reserve)
            .build()?;
        pool.execute(sqlx::AssertSqlSafe(consumer.migrations().apply_script())).await?; // once, at deployment
        consumer.run(async { _ = tokio::signal::ctrl_c().await }).await?;
        Ok(())
    }
}
