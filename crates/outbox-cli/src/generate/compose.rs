use outbox_core::{Identifier, Pipeline};

use super::sql::{self, ScriptRoles};
use super::yaml::{block, quoted};
use crate::exit::Failure;

/// The connection of the connector, and the variable of Kafka Connect's environment with each part.
const CONNECTION: [(&str, &str); 5] = [
    ("database.hostname", "${env:OUTBOX_DB_HOST}"),
    ("database.port", "${env:OUTBOX_DB_PORT}"),
    ("database.user", "${env:OUTBOX_DB_USER}"),
    ("database.password", "${env:OUTBOX_DB_PASSWORD}"),
    ("database.dbname", "${env:OUTBOX_DB_NAME}"),
];

/// The role that the connector reads as.
const ROLE: &str = "outbox_connector";

/// Returns the compose file of the servers, with everything that sets them up.
pub(super) fn file(pipeline: &Pipeline) -> Result<String, Failure> {
    let role = Identifier::new(ROLE).map_err(|e| Failure::usage("the connector's role has no name").caused_by(&e))?;
    let roles = ScriptRoles { connector_role: Some(role), ..ScriptRoles::default() };
    let connection = CONNECTION.iter();
    let config = connection.fold(pipeline.config().clone(), |config, (key, value)| config.with(*key, *value));
    let name = pipeline.slot().as_str();
    let url = format!("http://connect:8083/connectors/{name}/config");
    let register = format!(
        "curl --silent --show-error --fail-with-body --output /dev/null -X PUT -H 'content-type: application/json' \
         --data @/connector.json {url} && touch /tmp/registered && exec sleep infinity"
    );

    let text = TEMPLATE
        .replace("{name}", &quoted(&name.replace('_', "-")))
        .replace("{register}", &quoted(&uninterpolated(&register)))
        .replace("{role}", ROLE)
        .replace("{setup}", &block(&uninterpolated(&sql::script(pipeline, &roles)), 6))
        .replace("{connector}", &block(&uninterpolated(&config.to_json()), 6));
    Ok(text)
}

/// Escapes text that compose would treat as a variable.
fn uninterpolated(text: &str) -> String {
    text.replace('$', "$$")
}

const TEMPLATE: &str = include_str!("compose.yml");
