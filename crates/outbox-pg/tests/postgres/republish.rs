//! Rows of a kept table are published again through the slot.

use outbox_core::layout::EventField;
use outbox_core::time::{Duration, OffsetDateTime};
use outbox_core::{OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{Republish, SlotOptions};

use outbox_test_support::TestEnv;

fn event(aggregate: &str, ty: &str) -> OutboxEvent {
    OutboxEvent::builder("order", aggregate, ty).json(r#"{"n": 1}"#).header("tenant", "acme").build().unwrap()
}

/// Returns the ids of the events that the slot's reader is sent from now on, in their order; they are confirmed.
async fn published(client: &Client, pipeline: &Pipeline) -> Vec<String> {
    let sql = "SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, 'proto_version', '1', \
               'publication_names', 'outbox')";
    let messages = client.query(sql, &[&pipeline.slot().as_str()]).await.unwrap();
    let inserts = messages.iter().map(|row| row.get::<_, Vec<u8>>(0)).filter(|message| message[0] == b'I');
    // Type, OID, 'N', the number of columns; then 't' and the length of the id.
    inserts.map(|insert| String::from_utf8(insert[13..49].to_vec()).unwrap()).collect()
}

fn ids(events: &[OutboxEvent]) -> Vec<String> {
    events.iter().map(|event| event.id().to_string()).collect()
}

async fn drop_slot(client: &Client, pipeline: &Pipeline) {
    client.execute("SELECT pg_drop_replication_slot($1)", &[&pipeline.slot().as_str()]).await.unwrap();
}

#[tokio::test]
async fn what_a_slot_has_missed_is_published_once_in_order_and_marked() {
    let env = TestEnv::builder().slot().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    let events: Vec<_> = (0..25).map(|n| event(&(n % 3).to_string(), "Line")).collect();
    let (before, missed) = events.split_at(5);
    env.enqueue_each(before).await;
    assert_eq!(published(&client, &pipeline).await, ids(before));
    drop_slot(&client, &pipeline).await;
    env.enqueue_each(missed).await;
    SlotOptions::default().recreate().create(&client, &pipeline).await.unwrap();
    let live = [event("1", "Line")];
    env.enqueue_each(&live).await;

    let replay = Republish::missed(pipeline.clone()).batch_size(7);
    assert_eq!(replay.remaining(&client, "lost").await.unwrap(), 25);
    assert_eq!(Republish::list(&client, &pipeline).await.unwrap(), []);
    let first = replay.step(&mut client, "lost").await.unwrap();
    assert_eq!((first.events, first.is_finished), (7, false), "{first:?}");
    assert_eq!(replay.remaining(&client, "lost").await.unwrap(), 18);
    let listed = Republish::list(&client, &pipeline).await.unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].progress, listed[0].finished_at), ("lost", first, None));
    let all = replay.run(&mut client, "lost").await.unwrap();
    assert!(all.events >= 20 && all.is_finished, "{all:?}");
    assert_eq!(replay.run(&mut client, "lost").await.unwrap(), all, "a finished replay does nothing");
    assert_eq!(replay.remaining(&client, "lost").await.unwrap(), 0);
    assert!(Republish::list(&client, &pipeline).await.unwrap()[0].finished_at.is_some());

    let sent = published(&client, &pipeline).await;
    assert_eq!(sent[..1], ids(&live));
    // Nobody has recorded what was confirmed before, so all that was in the table counts as missed.
    assert_eq!(sent[1..], ids(&events));
    assert_eq!(env.rows().await, 26);
    let marked =
        "SELECT count(*) FILTER (WHERE headers ->> 'outbox-replay' = 'lost' AND headers ->> 'tenant' = 'acme'),
                         count(*) FILTER (WHERE payload::text = '{\"n\": 1}') FROM outbox.outbox_message";
    let row = client.query_one(marked, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (25, 26));

    let nothing = Republish::missed(pipeline.clone()).run(&mut client, "again").await.unwrap();
    assert_eq!((nothing.events, nothing.last_id), (0, None));
}

#[tokio::test]
async fn rows_are_chosen_by_time_id_aggregate_and_type() {
    let env = TestEnv::builder().slot().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    let events = [event("1", "Created"), event("1", "Line"), event("2", "Line"), event("2", "Closed")];
    env.enqueue_each(&events).await;
    published(&client, &pipeline).await;

    let all = || Republish::rows(pipeline.clone());
    let now = OffsetDateTime::now_utc();
    for (name, replay, expected) in [
        ("all", all(), &[0, 1, 2, 3][..]),
        ("aggregate", all().aggregate_type("order").aggregate_id("1"), &[0, 1]),
        ("type", all().event_type("Line"), &[1, 2]),
        ("ids", all().id(events[3].id()).id(events[0].id()), &[0, 3]),
        ("recent", all().from_time(now - Duration::hours(1)).to_time(now + Duration::hours(1)), &[0, 1, 2, 3]),
        ("older", all().to_time(now - Duration::hours(1)), &[]),
        ("injection", all().aggregate_id("1' OR true --"), &[]),
    ] {
        replay.run(&mut client, name).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|index| events[*index].id().to_string()).collect();
        assert_eq!(published(&client, &pipeline).await, expected, "{name}");
    }
    let other = all().event_type("Line").run(&mut client, "all").await.unwrap_err();
    assert!(other.is_configuration() && other.to_string().contains("other rows"), "{other}");
    let unnamed = all().run(&mut client, "").await.unwrap_err();
    assert!(unnamed.is_configuration(), "{unnamed}");
}

#[tokio::test]
async fn a_table_that_is_adopted_is_published_and_one_whose_rows_vanish_is_not() {
    let env = TestEnv::builder().outbox().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    let events: Vec<_> = (0..3).map(|_| event("1", "Line")).collect();
    env.enqueue_each(&events).await;
    let error = Republish::missed(pipeline.clone()).run(&mut client, "adopted").await.unwrap_err();
    assert!(error.is_not_ready(), "there is no slot to publish them: {error}");
    outbox_pg::create_slot(&client, &pipeline).await.unwrap();
    Republish::missed(pipeline.clone()).run(&mut client, "adopted").await.unwrap();
    assert_eq!(published(&client, &pipeline).await, ids(&events));

    let vanishing = env.pipeline_of(TableLayout::recommended().with_row_life(RowLife::DeleteOnInsert));
    let error = Republish::rows(vanishing).run(&mut client, "vanished").await.unwrap_err();
    assert!(error.is_configuration(), "{error}");
}

/// Generated and identity columns, `jsonb`, and no column for headers.
#[tokio::test]
async fn columns_of_other_programs_are_kept() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let table = "CREATE TABLE public.outboxevent (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL,
        aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb,
        seq bigint GENERATED ALWAYS AS IDENTITY, size int GENERATED ALWAYS AS (length(aggregateid)) STORED,
        \"Tenant\" text DEFAULT 'none')";
    client.batch_execute(table).await.unwrap();
    let name = |name: &str| outbox_core::Identifier::new(name).unwrap();
    let layout = TableLayout::classic(name("public"), name("outboxevent"));
    assert!(!layout.columns().iter().any(|column| column.field() == Some(EventField::Headers)));

    let pipeline = env.pipeline_of(layout);
    outbox_pg::Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
    outbox_pg::create_slot(&client, &pipeline).await.unwrap();

    let insert = "INSERT INTO outboxevent (id, aggregatetype, aggregateid, type, payload, \"Tenant\")
                  VALUES (gen_random_uuid(), 'order', 'abc', 'Line', '{\"a\": 1}', 'acme'),
                         (gen_random_uuid(), 'order', 'abcd', 'Line', NULL, NULL)";
    client.batch_execute(insert).await.unwrap();
    let rows = "SELECT string_agg(o::text, ';' ORDER BY seq) FROM outboxevent o";
    let before: String = client.query_one(rows, &[]).await.unwrap().get(0);
    published(&client, &pipeline).await;
    let progress = Republish::rows(pipeline.clone()).run(&mut client, "all").await.unwrap();
    assert_eq!(progress.events, 2);
    assert_eq!(client.query_one(rows, &[]).await.unwrap().get::<_, String>(0), before);
    assert_eq!(published(&client, &pipeline).await.len(), 2);
}
