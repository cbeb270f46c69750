use outbox_core::{Identifier, Pipeline};

use crate::companion::{companion, companion_name};
use crate::literal::literal;

/// Returns the SQL of the role that the connector logs in with, for `psql -v password=… -f`: `REPLICATION`, `USAGE` on
/// the schema and `SELECT` on the table, and nothing else. It can be run again.
///
/// `REPLICATION` holds for the whole server: who has the password can read every database's WAL through a slot. Let
/// `pg_hba.conf` admit the role from the connector's host only.
#[must_use]
pub fn connector_role_sql(pipeline: &Pipeline, role: &Identifier) -> String {
    let layout = pipeline.layout();
    let on_table = match layout.row_life().has_table() {
        true => format!(
            "GRANT USAGE ON SCHEMA {schema} TO {role};\n\
             GRANT SELECT ON TABLE {table} TO {role};\n",
            schema = layout.schema(),
            table = layout.qualified_name(),
        ),
        false => String::new(),
    };
    format!(
        "-- The role that the connector logs in with, and all that it may do.\n\
         -- psql -v ON_ERROR_STOP=1 -v password=… -d DATABASE -f connector-role.sql\n\
         SELECT {create}\n\
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) \\gexec\n\
         ALTER ROLE {role} LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'password';\n\
         SELECT format('GRANT CONNECT ON DATABASE %I TO {escaped}', current_database()) \\gexec\n\
         {on_table}",
        create = literal(&format!("CREATE ROLE {role}")),
        name = literal(role.as_str()),
        escaped = role.to_string().replace('\'', "''").replace('%', "%%"),
    )
}

/// Returns the SQL of the role that services enqueue with: `USAGE` on the schema and `INSERT` on the table, and nothing
/// else. It can be run again, by any client. The role cannot log in: grant it to those that do.
///
/// INSERT is enough for all that [`PgOutbox`](crate::PgOutbox) does. Without SELECT, PostgreSQL denies `RETURNING`, and
/// `ON CONFLICT` with a target.
#[must_use]
pub fn application_role_sql(pipeline: &Pipeline, role: &Identifier) -> String {
    let layout = pipeline.layout();
    if !layout.row_life().has_table() {
        let create = create_role(role);
        return format!("-- The role that services enqueue with. Emitting messages takes no privilege.\n{create};\n");
    }
    format!(
        "-- The role that services enqueue with, and all that it may do. GRANT {role} TO the service's login.\n\
         {create};\n\
         REVOKE ALL ON TABLE {table} FROM PUBLIC, {role};\n\
         GRANT USAGE ON SCHEMA {schema} TO {role};\n\
         GRANT INSERT ON TABLE {table} TO {role};\n",
        create = create_role(role),
        schema = layout.schema(),
        table = layout.qualified_name(),
    )
}

/// Returns the SQL of the role that [`Maintenance`](crate::Maintenance) runs as: it owns the table, its partitions, and
/// what stands next to it, so it is also the role as which vanishing rows are deleted. It can be run again, by any
/// client, after [`Migrations`](crate::Migrations) are applied, and whenever they were applied as another role. The
/// role cannot log in: grant it to those that do.
#[must_use]
pub fn maintainer_role_sql(pipeline: &Pipeline, role: &Identifier) -> String {
    let layout = pipeline.layout();
    if !layout.row_life().has_table() {
        let create = create_role(role);
        return format!("-- The role of the maintainer, which has nothing to do without a table.\n{create};\n");
    }
    let names = ["_lease", "_detached", "_ids", "_slots", "_replays"]
        .map(|suffix| literal(&companion_name(layout, suffix)))
        .join(", ");
    let functions = ["_vanish", "_remember"].map(|suffix| literal(&companion(layout, suffix))).join(", ");
    let tables = format!(
        "DECLARE item text; BEGIN \
         FOR item IN SELECT oid::regclass::text FROM pg_class WHERE oid = to_regclass({table}) \
             OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass({table})) \
             OR (relnamespace = to_regnamespace({schema}) AND relkind = 'r' AND relname IN ({names})) LOOP \
             EXECUTE 'ALTER TABLE ' || item || ' OWNER TO ' || {role}; END LOOP; \
         FOR item IN SELECT to_regproc(name)::text FROM unnest(ARRAY[{functions}]) name WHERE to_regproc(name) IS NOT NULL LOOP \
             EXECUTE 'ALTER FUNCTION ' || item || '() OWNER TO ' || {role}; END LOOP; END",
        table = literal(&layout.qualified_name()),
        schema = literal(&layout.schema().to_string()),
        role = literal(&role.to_string()),
    );
    format!(
        "-- The role that owns the outbox table and keeps it bounded. GRANT {role} TO the maintainer's login.\n\
         {create};\n\
         GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};\n\
         DO {tables};\n",
        create = create_role(role),
        schema = layout.schema(),
        tables = literal(&tables),
    )
}

fn create_role(role: &Identifier) -> String {
    let body = format!(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN CREATE ROLE {role} NOLOGIN; END IF; END",
        literal(role.as_str())
    );
    format!("DO {}", literal(&body))
}
