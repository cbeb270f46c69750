use outbox_test_support::{TestEnv, connect, stack};
use tokio_postgres::error::SqlState;

use crate::fixture::{create_role, set_up};

#[tokio::test]
async fn the_connectors_role_can_read_the_outbox_and_nothing_else() {
    let env = set_up().await;
    create_role(&env).await;
    create_role(&env).await;
    let client = connect(&url(&env)).await;

    for allowed in [
        "SELECT * FROM outbox.outbox_message",
        // The connector's heartbeat.
        "SELECT pg_logical_emit_message(true, 'outbox-heartbeat', '')",
    ] {
        client.batch_execute(allowed).await.unwrap_or_else(|e| panic!("{allowed}: {e:?}"));
    }
    for refused in [
        "INSERT INTO outbox.outbox_message (id) VALUES (gen_random_uuid())",
        "UPDATE outbox.outbox_message SET event_type = ''",
        "DELETE FROM outbox.outbox_message",
        "TRUNCATE outbox.outbox_message",
        "ALTER TABLE outbox.outbox_message ADD x int",
        "DROP TABLE outbox.outbox_message",
        "CREATE TRIGGER t AFTER INSERT ON outbox.outbox_message EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SELECT * FROM outbox.schema_migration",
        "SELECT * FROM outbox.consumer_position",
        "SELECT * FROM order_service.orders",
        "SELECT * FROM order_service.received_event",
        "INSERT INTO order_service.orders (customer_id, product_id, quantity) VALUES (1, 1, 1)",
        "CREATE TABLE outbox.x ()",
        "CREATE TABLE order_service.x ()",
        "CREATE SCHEMA x",
        "CREATE PUBLICATION x",
        "CREATE PUBLICATION x FOR TABLE outbox.outbox_message",
        &format!("ALTER PUBLICATION {} SET (publish = 'delete')", env.name()),
        &format!("DROP PUBLICATION {}", env.name()),
        "CREATE ROLE x",
        "CREATE DATABASE x",
        "SET ROLE postgres",
        "ALTER ROLE postgres PASSWORD 'x'",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY outbox.outbox_message TO PROGRAM 'cat'",
        "SELECT * FROM pg_authid",
        "ALTER SYSTEM SET wal_level = 'replica'",
    ] {
        let code = client.batch_execute(refused).await.expect_err(refused).code().cloned();
        assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
    }
    assert_eq!(rights(&env).await, ["outbox.outbox_message SELECT"]);
}

#[tokio::test]
async fn the_connectors_role_has_the_flags_that_it_needs_and_no_other() {
    let env = set_up().await;
    create_role(&env).await;
    let client = env.client().await;
    let sql = "SELECT rolcanlogin AND rolreplication, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls,
                          EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)
                   FROM pg_roles WHERE rolname = $1";
    let row = client.query_one(sql, &[&env.name()]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (true, false, false));

    let sql = "SELECT has_database_privilege($1, current_database(), 'CREATE'),
                          has_schema_privilege($1, 'outbox', 'CREATE'), has_schema_privilege($1, 'order_service', 'USAGE')";
    let row = client.query_one(sql, &[&env.name()]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (false, false, false));
}

/// Returns every right of the role on a table, sequence or column that is not the server's own.
async fn rights(env: &TestEnv) -> Vec<String> {
    let sql = "SELECT n.nspname || '.' || c.relname || ' ' || r.name
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
                    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) r (name)
               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                 AND (has_table_privilege($1, c.oid, r.name)
                      OR r.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege($1, c.oid, r.name))
               ORDER BY 1";
    let rows = env.client().await.query(sql, &[&env.name()]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn url(env: &TestEnv) -> String {
    let (name, stack) = (&env.name(), &stack());
    format!("postgres://{name}:{name}@{}:{}/{name}", stack.postgres_host(), stack.postgres_port())
}
