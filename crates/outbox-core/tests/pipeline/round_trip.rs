//! The values of a row are read from its record, whatever the table and the connector look like.

use std::cell::Cell;

use outbox_core::layout::{ColumnType, Row};
use outbox_core::record::Decoded;
use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};
use proptest::prelude::*;
use serde_json::Value;

use crate::fixtures::{JSON, layout, router, runner};
use crate::hostile::same_when_lent;
use crate::oracle::substance;
use crate::strategies::case;
use crate::texts;

#[derive(Default)]
struct Share(Cell<u32>, Cell<u32>);

impl Share {
    fn count(&self, is_so: bool) {
        self.0.set(self.0.get() + u32::from(is_so));
        self.1.set(self.1.get() + 1);
    }

    fn of_all(&self) -> f64 {
        f64::from(self.0.get()) / f64::from(self.1.get())
    }
}

#[test]
fn what_a_pipeline_carries_of_a_row_is_decoded_from_its_record() {
    let (accepted, encoded, enveloped, expanding) =
        (Share::default(), Share::default(), Share::default(), Share::default());

    let outcome = runner(512).run(&case(), |case| {
        let pipeline = Pipeline::accepting(&[Loss::JsonExpansion], case.config(), case.layout.clone());
        accepted.count(pipeline.is_ok());
        let pipeline = match pipeline {
            Ok(pipeline) => pipeline,
            Err(error) => {
                prop_assert!(error.is_configuration(), "{error}");
                return Ok(());
            }
        };
        let row = Row::new(&case.layout, case.row.clone()).unwrap();
        let record = pipeline.encode(&row);
        encoded.count(record.is_ok());

        let record = match record {
            Ok(record) => record,
            Err(error) if error.is_invalid_event() => {
                prop_assert_eq!(error.field(), Some("topic"));
                return Ok(());
            }
            Err(error) => {
                prop_assert!(error.is_unencodable() && case.spec.expansion.is_some(), "{error}");
                return Ok(());
            }
        };

        enveloped.count(case.config().get(&router("table.fields.additional.placement")).is_some_and(is_envelope));
        expanding.count(case.spec.expansion.is_some());
        case.check_record(&record)?;
        same_when_lent(&pipeline, &record)?;

        match pipeline.decode(record) {
            Ok(Decoded::Event(event)) => case.check_event(&event),
            other => {
                prop_assert!(false, "{other:?}");
                Ok(())
            }
        }
    });
    outcome.unwrap();

    // Filters that took nearly everything away would prove nothing.
    assert!(accepted.of_all() > 0.6, "accepted: {}", accepted.of_all());
    assert!(encoded.of_all() > 0.7, "encoded: {}", encoded.of_all());
    assert!(enveloped.of_all() > 0.1, "with an envelope: {}", enveloped.of_all());
    assert!(expanding.of_all() > 0.05, "expanding: {}", expanding.of_all());
}

fn is_envelope(placement: &str) -> bool {
    placement.contains(":Envelope")
}

fn expanding(layout: &TableLayout, nulls: &str, arrays: &str, schemas: bool) -> Pipeline {
    let config = ConnectorConfig::recommended(layout)
        .with("value.converter", JSON)
        .with("value.converter.schemas.enable", schemas.to_string())
        .with(router("table.expand.json.payload"), "true")
        .with(router("table.json.payload.null.behavior"), nulls)
        .with(router("table.json.payload.empty.array.behavior"), arrays);
    Pipeline::accepting(&[Loss::JsonExpansion], config, layout.clone()).unwrap()
}

fn payload_of(pipeline: &Pipeline, payload: &str) -> Result<Option<String>, TestCaseError> {
    let event = outbox_core::OutboxEvent::builder("order", "1", "x").json(payload).build().unwrap();
    let row = match pipeline.row(&event) {
        Ok(row) => row,
        Err(error) => {
            prop_assert!(error.is_invalid_event() && error.broken_rule().unwrap().contains("expansion"), "{error}");
            return Ok(None);
        }
    };
    let record = pipeline.encode(&row).unwrap();

    match pipeline.decode(record) {
        Ok(Decoded::Event(event)) => Ok(Some(event.payload.as_text().unwrap_or_default().to_owned())),
        other => Err(TestCaseError::fail(format!("{other:?}"))),
    }
}

fn options() -> impl Strategy<Value = (&'static str, &'static str, bool)> {
    let nulls = prop::sample::select(vec!["ignore", "optional_bytes"]);
    (nulls, prop::sample::select(vec!["ignore", "optional_string"]), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_expanded_document_keeps_its_substance(document in texts::plain_document(), options in options()) {
        let pipeline = expanding(&layout(ColumnType::Json, vec![]), options.0, options.1, options.2);
        let decoded = payload_of(&pipeline, &document)?.unwrap();
        let (before, after): (Value, Value) =
            (serde_json::from_str(&document).unwrap(), serde_json::from_str(&decoded).unwrap());
        let keeps = options.1 == "optional_string";
        prop_assert_eq!(substance(after, keeps), substance(before, keeps));
        // Jackson writes no space between the tokens, so this one was not carried as text.
        let is_text = document == decoded && document != "{}";
        prop_assert!(!is_text);
    }

    #[test]
    fn any_document_of_an_expanding_pipeline_is_decoded_or_refused(json in texts::readable_json(), options in options()) {
        let pipeline = expanding(&layout(ColumnType::Json, vec![]), options.0, options.1, options.2);
        let decoded = payload_of(&pipeline, &json)?;
        if !json.starts_with(['{', '[']) {
            prop_assert_eq!(decoded, Some(json));
        } else if let Some(decoded) = decoded {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&decoded).is_ok());
        }
    }
}
