//! Decoding of untrusted records: the result is an event, another record, or an error that names the field.

use outbox_core::bytes::Bytes;
use outbox_core::record::{Decoded, Record};

use crate::pipelines;

pub(crate) const WORDS: &[&[u8]] = &[
    b"\xffid\xfe00000000-0000-0000-0000-000000000001",
    b"\xffeventType\xfe",
    b"\xffheaders\xfe{",
    b"\xffschema_version\xfe",
    b"{\"schema\":null,\"payload\":",
    b"{\"payload\":{",
    b"\"created_at\":",
    b"null",
    b"\\ud83d",
    b"1e999",
];

/// Ends each part of the input: key, value, and for each header name and value.
const PART: u8 = 0xff;
/// Ends the name of a header.
const NAME: u8 = 0xfe;

/// Decodes the record by the pipeline that the first byte chooses.
pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let Some(record) = record(bytes) else { return };
    match pipelines::chosen(pipelines::all(), *choice).decode(record.clone()) {
        Ok(Decoded::NotAnEvent(_, back)) => assert_eq!(back, record),
        Ok(_) => {}
        Err(error) => assert!(error.is_undecodable() && error.field().is_some(), "{error}"),
    }
}

/// Reads a record. Bytes that are invalid in UTF-8 separate its parts, so that texts can be any UTF-8.
fn record(bytes: &[u8]) -> Option<Record> {
    let mut parts = bytes.split(|byte| *byte == PART);
    let mut record = Record::new("outbox.events.order");
    let part = |part: &[u8]| (part != b"-").then(|| Bytes::copy_from_slice(part));
    record.key = part(parts.next()?);
    record.value = part(parts.next()?);
    for header in parts {
        let end = header.iter().position(|byte| *byte == NAME).unwrap_or(header.len());
        let (name, value) = header.split_at_checked(end)?;
        let name = std::str::from_utf8(name).ok()?;
        record.headers.push((name.to_owned(), value.get(1..).and_then(part)));
    }
    Some(record)
}
