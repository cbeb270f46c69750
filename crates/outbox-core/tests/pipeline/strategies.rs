//! Whole pipelines: a table, a connector's configuration for it, and a row.

use outbox_core::bytes::Bytes;
use outbox_core::layout::{Column, ColumnType, ColumnValue, EventField, Nullability};
use outbox_core::uuid::Uuid;
use outbox_core::{ConnectorConfig, TableLayout};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::fixtures::{BINARY_DATA, BYTE_ARRAY, JSON, STRING, identifier, layout, router};
use crate::texts;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Envelope,
    Partition,
}

/// A configuration, by positions of columns.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) key: usize,
    pub(crate) route_by: usize,
    pub(crate) timestamp: Option<usize>,
    pub(crate) placed: Vec<(usize, Place, String)>,
    pub(crate) value_converter: &'static str,
    /// `schemas.enable` of values and of keys; `None` is Connect's default, true.
    pub(crate) schemas: (Option<bool>, Option<bool>),
    pub(crate) key_converter: &'static str,
    pub(crate) is_tombstone: bool,
    /// Whether nulls and empty arrays are kept.
    pub(crate) expansion: Option<(bool, bool)>,
    /// Prefix and suffix of the topic; a fixed topic where there is none.
    pub(crate) affixes: Option<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) layout: TableLayout,
    pub(crate) spec: Spec,
    pub(crate) row: Vec<ColumnValue>,
}

const TYPES: [ColumnType; 11] = [
    ColumnType::Uuid,
    ColumnType::Text,
    ColumnType::Varchar(200),
    ColumnType::Json,
    ColumnType::Jsonb,
    ColumnType::Bytea,
    ColumnType::Integer,
    ColumnType::Boolean,
    ColumnType::TimestampMillis,
    ColumnType::TimestampMicros,
    ColumnType::Timestamptz,
];

fn nullability() -> impl Strategy<Value = Nullability> {
    select(vec![Nullability::NotNull, Nullability::NotNull, Nullability::NotNull, Nullability::Nullable])
}

fn payload_type() -> impl Strategy<Value = ColumnType> {
    let types = [ColumnType::Json, ColumnType::Jsonb, ColumnType::Text, ColumnType::Varchar(4_000), ColumnType::Bytea];
    select(types.to_vec())
}

fn own_layout() -> impl Strategy<Value = TableLayout> {
    use EventField as F;
    let text = || select(vec![ColumnType::Text, ColumnType::Varchar(255)]);
    // Every optional part of an event. `check_event` of `oracle.rs` compares each with the decoded event.
    let optional = vec![
        (F::CreatedAt, select(TYPES[8..].to_vec()).boxed()),
        (F::SchemaVersion, Just(ColumnType::Integer).boxed()),
        (F::ContentType, text().boxed()),
        (F::Traceparent, text().boxed()),
        (F::CorrelationId, text().boxed()),
        (F::CausationId, text().boxed()),
        (F::Headers, select(vec![ColumnType::Text, ColumnType::Json, ColumnType::Jsonb]).boxed()),
        (F::Tracestate, text().boxed()),
        (F::Key, text().boxed()),
    ];
    let parts = optional.len();
    let optional = subsequence(optional, 0..=parts).prop_flat_map(|fields| {
        fields.into_iter().map(|(field, ty)| (Just(Some(field)), ty, nullability())).collect::<Vec<_>>()
    });

    let foreign = prop::collection::vec((Just(None), select(TYPES.to_vec()), nullability()), 0..5);
    let key = select(vec![ColumnType::Text, ColumnType::Varchar(255), ColumnType::Uuid]);
    let prefix = select(vec!["", "c_", "Spalte ", "ключ.", "we\"ird-"]);

    (payload_type(), nullability(), key, optional, foreign, prefix)
        .prop_map(|(payload, payload_null, key, optional, foreign, prefix)| {
            let required = [
                (F::Id, ColumnType::Uuid, Nullability::NotNull),
                (F::AggregateType, ColumnType::Text, Nullability::NotNull),
                (F::AggregateId, key, Nullability::NotNull),
                (F::EventType, ColumnType::Varchar(255), Nullability::NotNull),
                (F::Payload, payload, payload_null),
            ];
            let required = required.into_iter().map(|(field, ty, null)| (Some(field), ty, null));
            let columns = required.chain(optional).chain(foreign).enumerate().map(|(i, (field, ty, null))| {
                let name = identifier(&format!("{prefix}{i}"));
                match field {
                    Some(field) => Column::new(field, name, ty, null),
                    None => Column::foreign(name, ty, null),
                }
            });
            columns.collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|columns| TableLayout::new(identifier("my.app"), identifier("Out\"box"), columns).unwrap())
}

fn any_layout() -> impl Strategy<Value = TableLayout> {
    let classic = TableLayout::classic(identifier("public"), identifier("outboxevent"));
    let named = select(vec![TableLayout::recommended(), classic, layout(ColumnType::Json, vec![])]);
    let named = (named, payload_type()).prop_map(|(layout, payload)| layout.payload_type(payload).unwrap());
    prop_oneof![1 => named, 3 => own_layout()]
}

/// Returns a column that is fit for something, nearly always.
fn pick(fit: &[usize], all: usize, index: Index, is_wild: bool) -> Option<usize> {
    if is_wild { Some(index.index(all)) } else { (!fit.is_empty()).then(|| fit[index.index(fit.len())]) }
}

fn spec(layout: &TableLayout) -> impl Strategy<Value = Spec> + use<> {
    let layout = layout.clone();
    let count = layout.columns().len();
    let is_bytea = field_type(&layout, EventField::Payload) == Some(ColumnType::Bytea);
    let converters =
        if is_bytea { vec![BYTE_ARRAY, BINARY_DATA, JSON, JSON, JSON] } else { vec![STRING, STRING, JSON, JSON, JSON] };

    let value =
        (select(converters), prop::option::of(any::<bool>()), prop::option::weighted(0.3, any::<(bool, bool)>()));

    let key = (select(vec![STRING, JSON]), prop::option::of(any::<bool>()));
    let alias = prop::option::of("[a-zA-Z_ é😀\"-]{1,8}");
    let item = (any::<Index>(), select(vec![Place::Header, Place::Envelope, Place::Header]), alias);
    let places = (prop::collection::vec(item, 0..8), prop::bool::weighted(0.2), prop::bool::weighted(0.5));
    let affix = || "[a-z0-9._-]{0,6}";
    let columns = (any::<[Index; 4]>(), prop::option::of(Just(())), prop::bool::weighted(0.03), any::<bool>());

    (value, key, places, prop::option::weighted(0.8, (affix(), affix())), columns, any::<bool>()).prop_map(
        move |(value, key, (items, with_partition, with_envelope), affixes, columns, is_tombstone)| {
            let (indexes, timestamp, is_wild, by_aggregate) = columns;
            let fit = |fits: &dyn Fn(&Column) -> bool| -> Vec<usize> {
                (0..count).filter(|i| fits(&layout.columns()[*i])).collect()
            };
            let is_safe = |column: &Column| column.nullability() == Nullability::NotNull;
            let by_field = |field| fit(&|column| column.field() == Some(field));
            let is_text = |column: &Column| matches!(column.ty(), ColumnType::Text | ColumnType::Varchar(_));
            let keys = fit(&|column| {
                is_safe(column) && (is_text(column) || matches!(column.ty(), ColumnType::Uuid | ColumnType::Integer))
            });
            let keys = if by_aggregate { by_field(EventField::AggregateId) } else { keys };
            let routes =
                fit(&|column| is_safe(column) && is_text(column) && column.field() != Some(EventField::Payload));

            let routes = if by_aggregate { by_field(EventField::AggregateType) } else { routes };
            let stamps =
                fit(&|column| matches!(column.ty(), ColumnType::TimestampMillis | ColumnType::TimestampMicros));

            let is_json = value.0 == JSON;
            let mut placed: Vec<(usize, Place, String)> = Vec::new();
            for (index, place, alias) in items {
                let place = if is_json && with_envelope { place } else { Place::Header };
                let targets = fit(&|column| place == Place::Envelope || is_safe(column));
                let Some(column) = pick(&targets, count, index, is_wild) else { continue };
                let name = layout.columns()[column].name().as_str().to_owned();
                let alias = alias.unwrap_or(name).trim().to_owned();
                let is_taken = |other: &(usize, Place, String)| other.1 == place && other.2 == alias;
                if !alias.is_empty() && alias != "payload" && alias != "id" && !placed.iter().any(is_taken) {
                    placed.push((column, place, alias));
                }
            }

            let integers = fit(&|column| column.ty() == ColumnType::Integer);
            if let Some(column) = pick(&integers, count, indexes[0], is_wild).filter(|_| with_partition) {
                placed.push((column, Place::Partition, layout.columns()[column].name().as_str().into()));
            }

            Spec {
                key: pick(&keys, count, indexes[1], is_wild).unwrap(),
                route_by: pick(&routes, count, indexes[2], is_wild).unwrap(),
                timestamp: timestamp.and_then(|()| pick(&stamps, count, indexes[3], is_wild)),
                placed,
                value_converter: value.0,
                schemas: (value.1, key.1),
                key_converter: key.0,
                is_tombstone,
                expansion: value.2.filter(|_| is_json && !is_bytea),
                affixes,
            }
        },
    )
}

pub(crate) fn field_type(layout: &TableLayout, field: EventField) -> Option<ColumnType> {
    layout.columns().iter().find(|column| column.field() == Some(field)).map(Column::ty)
}

fn value(column: &Column, is_route: bool) -> BoxedStrategy<ColumnValue> {
    use ColumnValue as V;
    use EventField as F;

    let value = match (column.field(), column.ty()) {
        (Some(F::Headers), _) => texts::headers_json().prop_map(V::Text).boxed(),
        (Some(F::SchemaVersion), _) => (0..=i32::MAX).prop_map(V::Integer).boxed(),
        (_, ColumnType::Text | ColumnType::Varchar(_)) if is_route => {
            prop_oneof![9 => texts::topic_part(), 1 => texts::text()].prop_map(V::Text).boxed()
        }
        (Some(F::Traceparent), _) => prop_oneof![texts::traceparent(), texts::text()].prop_map(V::Text).boxed(),
        (Some(F::Payload), ColumnType::Text | ColumnType::Varchar(_)) => {
            prop_oneof![texts::text(), texts::json(), texts::plain_document()].prop_map(V::Text).boxed()
        }
        (_, ColumnType::Json | ColumnType::Jsonb) => {
            prop_oneof![texts::json(), texts::plain_document()].prop_map(V::Text).boxed()
        }
        (_, ColumnType::Uuid) => any::<[u8; 16]>().prop_map(|bytes| V::Uuid(Uuid::from_bytes(bytes))).boxed(),
        (_, ColumnType::Bytea) => {
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| V::Bytes(Bytes::from(bytes))).boxed()
        }
        (_, ColumnType::Integer) => any::<i32>().prop_map(V::Integer).boxed(),
        (_, ColumnType::Boolean) => any::<bool>().prop_map(V::Boolean).boxed(),
        (_, ColumnType::Text | ColumnType::Varchar(_)) => texts::text().prop_map(V::Text).boxed(),
        _ => texts::instant().prop_map(V::Instant).boxed(),
    };

    match column.nullability() {
        Nullability::NotNull => value,
        Nullability::Nullable => prop_oneof![1 => Just(V::Null), 4 => value].boxed(),
    }
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    any_layout().prop_flat_map(|layout| (spec(&layout), Just(layout))).prop_flat_map(|(spec, layout)| {
        let columns = layout.columns().iter().enumerate();
        let row: Vec<_> = columns.map(|(index, column)| value(column, index == spec.route_by)).collect();
        (Just(layout), Just(spec), row).prop_map(|(layout, spec, row)| Case { layout, spec, row })
    })
}

impl Case {
    pub(crate) fn config(&self) -> ConnectorConfig {
        let spec = &self.spec;
        let name = |index: usize| self.layout.columns()[index].name().as_str();
        let items = spec.placed.iter().map(|(column, place, alias)| format!("{}:{place:?}:{alias}", name(*column)));
        let placement = items.collect::<Vec<_>>().join(",");
        let replacement = match &spec.affixes {
            Some((prefix, suffix)) => format!("{prefix}${{routedByValue}}{suffix}"),
            None => "fixed".into(),
        };
        let mut config = ConnectorConfig::recommended(&self.layout)
            .with("value.converter", spec.value_converter)
            .with("heartbeat.interval.ms", "0")
            .with("key.converter", spec.key_converter)
            .with(router("table.field.event.key"), name(spec.key))
            .with(router("route.by.field"), name(spec.route_by))
            .with(router("route.topic.replacement"), replacement)
            .with(router("route.tombstone.on.empty.payload"), spec.is_tombstone.to_string())
            .with(router("table.fields.additional.placement"), placement)
            .without(&router("table.field.event.timestamp"));

        if spec.placed.is_empty() {
            config = config.without(&router("table.fields.additional.placement"));
        }

        if let Some(index) = spec.timestamp {
            config = config.with(router("table.field.event.timestamp"), name(index));
        }

        for (converter, schemas) in [("value.converter", spec.schemas.0), ("key.converter", spec.schemas.1)] {
            if let Some(schemas) = schemas {
                config = config.with(format!("{converter}.schemas.enable"), schemas.to_string());
            }
        }

        if let Some((nulls, arrays)) = spec.expansion {
            let nulls = if nulls { "optional_bytes" } else { "ignore" };
            let arrays = if arrays { "optional_string" } else { "ignore" };
            config = config
                .with(router("table.expand.json.payload"), "true")
                .with(router("table.json.payload.null.behavior"), nulls)
                .with(router("table.json.payload.empty.array.behavior"), arrays);
        }
        config
    }
}
