use outbox_core::{Identifier, Pipeline};

use crate::sql_text::{companion, companion_name, literal};

/// The operator of the PostgreSQL server, which decides how a role gets the privilege to replicate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platform {
    /// A server of your own, with a superuser, or from PostgreSQL 16 on a role with CREATEROLE and REPLICATION.
    #[default]
    SelfManaged,
    /// Amazon RDS and Aurora: by membership in `rds_replication`.
    AmazonRds,
    /// Google Cloud SQL and AlloyDB: by the attribute, which members of `cloudsqlsuperuser` may give.
    CloudSql,
    /// Azure Database for PostgreSQL, flexible server: by the attribute, which the administrator may give.
    Azure,
    /// Neon: roles that are created by its console, CLI or API can replicate, and others cannot.
    Neon,
    /// Supabase: by the attribute, which the role `postgres` may give.
    Supabase,
}

impl Platform {
    /// Returns what to do before the script is run.
    fn notes(self) -> &'static str {
        match self {
            Self::SelfManaged => {
                "Run it as a superuser, or from PostgreSQL 16 on as a role with CREATEROLE and REPLICATION."
            }
            Self::AmazonRds => {
                "Set rds.logical_replication = 1 in the parameter group, restart, and run it as the master user."
            }
            Self::CloudSql => {
                "Set the flag cloudsql.logical_decoding = on, and run it as a member of cloudsqlsuperuser."
            }
            Self::Azure => "Set the server parameter wal_level = logical, restart, and run it as the administrator.",
            Self::Neon => {
                "Enable logical replication in the project's settings, and create the role by the console, the CLI or the API, \
                 which gives it REPLICATION and a password. It can then read all tables: neon_superuser may."
            }
            Self::Supabase => "Run it as the role postgres. Connect to the database directly, not through the pooler.",
        }
    }

    /// Returns the statements that let a role log in and replicate.
    fn login(self, role: &Identifier) -> String {
        let create = literal(&format!("CREATE ROLE {role}"));
        let create = format!(
            "SELECT {create}\nWHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) \\gexec\n",
            literal(role.as_str())
        );
        let password = format!(
            "\\if :{{?password}}\nALTER ROLE {role} PASSWORD :'password';\n\\else\n\\password {role}\n\\endif\n"
        );

        match self {
            Self::Neon => String::new(),
            Self::AmazonRds => {
                format!("{create}ALTER ROLE {role} LOGIN;\n{password}GRANT rds_replication TO {role};\n")
            }
            _ => format!("{create}ALTER ROLE {role} LOGIN REPLICATION;\n{password}"),
        }
    }
}

/// Returns the SQL of the role that the connector logs in with, for `psql -f`: `REPLICATION`, `USAGE` on the schema and
/// `SELECT` on the table, and nothing else. It can be run again. `psql` asks for the password and sends only its hash,
/// so that the password is in no command line and in no log. Without a terminal, `-v password=…` takes a password, or
/// better its SCRAM verifier.
///
/// `REPLICATION` covers the whole server: with the password, every database's WAL can be read through a slot. Let
/// `pg_hba.conf` admit the role from the connector's host only.
///
/// It is the script for a server of your own; [`connector_role_sql_on`] has those for managed ones.
#[must_use]
pub fn connector_role_sql(pipeline: &Pipeline, role: &Identifier) -> String {
    connector_role_sql_on(pipeline, role, Platform::SelfManaged)
}

/// Returns the script of [`connector_role_sql`] for a managed server, where no role is a superuser.
#[must_use]
pub fn connector_role_sql_on(pipeline: &Pipeline, role: &Identifier, platform: Platform) -> String {
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
         -- psql -v ON_ERROR_STOP=1 -d DATABASE -f connector-role.sql\n\
         -- {notes}\n\
         {login}\
         SELECT format('GRANT CONNECT ON DATABASE %I TO {escaped}', current_database()) \\gexec\n\
         {on_table}",
        notes = platform.notes(),
        login = platform.login(role),
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

    let table = layout.qualified_name();
    // One statement, so that a service which enqueues meanwhile always has the privilege, also if `psql` commits each.
    let privileges =
        format!("BEGIN REVOKE ALL ON TABLE {table} FROM PUBLIC, {role}; GRANT INSERT ON TABLE {table} TO {role}; END");

    format!(
        "-- The role that services enqueue with, and all that it may do. GRANT {role} TO the service's login.\n\
         {create};\n\
         GRANT USAGE ON SCHEMA {schema} TO {role};\n\
         DO {privileges};\n",
        create = create_role(role),
        schema = layout.schema(),
        privileges = literal(&privileges),
    )
}

/// Returns the SQL of the role that [`Maintenance`](crate::Maintenance) runs as: it owns the table, its partitions, and
/// the tables next to it, so it is also the role as which rows are deleted on insert. It can be run again, by any
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
         DO {join};\n\
         GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};\n\
         DO {tables};\n",
        create = create_role(role),
        join = literal(&join(role)),
        schema = layout.schema(),
        tables = literal(&tables),
    )
}

/// Lets the present role transfer its objects, for which it must be a member. From PostgreSQL 16 on, the creator of a
/// role is a member that may not use its privileges.
fn join(role: &Identifier) -> String {
    let name = literal(role.as_str());
    format!(
        "BEGIN IF NOT pg_has_role({name}, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END) \
         THEN EXECUTE format('GRANT %I TO %I', {name}, current_user); END IF; END"
    )
}

fn create_role(role: &Identifier) -> String {
    let body = format!(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN CREATE ROLE {role} NOLOGIN; END IF; END",
        literal(role.as_str())
    );
    format!("DO {}", literal(&body))
}
