use std::path::Path;
use std::time::Duration;

use outbox_core::ConnectorConfig;

use super::check::Check;
use crate::connect::{ConnectOptions, ConnectorState, Rest};
use crate::exit::Failure;
use crate::model::read_config;

/// The findings at Kafka Connect.
#[derive(Default)]
pub(super) struct Found {
    pub(super) config: Option<ConnectorConfig>,
    pub(super) checks: Vec<Check>,
}

/// Checks the worker, its plugins, the connector's state, and its configuration against the file.
pub(super) async fn check(options: &ConnectOptions, name: &str, file: Option<&Path>, limit: Duration) -> Found {
    let mut found = Found::default();
    if let Err(failure) = look(options, name, file, limit, &mut found).await {
        let check = Check::failed("kafka connect", failure.to_string());
        found.checks.push(check.remedy("start a worker, or check --connect-url and the login"));
    }
    found
}

/// Adds the checks of Kafka Connect to `found` one by one, so that those before an error are kept.
async fn look(
    options: &ConnectOptions,
    name: &str,
    file: Option<&Path>,
    limit: Duration,
    found: &mut Found,
) -> Result<(), Failure> {
    let rest = options.rest(limit).await?;
    found.checks.push(Check::ok("kafka connect", format!("version {}", rest.version().await?)));
    found.config = rest.config(name).await?;
    let expected = file.map(read_config).transpose()?;
    if let Some(config) = found.config.as_ref().or(expected.as_ref()) {
        found.checks.push(plugins(&rest, config).await?);
    }
    let Some(config) = &found.config else {
        let check = Check::failed("connector", format!("{name} does not exist"));
        found.checks.push(check.remedy(format!("outbox connector apply {name} FILE")));
        return Ok(());
    };

    found.checks.push(state(name, rest.status(name).await?.as_ref()));
    if let (Some(expected), Some(file)) = (expected, file) {
        let keys = expected.iter().chain(config.iter()).map(|(key, _)| key);
        let mut differing: Vec<_> = keys.filter(|key| *key != "name" && expected.get(key) != config.get(key)).collect();
        differing.sort_unstable();
        differing.dedup();
        found.checks.push(match differing.is_empty() {
            true => Check::ok("connector difference", format!("{name} has the configuration of the file")),
            false => Check::warning(
                "connector difference",
                format!("{name} differs from the file in {}", differing.join(", ")),
            )
            .remedy(format!("outbox connector apply {name} {}", file.display())),
        });
    }
    Ok(())
}

/// Checks that the worker has the classes that a configuration names.
async fn plugins(rest: &Rest, config: &ConnectorConfig) -> Result<Check, Failure> {
    let name = "connector plugin";
    let known = rest.plugins().await?;
    let is_known = |class: &str| known.iter().any(|plugin| plugin == class || plugin.rsplit('.').next() == Some(class));
    let class = |key: &str| config.get(key).map(str::trim).filter(|class| !class.is_empty());
    let transforms = class("transforms").into_iter().flat_map(|names| names.split(','));
    let transforms = transforms.filter_map(|name| class(&format!("transforms.{}.type", name.trim())));
    let keys = ["connector.class", "key.converter", "value.converter", "header.converter"];
    let named: Vec<_> = keys.into_iter().filter_map(class).chain(transforms).collect();

    let mut missing: Vec<_> = named.iter().copied().filter(|class| !is_known(class)).collect();
    missing.dedup();
    Ok(match missing.is_empty() {
        true => Check::ok(name, format!("the worker has {}", named.first().copied().unwrap_or_default())),
        false => Check::failed(name, format!("the worker does not have {}", missing.join(", ")))
            .remedy("install the plugin of Debezium for PostgreSQL in plugin.path, and restart the worker"),
    })
}

fn state(name: &str, state: Option<&ConnectorState>) -> Check {
    let Some(state) = state else { return Check::warning("connector", format!("{name} has no state yet")) };
    let summary = format!("{name} is {}", state.summary());
    if state.is_running() {
        return Check::ok("connector", summary);
    }

    let remedy = match state.is_good() {
        true => format!("outbox connector resume {name}: PostgreSQL keeps the WAL meanwhile"),
        // Debezium advises a snapshot, which would publish every row again.
        false if summary.contains("no longer available on the server") => format!(
            "its offsets are of a slot that was lost: outbox connector stop {name}, outbox connector offsets {name} --delete, \
             outbox slot create SLOT --recreate, outbox connector resume {name}, outbox replay run NAME --missed"
        ),
        false => format!("fix the cause, then outbox connector restart {name} --only-failed"),
    };
    Check::failed("connector", summary).remedy(remedy)
}
