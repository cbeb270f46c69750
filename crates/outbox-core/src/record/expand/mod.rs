//! The EventRouter's `table.expand.json.payload`: a schema inferred from each document, and the document written by
//! it. It is lossy; see [`Loss::JsonExpansion`](crate::Loss::JsonExpansion).

mod infer;
mod java_struct;
mod node;
mod write;

use std::cell::Cell;

use self::infer::{Rules, Unfit};
use self::node::Node;
use self::write::Unwritable;
use super::connect_schema::Schema;
use crate::connector::{EmptyArrays, Expansion, MemberNames, NullMembers};
use crate::json;

/// The result of expanding a payload.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is written by this schema, as JSON or as Java's text of a struct.
    Expanded { schema: Schema, json: String },
    /// It stays the original text.
    Kept,
    /// It stays the original text, without a schema.
    KeptWithoutSchema,
    /// Debezium's task would fail here, and again after each restart.
    Fatal(String),
}

/// The depth to which Jackson reads.
const MAX_DEPTH: usize = 1_000;

/// Expands a payload into JSON of at most `limit` bytes. Objects of unlike members in one array each get the members of
/// all, so that a small document can become one of any size.
pub(super) fn expand(text: &str, payload_column: &str, options: Expansion, limit: usize) -> Outcome {
    expanded(text, payload_column, options, limit, write::value)
}

/// Expands a payload as [`expand`] does, and writes it as Java's `Struct.toString` does.
pub(super) fn expand_as_text(text: &str, payload_column: &str, options: Expansion, limit: usize) -> Outcome {
    expanded(text, payload_column, options, limit, java_struct::value)
}

/// A writer of documents by their schema, with the largest number of bytes.
type Write = fn(&mut String, &Node, &Schema, usize) -> Result<(), Unwritable>;

/// Expands a document as the router does, which keeps the text if it is no document or no schema fits it. The schemas
/// of one document may take four times the space of its result.
fn expanded(text: &str, payload_column: &str, options: Expansion, limit: usize, write: Write) -> Outcome {
    let first = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>().next();
    if !text.starts_with(['{', '[']) || !matches!(first, Some(Ok(_))) || json::depth(text) > MAX_DEPTH {
        return Outcome::Kept;
    }

    let Some(node) = Node::parse(text) else {
        return Outcome::Fatal("a member's name has half of a surrogate pair".into());
    };
    let too_large = || Outcome::Fatal(format!("it would take more than {limit} bytes"));
    let left = Cell::new(limit.saturating_mul(4));

    match infer::schema(Some(payload_column), &node, Rules { options, left: &left }) {
        Err(Unfit::NotHomogeneous) => Outcome::Kept,
        Err(Unfit::TooLarge) => too_large(),
        Ok(None) => Outcome::KeptWithoutSchema,
        Ok(Some(schema @ Schema::Struct { .. })) => {
            let mut json = String::with_capacity(text.len());
            match write(&mut json, &node, &schema, limit) {
                Ok(()) => Outcome::Expanded { schema, json },
                Err(Unwritable::Mismatch(reason)) => Outcome::Fatal(reason),
                Err(Unwritable::TooLarge) => too_large(),
            }
        }
        Ok(Some(_)) => Outcome::Fatal("an array at the top is no struct".into()),
    }
}

/// Writes a member of a message, an object or an array, by the schema that is inferred for it. Debezium's task fails if
/// there is none.
pub(super) fn nested(json: &str, name: &str, nulls: NullMembers, limit: usize) -> Outcome {
    let too_large = || Outcome::Fatal(format!("it would take more than {limit} bytes"));
    if json::depth(json) > MAX_DEPTH {
        return Outcome::Fatal(format!("it is nested deeper than {MAX_DEPTH} levels"));
    }

    let Some(node) = Node::parse(json) else {
        return Outcome::Fatal("a member's name has half of a surrogate pair".into());
    };
    let (left, options) = (
        Cell::new(limit.saturating_mul(4)),
        Expansion { nulls, empty_arrays: EmptyArrays::Ignore, names: MemberNames::Kept },
    );

    match infer::schema(Some(name), &node, Rules { options, left: &left }) {
        Err(Unfit::NotHomogeneous) => Outcome::Fatal("the elements of an array are of different types".into()),
        Err(Unfit::TooLarge) => too_large(),
        Ok(None) => Outcome::Fatal("an empty array is left out of messages".into()),
        Ok(Some(schema)) => {
            let mut written = String::with_capacity(json.len());
            match write::value(&mut written, &node, &schema, limit) {
                Ok(()) => Outcome::Expanded { schema, json: written },
                Err(Unwritable::Mismatch(reason)) => Outcome::Fatal(reason),
                Err(Unwritable::TooLarge) => too_large(),
            }
        }
    }
}

/// Returns the document that a text starts with: Jackson reads no further.
pub(super) fn document(text: &str) -> &str {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    match stream.next() {
        Some(Ok(_)) => text.get(..stream.byte_offset()).unwrap_or(text),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;
    const PLAIN: Expansion =
        Expansion { nulls: NullMembers::Ignore, empty_arrays: EmptyArrays::Ignore, names: MemberNames::Kept };
    const KEEPING: Expansion =
        Expansion { nulls: NullMembers::OptionalBytes, empty_arrays: EmptyArrays::OptionalString, ..PLAIN };
    const AVRO: Expansion = Expansion { names: MemberNames::Avro, ..PLAIN };

    fn expanded(text: &str, options: Expansion) -> String {
        match expand(text, "payload", options, LIMIT) {
            Outcome::Expanded { json, .. } => json,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn documents_that_expand() {
        for (text, json) in [
            (r#"{"order_id": 1, "q": "x", "b": true}"#, r#"{"order_id":1,"q":"x","b":true}"#),
            (r#"{"a": 1, "n": null, "e": [], "o": {}}"#, r#"{"a":1,"o":{}}"#),
            (r#"{"i": 2147483648, "d": 1e3, "z": 1.0}"#, r#"{"i":2147483648,"d":1000.0,"z":1.0}"#),
            (r#"{"e": 1e400}"#, r#"{"e":"Infinity"}"#),
            (r#"{"a": [{"x":1},{"y":"s"}]}"#, r#"{"a":[{"x":1,"y":null},{"x":null,"y":"s"}]}"#),
            (r#"{"a": [null, 1, 2]}"#, r#"{"a":[null,1,2]}"#),
            (r#"{"a": [[1],[2,3]]}"#, r#"{"a":[[1],[2,3]]}"#),
            (r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#),
            (r#"{"u": "\ud83d\ude00 é"}"#, r#"{"u":"\uD83D\uDE00 é"}"#),
            (r#"{"a": 1} garbage"#, r#"{"a":1}"#),
            (r#"{"u": "\\\ud800x\n\u00e9\ud83d\ude00\udc00"}"#, r#"{"u":"\\\uD800x\né\uD83D\uDE00\uDC00"}"#),
        ] {
            assert_eq!(expanded(text, PLAIN), json);
        }
        assert_eq!(expanded(r#"{"n":null,"e":[]}"#, KEEPING), r#"{"n":null,"e":[]}"#);
    }

    #[test]
    fn renamed_members_lose_their_values() {
        let document = r#"{"a-b": 1, "1c": {"d.e": 2}, "ok": {"f": 3, "😀": 4}}"#;
        assert_eq!(expanded(document, AVRO), r#"{"a_b":null,"_1c":null,"ok":{"f":3,"__":null}}"#);
        assert_eq!(expand(r#"{"a-b": 1, "a_b": 2}"#, "payload", AVRO, LIMIT), Outcome::Kept);
    }

    #[test]
    fn documents_as_java_writes_structs() {
        let text = |text: &str| match expand_as_text(text, "payload", PLAIN, LIMIT) {
            Outcome::Expanded { json, .. } => json,
            other => panic!("{text}: {other:?}"),
        };
        let document = r#"{"a": 1, "d": 1e3, "l": [{"a": 1}, {"a": 2, "b": null}], "n": null,
                           "o": {"e": [], "k": [1, 2], "m": {}}, "s": "x,y", "u": "é\ud83d\ude00", "bo": true, "z": [null, "q"]}"#;
        let written = "Struct{a=1,d=1000.0,l=[Struct{a=1}, Struct{a=2}],o=Struct{k=[1, 2],m=Struct{}},s=x,y,u=é😀,bo=true,\
                       z=[null, q]}";
        assert_eq!(text(document), written);
        assert_eq!(text("{}"), "Struct{}");

        for unfit in [r#"{"i":12345678901234567890}"#, "[1,2]"] {
            assert!(matches!(expand_as_text(unfit, "payload", PLAIN, LIMIT), Outcome::Fatal(_)), "{unfit}");
        }
    }

    #[test]
    fn documents_that_stay_text() {
        for text in [
            r#""str""#,
            "42",
            "null",
            r#" {"a":1}"#,
            r#"{"a":[1,"a"]}"#,
            r#"{"a":[1,2.5]}"#,
            r#"{"a":[null]}"#,
            r#"{"":1}"#,
            "[[],[1]]",
            "{",
        ] {
            assert_eq!(expand(text, "payload", PLAIN, LIMIT), Outcome::Kept, "{text}");
        }
        assert_eq!(expand("[]", "payload", PLAIN, LIMIT), Outcome::KeptWithoutSchema);
    }

    #[test]
    fn documents_that_stop_the_connector() {
        for text in [
            r#"{"i":12345678901234567890}"#,
            "[1,2]",
            r#"[{"a":1},{"a":"x"}]"#,
            r#"{"o":[{"a":1},{"a":"x"}]}"#,
            r#"{"o":[{"a":1},null,{"b":1}]}"#,
            r#"{"a":[[1],["x"]]}"#,
        ] {
            assert!(matches!(expand(text, "payload", PLAIN, LIMIT), Outcome::Fatal(_)), "{text}");
        }
    }

    #[test]
    fn schemas_are_named_by_their_path() {
        let Outcome::Expanded { schema, .. } = expand(r#"{"o":{"k":{"x":1}}}"#, "payload", PLAIN, LIMIT) else {
            panic!()
        };
        let mut json = String::new();
        schema.push_json(&mut json, None);

        assert_eq!(
            json,
            concat!(
                r#"{"type":"struct","fields":[{"type":"struct","fields":[{"type":"struct","fields":"#,
                r#"[{"type":"int32","optional":true,"field":"x"}],"optional":true,"name":"payload.o.k","field":"k"}],"#,
                r#""optional":true,"name":"payload.o","field":"o"}],"optional":true,"name":"payload"}"#
            )
        );
    }

    #[test]
    fn a_small_document_does_not_become_one_of_any_size() {
        let unlike: Vec<_> = (0..20_000).map(|n| format!("{{\"k{n}\":1}}")).collect();
        let paths: Vec<_> = (0..20_000).map(|n| format!("\"a{n}\":{{\"x\":1}}")).collect();
        let name = "K".repeat(40_000);
        for text in [format!("{{\"a\":[{}]}}", unlike.join(",")), format!("{{\"{name}\":{{{}}}}}", paths.join(","))] {
            let outcome = expand(&text, "payload", PLAIN, LIMIT);
            assert!(matches!(&outcome, Outcome::Fatal(reason) if reason.contains("1048576 bytes")));
        }
    }

    #[test]
    fn an_object_of_many_members_is_expanded() {
        let members: Vec<_> = (0..50_000).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{}}}", members.join(","));
        assert_eq!(expanded(&text, PLAIN), text);
    }
}
