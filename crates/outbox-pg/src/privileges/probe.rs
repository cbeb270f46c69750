use outbox_core::{Identifier, Pipeline, TableLayout};

use super::problem::PrivilegeProblem;
use crate::migration::row_life::id;
use crate::sql_text::{companion, literal};

/// A privilege that a role is to have, or not to have.
pub(super) struct Probe {
    /// An SQL condition that is true if the role, named `role`, has the privilege.
    pub(super) sql: String,
    pub(super) is_wanted: bool,
    right: String,
    object: String,
    remedy: Option<String>,
}

impl Probe {
    pub(super) fn problem(self, role: &Identifier) -> PrivilegeProblem {
        let Self { right, object, is_wanted, remedy, .. } = self;
        let role = role.clone();
        if is_wanted {
            let remedy = remedy.unwrap_or_else(|| format!("run GRANT {right} ON {object} TO {role}"));
            PrivilegeProblem::Lacks { role, right, object, remedy }
        } else {
            let remedy = remedy.unwrap_or_else(|| {
                format!(
                    "run REVOKE {right} ON {object} FROM {role}, PUBLIC, and look at the roles that it is a member of"
                )
            });
            PrivilegeProblem::Has { role, right, object, remedy }
        }
    }

    fn on_table(table: &str, right: &str, is_wanted: bool) -> Self {
        Self {
            sql: format!("has_table_privilege(role, to_regclass({})::oid, '{right}')", literal(table)),
            is_wanted,
            right: right.to_owned(),
            object: format!("TABLE {table}"),
            remedy: None,
        }
    }

    fn on_schema(layout: &TableLayout, right: &str, is_wanted: bool) -> Self {
        let schema = layout.schema();
        Self {
            sql: format!(
                "has_schema_privilege(role, to_regnamespace({})::oid, '{right}')",
                literal(&schema.to_string())
            ),
            is_wanted,
            right: right.to_owned(),
            object: format!("SCHEMA {schema}"),
            remedy: None,
        }
    }

    fn attribute(column: &str, name: &str, is_wanted: bool) -> Self {
        let word = if is_wanted { name.to_owned() } else { format!("NO{name}") };
        Self {
            sql: format!("SELECT {column} FROM pg_roles WHERE rolname = role"),
            is_wanted,
            right: name.to_owned(),
            object: "the server".to_owned(),
            remedy: Some(format!("run ALTER ROLE … {word}")),
        }
    }

    fn other(sql: String, is_wanted: bool, right: &str, object: String, remedy: &str) -> Self {
        Self { sql, is_wanted, right: right.to_owned(), object, remedy: Some(remedy.to_owned()) }
    }
}

/// Returns the probes of the application's role: only INSERT. The owner's trigger deletes rows on insert, so that it
/// need not even read the id.
pub(super) fn application(layout: &TableLayout) -> Vec<Probe> {
    let table = layout.qualified_name();
    let of_role = [
        Probe::attribute("rolsuper", "SUPERUSER", false),
        Probe::attribute("rolreplication", "REPLICATION", false),
        Probe::attribute("rolbypassrls", "BYPASSRLS", false),
    ];

    if !layout.row_life().has_table() {
        let mut probes = Vec::from(of_role);
        // From PostgreSQL 17 on it has one more parameter.
        let sql = "SELECT bool_and(has_function_privilege(role, oid, 'EXECUTE')) FROM pg_proc
                   WHERE proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::regnamespace
                       AND proargtypes[2] = 'text'::regtype";
        let object = "FUNCTION pg_logical_emit_message";
        let remedy = "grant it again: it is granted to PUBLIC by default";
        probes.push(Probe::other(sql.to_owned(), true, "EXECUTE", object.to_owned(), remedy));
        return probes;
    }

    let mut probes = vec![
        Probe::on_schema(layout, "USAGE", true),
        Probe::on_schema(layout, "CREATE", false),
        Probe::on_table(&table, "INSERT", true),
    ];
    probes.extend(of_role);

    let others = ["SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
    probes.extend(others.map(|right| Probe::on_table(&table, right, false)));

    let name = literal(&table);
    probes.push(Probe::other(
        format!(
            "has_any_column_privilege(role, to_regclass({name})::oid, 'SELECT') \
             AND NOT has_table_privilege(role, to_regclass({name})::oid, 'SELECT')"
        ),
        false,
        "SELECT",
        format!("columns of {table}"),
        &format!("revoke it, unless another program deletes its own rows by {}", id(layout)),
    ));

    probes.extend(
        beside(layout).flat_map(|table| {
            ["SELECT", "INSERT", "UPDATE", "DELETE"].map(|right| Probe::on_table(&table, right, false))
        }),
    );
    probes
}

/// Returns the probes of the connector's role: only SELECT, and of this table only.
pub(super) fn connector(pipeline: &Pipeline) -> Vec<Probe> {
    let layout = pipeline.layout();
    let (table, name) = (layout.qualified_name(), literal(&layout.qualified_name()));
    let mut probes = vec![
        // On Amazon RDS, it is the membership that lets a role replicate.
        Probe::other(
            "SELECT rolreplication OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication' \
                 AND pg_has_role(role, oid, 'MEMBER')) FROM pg_roles WHERE rolname = role"
                .to_owned(),
            true,
            "REPLICATION",
            "the server".to_owned(),
            "run the script of connector_role_sql, or of connector_role_sql_on where the server is managed",
        ),
        Probe::attribute("rolcanlogin", "LOGIN", true),
        Probe::attribute("rolsuper", "SUPERUSER", false),
        Probe::attribute("rolbypassrls", "BYPASSRLS", false),
    ];

    if !layout.row_life().has_table() {
        return probes;
    }

    probes.extend([
        Probe::on_schema(layout, "USAGE", true),
        Probe::on_schema(layout, "CREATE", false),
        Probe::on_table(&table, "SELECT", true),
        Probe::other(
            format!(
                "EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                 WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema')
                     AND nspname NOT LIKE 'pg\\_%' AND pg_class.oid <> to_regclass({name})
                     AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
                         AND objid = pg_class.oid AND deptype = 'e')
                     AND has_schema_privilege(role, pg_namespace.oid, 'USAGE')
                     AND has_any_column_privilege(role, pg_class.oid, 'SELECT'))"
            ),
            false,
            "SELECT",
            "other tables".to_owned(),
            "revoke it; information_schema.role_table_grants shows which",
        ),
        Probe::other(
            format!(
                "EXISTS (SELECT FROM pg_publication WHERE pubname <> {})",
                literal(pipeline.publication().as_str())
            ),
            false,
            "REPLICATION",
            "other publications of this database".to_owned(),
            "know that it can read them: PostgreSQL checks no right on a publication",
        ),
    ]);

    let others = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
    probes.extend(others.map(|right| Probe::on_table(&table, right, false)));
    probes
}

/// Returns the owner, and no more.
pub(super) fn maintainer(layout: &TableLayout) -> Vec<Probe> {
    if !layout.row_life().has_table() {
        return Vec::new();
    }

    let owned = "run the script of maintainer_role_sql";
    let owns = |table: &str| {
        let sql = format!(
            "SELECT bool_and(pg_has_role(role, relowner, 'USAGE')) FROM pg_class WHERE oid = to_regclass({name}) \
             OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass({name}))",
            name = literal(table)
        );
        Probe::other(sql, true, "ownership", table.to_owned(), owned)
    };

    let runs_as_owner = |function: String| {
        let name = literal(&function);
        let sql = format!(
            "SELECT to_regproc({name}) IS NULL OR pg_has_role(role, proowner, 'USAGE') FROM (SELECT) always \
             LEFT JOIN pg_proc ON pg_proc.oid = to_regproc({name})"
        );
        Probe::other(sql, true, "ownership", function, owned)
    };

    vec![
        owns(&layout.qualified_name()),
        runs_as_owner(companion(layout, "_vanish")),
        runs_as_owner(companion(layout, "_remember")),
        Probe::on_schema(layout, "USAGE", true),
        Probe::on_schema(layout, "CREATE", true),
        Probe::attribute("rolsuper", "SUPERUSER", false),
        Probe::attribute("rolreplication", "REPLICATION", false),
        Probe::attribute("rolbypassrls", "BYPASSRLS", false),
    ]
}

fn beside(layout: &TableLayout) -> impl Iterator<Item = String> {
    ["_lease", "_detached", "_ids", "_slots", "_replays"].into_iter().map(|suffix| companion(layout, suffix))
}
