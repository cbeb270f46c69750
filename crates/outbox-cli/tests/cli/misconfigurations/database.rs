//! The table, its publication, its slot, and the roles of a database.

use outbox_test_support::TestEnv;

use super::warns;
use crate::doctor::{fails, findings};
use crate::fixture::{TempFile, run_at};

#[tokio::test]
async fn what_the_connectors_role_lacks_is_found_by_the_connectors_configuration() {
    let env = TestEnv::builder().slot().build().await;
    let role = format!("{}_cdc", env.name());
    let file = TempFile::config(&env, "-role", &env.config().clone().with("database.user", &role));
    let arguments = ["--connector-config", file.path()];
    fails(&env, &arguments, &format!("the role \"{role}\" does not exist")).await;

    let client = env.client().await;
    let sql = async |sql: String| client.batch_execute(&sql).await.unwrap();
    sql(format!("CREATE ROLE {role} LOGIN")).await;
    fails(&env, &arguments, "lacks USAGE on SCHEMA \"outbox\"").await;
    sql(format!("GRANT USAGE ON SCHEMA outbox TO {role}")).await;
    fails(&env, &arguments, "lacks SELECT on TABLE \"outbox\".\"outbox_message\"").await;
    fails(&env, &arguments, "lacks REPLICATION").await;
    sql(format!("ALTER ROLE {role} REPLICATION; GRANT SELECT ON outbox.outbox_message TO {role}")).await;

    let (failed, _) = findings(&env, &arguments, 0).await;
    assert_eq!(failed, [""; 0]);

    sql(format!("ALTER ROLE {role} CONNECTION LIMIT 1")).await;
    warns(&env, &arguments, "may open 1 connections (CONNECTION LIMIT)").await;
    sql(format!("ALTER ROLE {role} CONNECTION LIMIT -1 VALID UNTIL '2020-01-01'")).await;
    fails(&env, &arguments, "is no longer valid (VALID UNTIL)").await;
    sql(format!("ALTER ROLE {role} VALID UNTIL 'infinity'")).await;
    sql(format!("CREATE TABLE secret (); GRANT SELECT ON secret TO {role}")).await;
    warns(&env, &arguments, "has SELECT on other tables, which it does not need").await;
    sql(format!("ALTER ROLE {role} SUPERUSER")).await;
    warns(&env, &arguments, "has SUPERUSER on the server, which it does not need").await;
    let (_, warnings) = findings(&env, &arguments, 0).await;
    let of_role = warnings.iter().filter(|one| one.starts_with("privileges: "));
    assert_eq!(of_role.count(), 1, "a superuser has everything: {warnings:#?}");

    let placeholder = env.config().clone().with("database.user", "${env:OUTBOX_DB_USER}");
    let file = TempFile::config(&env, "-role", &placeholder);
    let named = ["--connector-config", file.path(), "--connector-role", "no_such_role"];
    fails(&env, &named, "no_such_role").await;
}

#[tokio::test]
async fn roles_of_services_and_of_the_maintenance_with_too_much_or_too_little_are_found() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-roles", env.config());
    let (service, maintainer) = (format!("{}_app", env.name()), format!("{}_maintenance", env.name()));
    let client = env.client().await;
    let sql = async |sql: String| client.batch_execute(&sql).await.unwrap();
    sql(format!("CREATE ROLE {service} LOGIN; CREATE ROLE {maintainer}")).await;
    let named = ["--connector-config", file.path(), "--application-role", &service, "--maintainer-role", &maintainer];
    let (failed, _) = findings(&env, &named, 1).await;
    for text in [format!("\"{service}\" lacks INSERT"), format!("\"{maintainer}\" lacks ownership")] {
        assert!(failed.iter().any(|one| one.contains(&text)), "{text} is not among {failed:#?}");
    }

    let script = run_at(&env, &["roles", "--application", &service, "--maintainer", &maintainer]).await;
    sql(script.text(0).to_owned()).await;
    let (failed, _) = findings(&env, &named, 0).await;
    assert_eq!(failed, [""; 0]);
    sql(format!("ALTER ROLE {service} SUPERUSER")).await;
    warns(&env, &named, &format!("the role \"{service}\" has SUPERUSER")).await;
}

#[tokio::test]
async fn a_publication_that_filters_or_sends_too_much_is_found() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-filter", env.config());
    let arguments = ["--connector-config", file.path()];
    let client = env.client().await;
    let sql = async |sql: &str| client.batch_execute(sql).await.unwrap();

    sql("ALTER PUBLICATION outbox SET TABLE outbox.outbox_message WHERE (aggregate_type = 'order')").await;
    fails(&env, &arguments, "has a row filter").await;
    sql("ALTER PUBLICATION outbox SET TABLE outbox.outbox_message (id, aggregate_type)").await;
    fails(&env, &arguments, "leaves out the columns").await;
    sql("CREATE TABLE other (id int PRIMARY KEY)").await;
    sql("ALTER PUBLICATION outbox SET TABLE outbox.outbox_message, other").await;
    warns(&env, &arguments, "publication contents: insert of ").await;
    sql("ALTER PUBLICATION outbox SET TABLE outbox.outbox_message").await;
    sql("ALTER PUBLICATION outbox SET (publish = 'insert, update, delete')").await;
    warns(&env, &arguments, "publication contents: insert, update, delete of ").await;
    sql("ALTER TABLE outbox.outbox_message REPLICA IDENTITY NOTHING").await;
    fails(&env, &arguments, "replica identity: nothing").await;
    sql("ALTER PUBLICATION outbox SET (publish = 'insert')").await;
    sql("ALTER TABLE outbox.outbox_message REPLICA IDENTITY FULL").await;
    warns(&env, &arguments, "replica identity: full").await;
}

#[tokio::test]
async fn a_table_at_which_inserts_debezium_or_consumers_stop_is_found() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-table", env.config());
    let arguments = ["--connector-config", file.path()];
    let client = env.client().await;
    let alter = async |what: &str| {
        client.batch_execute(&format!("ALTER TABLE outbox.outbox_message {what}")).await.unwrap();
    };

    // A header of NULL, which many clients cannot read.
    alter("ALTER correlation_id DROP NOT NULL").await;
    fails(&env, &arguments, "column \"correlation_id\": it is nullable").await;
    alter("ALTER correlation_id SET NOT NULL").await;
    alter("ALTER created_at TYPE timestamptz").await;
    fails(&env, &arguments, "column \"created_at\"").await;
    alter("ALTER created_at TYPE timestamp(6) USING created_at AT TIME ZONE 'UTC'").await;
    alter("ADD tenant text NOT NULL").await;
    fails(&env, &arguments, "column tenant: it is NOT NULL without a default").await;
    alter("DROP tenant, DROP CONSTRAINT outbox_message_pkey").await;
    fails(&env, &arguments, "has no unique index").await;
    alter("RENAME TO elsewhere").await;
    fails(&env, &arguments, "does not exist: run outbox migrate apply -> outbox migrate apply").await;
}

#[tokio::test]
async fn a_slot_that_does_not_fit_is_found() {
    let env = TestEnv::builder().outbox().build().await;
    let other = TestEnv::builder().database().build().await;
    let file = TempFile::config(&env, "-slot", env.config());
    let arguments = ["--connector-config", file.path()];
    let slot = env.name();
    let drop = format!("SELECT pg_drop_replication_slot('{slot}')");
    let client = env.client().await;
    let sql = async |sql: &str| client.batch_execute(sql).await.unwrap();

    let of_other = other.client().await;
    of_other.batch_execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await.unwrap();
    fails(&env, &arguments, &format!("is of the database \"{}\"", other.name())).await;
    of_other.batch_execute(&drop).await.unwrap();
    sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')")).await;
    fails(&env, &arguments, "is of the plugin \"test_decoding\"").await;
    sql(&drop).await;
    sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput', false, true)")).await;
    fails(&env, &arguments, "two_phase").await;
    sql(&drop).await;
    sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    findings(&env, &arguments, 0).await;
}
