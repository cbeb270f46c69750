//! The transformations of a connector (`transforms`, `predicates`), as Kafka Connect applies them to the rows of a
//! table.

mod after_router;
mod decode_message;
mod inserted_header;
mod logical_topic;
mod message_members;
mod of_heartbeat;
mod options;
mod predicate;
mod schema_metadata;
mod timestamp_router;
mod value_step;

use std::collections::BTreeSet;

use self::after_router::Step;
pub(crate) use self::after_router::{AfterRouter, Passage};
pub(super) use self::decode_message::CLASS as DECODE_CLASS;
pub(crate) use self::decode_message::DecodedMessages;
use self::inserted_header::InsertedHeader;
use self::logical_topic::{LogicalTopic, is_logical_topic_router};
pub(crate) use self::of_heartbeat::OfHeartbeat;
use self::options::{class, is_struct, listed, regex_router};
pub(crate) use self::predicate::RowSource;
use self::predicate::{Predicate, Source};
pub(crate) use self::schema_metadata::SchemaMetadata;
use self::timestamp_router::TimestampedTopic;
pub(crate) use self::value_step::ValueChange;
use self::value_step::{InsertedField, ReplacedFields, ValueStep};
use super::{ConnectorConfig, HeaderConverter, RouterConfig};
use crate::Error;
use crate::pipeline::Found;

/// The result of a connector's transformations for the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowDisposition {
    /// An EventRouter converts them into events.
    Routed,
    /// A `Filter` drops them.
    Filtered,
    /// No EventRouter sees them: they stay change events.
    NotRouted,
}

/// The transformations that concern the rows of one table, or messages.
#[derive(Clone, Debug)]
pub(crate) struct Transforms<'a> {
    /// The EventRouter that sees the rows.
    pub(crate) router: Option<&'a str>,
    is_filtered: bool,
    /// The way in which messages are decoded, if they are.
    pub(crate) decoded: Option<DecodedMessages>,
    pub(crate) after: AfterRouter,
}

const EVENT_ROUTER: &str = "io.debezium.transforms.outbox.EventRouter";
const KAFKA: &str = "org.apache.kafka.connect.transforms.";

impl<'a> Transforms<'a> {
    /// Applies the transformations to a row. Transformations that are not modelled are reported.
    pub(crate) fn of(config: &'a ConnectorConfig, rows: RowSource<'_>, found: &mut Found) -> Self {
        let mut chain = Self { router: None, is_filtered: false, decoded: None, after: AfterRouter::default() };
        let mut source = Source::new(config, rows);
        let names = listed(config, "transforms");
        if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            found.add(Error::config("transforms", names.join(","), "it has a name twice"));
        }
        if !names.iter().any(|name| class(config, name) == EVENT_ROUTER) {
            found.add(without_router(config, &names));
            return chain;
        }

        let mut unmodelled = Vec::new();
        for name in names {
            if class(config, name).is_empty() {
                let key = format!("transforms.{name}.type");
                found.add(Error::config(key, "", "Kafka Connect rejects a transformation without it"));
                continue;
            }

            let applied = Predicate::of(config, name).and_then(|predicate| match chain.router {
                None if predicate.holds_before(&source)? => {
                    unmodelled.extend(chain.apply_before(config, (name, rows), &predicate, &mut source).err());
                    Ok(())
                }
                None => Ok(()),
                Some(router) => chain.apply_after(config, (router, name), predicate, &source),
            });
            found.take(applied);

            if chain.is_filtered {
                break;
            }
        }

        // Rows that no router sees are no events.
        if chain.router.is_some() || rows == RowSource::Messages {
            unmodelled.into_iter().for_each(|error| found.add(error));
        }
        chain
    }

    /// Returns the result of the transformations for the rows.
    pub(crate) fn disposition(&self) -> RowDisposition {
        match self.router {
            _ if self.is_filtered => RowDisposition::Filtered,
            Some(_) => RowDisposition::Routed,
            None => RowDisposition::NotRouted,
        }
    }

    /// Applies a transformation to change events, before an EventRouter has seen them.
    fn apply_before(
        &mut self,
        config: &'a ConnectorConfig,
        (name, rows): (&'a str, RowSource<'_>),
        predicate: &Predicate,
        source: &mut Source,
    ) -> Result<(), Error> {
        match Transformation::of(config, name) {
            // A message that is not decoded is no change event, and passes unchanged.
            Transformation::EventRouter if rows == RowSource::Messages && self.decoded.is_none() => {}
            Transformation::EventRouter => self.router = Some(name),
            Transformation::DecodeMessage if rows == RowSource::Messages => {
                self.decoded = Some(DecodedMessages::of(config, name)?);
            }
            Transformation::DecodeMessage => {}
            Transformation::Filter => self.is_filtered = true,
            Transformation::RegexRouter => source.topic = regex_router(config, name)?.topic(&source.topic)?,
            Transformation::TimestampRouter => {
                let reason = "before the EventRouter Debezium's task fails at it, because records have no timestamp yet: list it \
                              after the EventRouter";
                return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
            }
            // The EventRouter makes another key.
            Transformation::LogicalTopic => {
                if let Some(topic) = LogicalTopic::of(config, name)?.topic(&source.topic)? {
                    self.after.schemas_of = Some(topic.clone());
                    source.topic = topic;
                }
            }
            Transformation::InsertHeader => {
                let header = InsertedHeader::of(config, name, HeaderConverter::of(config)?)?;
                source.headers.push(header.name.clone());
                self.after.leading.push(header);
            }
            Transformation::DropHeaders => {
                let dropped = dropped_headers(config, name, predicate)?;
                source.headers.retain(|header| !dropped.contains(header));
                self.after.leading.retain(|header| !dropped.contains(&header.name));
            }
            Transformation::TimescaleDb if holds_chunks(config, name, &source.schema) => {
                let reason = "it gives rows of hypertables other topics and headers, which is not modelled";
                return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
            }
            Transformation::Tracing | Transformation::TimescaleDb => {}
            // The EventRouter makes another key.
            Transformation::SetSchemaMetadata if class(config, name).ends_with("$Key") => {}
            Transformation::SetSchemaMetadata
            | Transformation::ReplaceField
            | Transformation::InsertField
            | Transformation::ExtractNewRecordState
            | Transformation::Other => {
                let reason = "it changes rows before the EventRouter sees them, which is not modelled: restrict it to \
                              other tables by a predicate";
                return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
            }
        }
        Ok(())
    }

    /// Adds the effect of a transformation on the records of the EventRouter.
    fn apply_after(
        &mut self,
        config: &ConnectorConfig,
        (router, name): (&str, &str),
        predicate: Predicate,
        source: &Source,
    ) -> Result<(), Error> {
        if !predicate.may_hold_after(config, router, source, self.after.changes()) {
            return Ok(());
        }

        let step = match Transformation::of(config, name) {
            // Records that are no change events pass unchanged, unless they have no value.
            Transformation::EventRouter => Step::DropNullValue,
            Transformation::ExtractNewRecordState if keeps_tombstones(config, name) => return Ok(()),
            Transformation::ExtractNewRecordState => Step::DropNullValue,
            Transformation::Filter => Step::DropRecord,
            Transformation::RegexRouter => Step::Topic(regex_router(config, name)?),
            Transformation::TimestampRouter => {
                let key = format!("transforms.{router}.table.field.event.timestamp");
                if config.trimmed(&key).is_none_or(str::is_empty) {
                    let reason = "without it, the topics of a TimestampRouter have the time at which a record is written, and after \
                                  a crash an event could be written to two topics: name a timestamp column";
                    return Err(Error::config(key, "", reason));
                }
                Step::TimestampedTopic(timestamped_topic(config, name)?)
            }
            Transformation::SetSchemaMetadata => {
                Step::Value(ValueStep::SetSchema(schema_metadata(config, router, name)?))
            }
            Transformation::ReplaceField => {
                self.after.value_changed_by.get_or_insert_with(|| format!("transforms.{name}.type"));
                Step::Value(ValueStep::Replace(ReplacedFields::of(config, router, name)?))
            }
            Transformation::InsertField => {
                self.after.value_changed_by.get_or_insert_with(|| format!("transforms.{name}.type"));
                for field in InsertedField::of(config, router, name)? {
                    self.after.push(predicate.clone(), Step::Value(ValueStep::Insert(field)), source);
                }
                return Ok(());
            }
            Transformation::LogicalTopic => {
                LogicalTopic::of(config, name)?;
                let pattern = config.trimmed(&format!("transforms.{name}.topic.regex")).unwrap_or_default();
                if !predicate::may_match_topics(pattern, config, router, self.after.changes()) {
                    return Ok(());
                }
                let reason = "after the EventRouter Debezium's task fails at it, because keys of events are no structs: list it \
                              before the EventRouter, or restrict it to other topics by a predicate";
                return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
            }
            Transformation::InsertHeader => {
                Step::Insert(InsertedHeader::of(config, name, HeaderConverter::of(config)?)?)
            }
            Transformation::DropHeaders => {
                let dropped = dropped_headers(config, name, &predicate)?;
                if dropped.iter().any(|header| header == "id") {
                    self.after.id_dropped_by.get_or_insert_with(|| format!("transforms.{name}.headers"));
                }
                Step::DropHeaders(dropped)
            }
            // Records of the EventRouter are no change events.
            Transformation::Tracing | Transformation::TimescaleDb => return Ok(()),
            Transformation::DecodeMessage => {
                let reason = "it fails at records without a schema, which the EventRouter may make: place it before the \
                              EventRouter";
                return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
            }
            Transformation::Other => {
                let reason = "it may change the records of events, which is not modelled: restrict it to other topics by a \
                              predicate, or remove it";
                return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
            }
        };

        self.after.push(predicate, step, source);
        Ok(())
    }
}

/// The transformations that are known.
#[derive(Clone, Copy)]
enum Transformation {
    EventRouter,
    /// It changes logical decoding messages only.
    DecodeMessage,
    Filter,
    RegexRouter,
    TimestampRouter,
    LogicalTopic,
    InsertHeader,
    DropHeaders,
    SetSchemaMetadata,
    ReplaceField,
    InsertField,
    ExtractNewRecordState,
    /// It does something only if OpenTelemetry is on the class path of Kafka Connect.
    Tracing,
    /// It changes the rows of chunks of hypertables only.
    TimescaleDb,
    Other,
}

impl Transformation {
    fn of(config: &ConnectorConfig, name: &str) -> Self {
        let class = class(config, name);
        match (class, class.strip_prefix(KAFKA)) {
            (EVENT_ROUTER, _) => Self::EventRouter,
            (class, _) if is_logical_topic_router(class) => Self::LogicalTopic,
            (decode_message::CLASS, _) => Self::DecodeMessage,
            ("io.debezium.transforms.ExtractNewRecordState", _) => Self::ExtractNewRecordState,
            ("io.debezium.transforms.tracing.ActivateTracingSpan", _) => Self::Tracing,
            ("io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb", _) => Self::TimescaleDb,
            (_, Some("Filter")) => Self::Filter,
            (_, Some("RegexRouter")) => Self::RegexRouter,
            (_, Some("TimestampRouter")) => Self::TimestampRouter,
            (_, Some("InsertHeader")) => Self::InsertHeader,
            (_, Some("DropHeaders")) => Self::DropHeaders,
            (_, Some("ReplaceField$Key" | "ReplaceField$Value")) => Self::ReplaceField,
            (_, Some("InsertField$Key" | "InsertField$Value")) => Self::InsertField,
            (_, Some("SetSchemaMetadata$Key" | "SetSchemaMetadata$Value")) => Self::SetSchemaMetadata,
            _ => Self::Other,
        }
    }
}

fn without_router(config: &ConnectorConfig, names: &[&str]) -> Error {
    match names {
        [name] => {
            Error::config(format!("transforms.{name}.type"), class(config, name), format!("it is {EVENT_ROUTER}"))
        }
        _ => Error::config("transforms", names.join(","), "an outbox pipeline has an EventRouter"),
    }
}

/// Returns whether a TimescaleDb transformation treats the tables of a schema as chunks of hypertables.
fn holds_chunks(config: &ConnectorConfig, name: &str, schema: &str) -> bool {
    let key = format!("transforms.{name}.schema.list");
    match config.trimmed(&key) {
        Some(list) if !list.is_empty() => listed(config, &key).contains(&schema),
        _ => schema == "_timescaledb_internal",
    }
}

/// Returns the names of the headers that a DropHeaders drops.
fn dropped_headers(config: &ConnectorConfig, name: &str, predicate: &Predicate) -> Result<Vec<String>, Error> {
    let key = format!("transforms.{name}.headers");
    let headers: Vec<String> = listed(config, &key).into_iter().map(str::to_owned).collect();
    if headers.is_empty() {
        return Err(Error::config(key, "", "Kafka Connect rejects a DropHeaders without names"));
    }
    let is_context = |header: &String| header.starts_with(predicate::CONTEXT);
    if predicate.is_condition() && headers.iter().any(is_context) && predicate::has_context_headers(config) {
        let reason = "the headers of the connector can be dropped without a predicate only: remove it, or set \
                      extended.headers.enabled to false";
        return Err(Error::config(key, "", reason));
    }
    Ok(headers)
}

impl ConnectorConfig {
    /// Returns what the transformations make of the rows of a table.
    ///
    /// # Errors
    /// A predicate cannot be used, or a transformation changes the rows or their records in a way that is not modelled.
    pub fn disposition(&self, schema: &str, table: &str) -> Result<RowDisposition, Error> {
        let mut found = Found::default();
        let disposition = Transforms::of(self, RowSource::Table(schema, table), &mut found).disposition();
        found.into_result().map(|()| disposition)
    }

    /// Returns the name of the EventRouter that sees the rows of a table, if one does.
    #[must_use]
    pub fn router_of(&self, schema: &str, table: &str) -> Option<&str> {
        Transforms::of(self, RowSource::Table(schema, table), &mut Found::default()).router
    }

    /// Returns whether an option of the EventRouter that sees the rows of a table names a column.
    #[must_use]
    pub fn uses_column(&self, table: (&str, &str), column: &str) -> bool {
        let mut found = Found::default();
        let router = Transforms::of(self, RowSource::Table(table.0, table.1), &mut found).router;
        let router = router.and_then(|name| RouterConfig::of(self, name, &mut found));
        router.is_some_and(|router| router.names(column))
    }

    /// Returns the names of all EventRouters, in their order.
    pub fn routers(&self) -> impl Iterator<Item = &str> {
        listed(self, "transforms").into_iter().filter(|name| class(self, name) == EVENT_ROUTER)
    }

    /// Returns the names of the headers that a `DropHeaders` without a predicate drops from every record.
    #[must_use]
    pub fn dropped_headers(&self) -> BTreeSet<&str> {
        let is_unconditional = |name: &&str| {
            matches!(Transformation::of(self, name), Transformation::DropHeaders)
                && Predicate::of(self, name).is_ok_and(|predicate| !predicate.is_condition())
        };
        let dropping = listed(self, "transforms").into_iter().filter(is_unconditional);
        dropping.flat_map(|name| listed(self, &format!("transforms.{name}.headers"))).collect()
    }
}

/// Returns whether records without a value pass an ExtractNewRecordState.
fn keeps_tombstones(config: &ConnectorConfig, name: &str) -> bool {
    let mode = config.trimmed(&format!("transforms.{name}.delete.tombstone.handling.mode")).unwrap_or_default();
    mode.eq_ignore_ascii_case("rewrite-with-tombstone")
}

/// Returns the topics of a TimestampRouter.
fn timestamped_topic(config: &ConnectorConfig, name: &str) -> Result<TimestampedTopic, Error> {
    let format_key = format!("transforms.{name}.timestamp.format");
    let format = config.trimmed(&format_key).unwrap_or("yyyyMMdd");
    let topic_format = config.trimmed(&format!("transforms.{name}.topic.format")).unwrap_or("${topic}-${timestamp}");
    TimestampedTopic::new(topic_format, format).map_err(|reason| Error::config(format_key, format, reason))
}

/// Returns the name and the version that a SetSchemaMetadata gives to the schemas of a router's values.
fn schema_metadata(config: &ConnectorConfig, router: &str, name: &str) -> Result<SchemaMetadata, Error> {
    let key = |option: &str| format!("transforms.{name}.{option}");
    if class(config, name).ends_with("$Key") {
        return Err(Error::config(
            key("type"),
            class(config, name),
            "Debezium's task fails at it, because keys of events are no structs",
        ));
    }
    if !is_struct(config, router) {
        let reason = "Debezium's task fails at it, because values are no structs: they are with \
                      table.expand.json.payload=true, or with a column in the envelope";
        return Err(Error::config(key("type"), class(config, name), reason));
    }

    let version = config.trimmed(&key("schema.version"));
    let number = version.map(|version| {
        version.parse().map_err(|_| Error::config(key("schema.version"), version, "it is not a number of 32 bits"))
    });
    let metadata =
        SchemaMetadata { name: config.get(&key("schema.name")).map(str::to_owned), version: number.transpose()? };
    if metadata == SchemaMetadata::default() {
        let reason = "Kafka Connect rejects it without schema.name and schema.version";
        return Err(Error::config(key("type"), class(config, name), reason));
    }
    Ok(metadata)
}
