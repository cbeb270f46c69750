use std::collections::HashSet;

use outbox_core::layout::EventField;

use super::server_check::{CheckStatus, ServerCheck};
use crate::driver::catalog::{self, Scope};
use crate::driver::{Relay, publication};
use crate::rows::OutboxTables;
use outbox_wal::{ConnectOptions, Inspection, Published, RowSample, Source, TableName};

/// The difference of clocks above which there is a warning, in seconds.
const SKEW: f64 = 5.0;

/// Returns the checks of PostgreSQL, and a sample of the outbox table's rows.
pub(super) async fn check(relay: &Relay) -> (Vec<ServerCheck>, RowSample) {
    let settings = &relay.settings;
    let source = settings.included().source(settings.slot().as_str(), settings.publication().as_str());
    let inspected = async {
        let options = relay.options.choose_server().await?;
        let inspection = outbox_wal::inspect(&options, &source).await?;
        Ok::<_, outbox_wal::Error>((options, inspection))
    };

    let (options, inspection) = match inspected.await {
        Ok(inspected) => inspected,
        Err(error) => {
            let rest = ["replication connection", "publication", "tables", "slot"];
            let rest = rest.map(|name| ServerCheck::skipped(name, "PostgreSQL cannot be asked"));
            let checks = std::iter::once(ServerCheck::failed("PostgreSQL", &error)).chain(rest);
            return (checks.collect(), RowSample::default());
        }
    };

    let role = settings.postgres().user();
    let mut checks = vec![ServerCheck::ok("PostgreSQL", format!("version {}, as {role}", inspection.version))];
    checks.push(server(&inspection));
    checks.push(replication(&options).await);
    let (tables, found) = tables(relay, &options, &source).await;
    checks.extend(found);
    checks.extend(slot(relay, &options, &source, &inspection).await);
    checks.push(catch_up(&inspection));
    checks.push(clock(&inspection));
    let mut samples = RowSample::default();
    for table in tables {
        match sample(relay, &options, &table).await {
            Ok(sample) => {
                samples.values.extend(sample.values);
                samples.longest = samples.longest.max(sample.longest);
            }
            Err(check) => checks.push(check),
        }
    }

    (checks, samples)
}

fn server(inspection: &Inspection) -> ServerCheck {
    let name = "server";
    if inspection.is_standby {
        let check = ServerCheck::warning(name, "it is a standby, and the relay waits until it is promoted");
        return check.with_remedy("set database.hostname to the primary, or list all servers");
    }
    match inspection.wal_level.as_str() {
        "logical" => ServerCheck::ok(name, "a primary with wal_level = logical"),
        other => ServerCheck::new(name, CheckStatus::Failed, format!("wal_level is {other}"))
            .with_remedy("set wal_level = logical, and restart PostgreSQL"),
    }
}

async fn replication(options: &ConnectOptions) -> ServerCheck {
    match outbox_wal::check_replication(options).await {
        Ok(()) => ServerCheck::ok("replication connection", "the role may replicate, and no pooler is in between"),
        Err(error) => ServerCheck::failed("replication connection", &error),
    }
}

/// Returns the tables that exist, and the checks of how they are published and of their columns.
async fn tables(relay: &Relay, options: &ConnectOptions, source: &Source) -> (Vec<TableName>, Vec<ServerCheck>) {
    let scope = Scope::of(&relay.settings);
    let read = async {
        let mut catalog = scope.open(options, source).await?;
        let published = catalog.published(source.slot()).await?;
        let tables = catalog::tables(&mut catalog, &published, &scope, &HashSet::new()).await?;
        Ok::<_, outbox_wal::Error>((published, tables))
    };

    let (published, tables) = match read.await {
        Ok(read) => read,
        Err(error) => {
            let rest = ServerCheck::skipped("tables", "the catalogs cannot be read");
            return (Vec::new(), vec![ServerCheck::failed("publication", &error), rest]);
        }
    };
    let exist = |name: &&TableName| published.tables.iter().any(|table| table.name == **name && table.oid.is_some());
    let names = tables.known.iter().map(|table| &table.name).filter(exist).cloned().collect();
    (names, vec![publication(&published, &scope, source), columns(relay, &tables)])
}

fn publication(published: &Published, scope: &Scope, source: &Source) -> ServerCheck {
    let name = "publication";
    match publication::check(published, scope) {
        Err(error) => ServerCheck::failed(name, &error),
        Ok(Some(problem)) => ServerCheck::new(name, CheckStatus::Failed, problem),
        Ok(None) if published.tables.is_empty() => {
            ServerCheck::ok(name, format!("{} exists, and messages need no table in it", source.publication()))
        }
        Ok(None) => {
            let tables: Vec<_> = published.tables.iter().map(|table| table.name.to_string()).collect();
            let text = format!("{} publishes all inserts into {}", source.publication(), tables.join(", "));
            ServerCheck::ok(name, text)
        }
    }
}

fn columns(relay: &Relay, tables: &OutboxTables) -> ServerCheck {
    let name = "tables";
    if let Err(error) = catalog::check(tables, &relay.settings) {
        return ServerCheck::failed(name, &error);
    }
    match catalog::unfit(tables).into_iter().next() {
        Some((table, error)) => {
            let error = outbox_net::ErrorChain::new(&error).to_string();
            let text = format!("{table} does not suit the configuration, and its rows cannot be written: {error}");
            ServerCheck::new(name, CheckStatus::Failed, text)
        }
        None => ServerCheck::ok(name, "the configuration suits their columns"),
    }
}

/// Checks the slot and its synchronization to standbys. A slot that another process holds is no fault, because a
/// standby waits for it.
async fn slot(relay: &Relay, options: &ConnectOptions, source: &Source, inspection: &Inspection) -> Vec<ServerCheck> {
    let name = source.slot();
    if let Err(error) = outbox_wal::check_slot(options, source).await {
        return vec![ServerCheck::failed("slot", &error)];
    }
    let state = match inspection.slot_holder {
        Some(pid) => ServerCheck::ok("slot", format!("{name} is held by PID {pid}: the relay waits until it is free")),
        None => ServerCheck::ok("slot", format!("{name} is free, and has no two_phase")),
    };

    let is_wanted = relay.settings.has_failover_slot();
    let failover = match (inspection.has_failover, inspection.synchronized_standby_slots.as_deref()) {
        (None, _) => ServerCheck::ok("slot failover", "this version of PostgreSQL cannot synchronize slots"),
        (Some(false), _) if is_wanted => {
            ServerCheck::warning("slot failover", "the slot is not synchronized to standbys, as slot.failover demands")
                .with_remedy("drop the slot when all is confirmed, and create it again with failover => true")
        }
        (Some(false), _) => ServerCheck::ok("slot failover", "off: after a failover, a new slot is needed"),
        (Some(true), None | Some("")) => {
            let text = "on, but the relay may send transactions that a failover loses";
            ServerCheck::warning("slot failover", text).with_remedy("set synchronized_standby_slots on the primary")
        }
        (Some(true), Some(_)) => ServerCheck::ok("slot failover", "on"),
    };
    vec![state, failover]
}

fn catch_up(inspection: &Inspection) -> ServerCheck {
    let name = "catch-up";
    if !inspection.may_copy_slots {
        return ServerCheck::warning(name, "the role may not copy slots, and backlogs are read more slowly").with_remedy(
            "grant EXECUTE on pg_copy_logical_replication_slot(name, name, boolean) and pg_logical_slot_get_binary_changes",
        );
    }
    if inspection.free_slots < 1 {
        let text = "no slot is free for a copy, and backlogs are read more slowly";
        return ServerCheck::warning(name, text).with_remedy("raise max_replication_slots");
    }
    ServerCheck::ok(name, "backlogs are read from copies of the slot")
}

fn clock(inspection: &Inspection) -> ServerCheck {
    let ahead = inspection.clock_ahead;
    if ahead.abs() < SKEW {
        return ServerCheck::ok("clock", "PostgreSQL's clock and this machine's agree");
    }
    let text = format!("PostgreSQL's clock differs from this machine's by {ahead:.0} s: lag_seconds is wrong by that");
    ServerCheck::warning("clock", text).with_remedy("synchronize the clocks by NTP")
}

/// Reads a sample of a table's rows. The relay does not need the privilege to read them.
async fn sample(relay: &Relay, options: &ConnectOptions, table: &TableName) -> Result<RowSample, ServerCheck> {
    let columns = relay.settings.pipeline().layout().columns();
    let routed = columns.iter().find(|column| column.field() == Some(EventField::AggregateType));
    let Some(routed) = routed else { return Ok(RowSample::default()) };
    let sample = outbox_wal::sample(options, &table.schema, &table.table, routed.name().as_str());
    sample.await.map_err(|error| {
        let error = outbox_net::ErrorChain::new(&error).to_string();
        let text = format!("topics and sizes of rows cannot be read from {table}: {error}");
        ServerCheck::skipped("rows", text)
            .with_remedy("name topics by --topic, or grant SELECT to the role for this check")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_reported() {
        let inspection = Inspection {
            version: "18.0".to_owned(),
            is_standby: false,
            wal_level: "logical".to_owned(),
            free_slots: 1,
            may_copy_slots: true,
            synchronized_standby_slots: None,
            has_failover: None,
            slot_holder: None,
            clock_ahead: -1.5,
        };
        assert_eq!(clock(&inspection).status(), CheckStatus::Ok);

        let late = clock(&Inspection { clock_ahead: -90.0, ..inspection.clone() });
        assert!(late.status() == CheckStatus::Warning && late.detail().contains("-90 s"), "{late}");
        let full = catch_up(&Inspection { free_slots: 0, ..inspection });
        assert!(full.to_string().contains("max_replication_slots"), "{full}");
    }
}
