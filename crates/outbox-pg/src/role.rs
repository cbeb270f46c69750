use outbox_core::{Identifier, Pipeline};

use crate::literal::literal;

/// The SQL of the role that the connector logs in with, for `psql -v password=… -f`: `REPLICATION`, `USAGE` on the schema
/// and `SELECT` on the table, and nothing else. It can be run again.
///
/// `REPLICATION` holds for the whole server: who has the password can read every database's WAL through a slot. Let
/// `pg_hba.conf` admit the role from the connector's host only.
#[must_use]
pub fn connector_role_sql(pipeline: &Pipeline, role: &Identifier) -> String {
    let layout = pipeline.layout();
    format!(
        "-- The role that the connector logs in with, and all that it may do.\n\
         -- psql -v ON_ERROR_STOP=1 -v password=… -d DATABASE -f connector-role.sql\n\
         SELECT {create}\n\
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) \\gexec\n\
         ALTER ROLE {role} LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'password';\n\
         SELECT format('GRANT CONNECT ON DATABASE %I TO {escaped}', current_database()) \\gexec\n\
         GRANT USAGE ON SCHEMA {schema} TO {role};\n\
         GRANT SELECT ON TABLE {table} TO {role};\n",
        create = literal(&format!("CREATE ROLE {role}")),
        name = literal(role.as_str()),
        escaped = role.to_string().replace('\'', "''").replace('%', "%%"),
        schema = layout.schema(),
        table = layout.qualified_name(),
    )
}
