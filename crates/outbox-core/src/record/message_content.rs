//! The content of logical decoding messages, as Debezium's `DecodeLogicalDecodingMessageContent` reads it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::connector::NullMembers;
use crate::{Column, ColumnType, ColumnValue, ConnectorConfig, Error, Identifier, Nullability, Row, TableLayout};

/// The members of a logical decoding message's JSON object that the EventRouter's options name, in their order. `Debug`
/// shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageContent {
    members: Vec<Member>,
}

#[derive(Clone, PartialEq, Eq)]
struct Member {
    name: Arc<str>,
    ty: ColumnType,
    value: ColumnValue,
}

/// The way in which the content of messages is read: by the transformations of a connector.
#[derive(Clone, Debug)]
pub struct MessageReader {
    /// The members that are used.
    names: Vec<(Arc<str>, ColumnType)>,
    keeps_null: bool,
}

impl MessageReader {
    /// Returns the reader for a connector's messages; `None` if no EventRouter sees them.
    ///
    /// # Errors
    /// The transformations cannot be followed.
    pub fn from_config(config: &ConnectorConfig) -> Result<Option<Self>, Error> {
        let Some((names, nulls)) = config.message_members()? else { return Ok(None) };
        let names = names.into_iter().map(|(name, ty)| (name.into(), ty)).collect();
        Ok(Some(Self { names, keeps_null: nulls == NullMembers::OptionalBytes }))
    }

    /// Returns a content with all members that the EventRouter's options name, each of the type that suits them.
    #[must_use]
    pub fn sample(&self) -> MessageContent {
        let of = |(name, ty): &(Arc<str>, ColumnType)| Member {
            name: Arc::clone(name),
            ty: *ty,
            value: ColumnValue::Boolean(true),
        };
        MessageContent { members: self.names.iter().map(of).collect() }
    }

    /// Reads the content of a message.
    ///
    /// # Errors
    /// [`Error::is_undecodable`]: it is not a JSON object in UTF-8, at which Debezium's task fails.
    pub fn read(&self, content: &[u8]) -> Result<MessageContent, Error> {
        let failed = |reason: &str| Error::decode("content of the message", reason);
        let text = std::str::from_utf8(content).map_err(|e| failed("it is not UTF-8").caused_by(e))?;
        if !text.starts_with('{') {
            return Err(failed("it is not a JSON object"));
        }
        let mut read = match self.read_scalars(text) {
            Some(members) => members,
            None => self.read_any(text)?,
        };
        read.retain(|member| self.keeps_null || member.value != ColumnValue::Null);
        Ok(MessageContent { members: read })
    }

    /// Reads the members in one pass if all that are used are texts, integers, booleans or null. Returns `None` for any
    /// other content, also for one with a fault.
    fn read_scalars(&self, text: &str) -> Option<Vec<Member>> {
        Scalars(&self.names).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
    }

    /// Reads the members of any content: numbers, objects and arrays as they are written.
    fn read_any(&self, text: &str) -> Result<Vec<Member>, Error> {
        let failed = |e| Error::decode("content of the message", "it is not a JSON object").caused_by(e);
        // Debezium reads no further than the end of the object.
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Members<'_>>();
        let Members(members) = stream.next().unwrap_or_else(|| Ok(Members(Vec::new()))).map_err(failed)?;

        let mut read = Vec::with_capacity(self.names.len());
        for (name, value) in members {
            if let Some((used, _)) = self.names.iter().find(|(used, _)| **used == *name) {
                put(&mut read, Member::read(used, value.get())?);
            }
        }
        Ok(read)
    }
}

impl MessageContent {
    /// Returns the members as columns of the types that Debezium infers: text, integer, bigint, double, boolean, and
    /// JSON for objects and arrays. An absent member has no column.
    pub fn columns(&self) -> impl Iterator<Item = Column> {
        self.members.iter().filter_map(|member| {
            let nullability = match member.value {
                ColumnValue::Null => Nullability::Nullable,
                _ => Nullability::NotNull,
            };
            Some(Column::foreign(Identifier::new(&*member.name).ok()?, member.ty, nullability))
        })
    }

    /// Returns whether another message has the same members of the same types.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let is_like = |(one, other): (&Member, &Member)| {
            one.ty == other.ty && is_same(&one.name, &other.name) && one.value.is_null() == other.value.is_null()
        };
        self.members.len() == other.members.len() && self.members.iter().zip(&other.members).all(is_like)
    }

    /// Returns the members without their values, for comparison by [`is_like`](Self::is_like).
    #[must_use]
    pub fn shape(&self) -> Self {
        let of = |member: &Member| Member {
            name: Arc::clone(&member.name),
            ty: member.ty,
            value: if member.value == ColumnValue::Null { ColumnValue::Null } else { ColumnValue::Boolean(true) },
        };
        Self { members: self.members.iter().map(of).collect() }
    }

    /// Converts the members into a row. The layout must be one of [`TableLayout::from_message`] for a content with the
    /// same members; an absent member is NULL.
    ///
    /// # Errors
    /// A value is not of its column's type.
    pub fn into_row(mut self, layout: &TableLayout) -> Result<Row, Error> {
        let mut next = 0;
        let value = |column: &Column| {
            let is_its = |member: &Member| *member.name == *column.name().as_str();
            // The columns are in the order of the members.
            let at = match self.members.get(next).is_some_and(is_its) {
                true => Some(next),
                false => self.members.iter().position(is_its),
            };
            let member = at.and_then(|at| self.members.get_mut(at));
            next = at.map_or(next, |at| at + 1);
            member.map_or(ColumnValue::Null, |member| std::mem::replace(&mut member.value, ColumnValue::Null))
        };
        let values = layout.columns().iter().map(value).collect();
        Row::new(layout, values)
    }
}

impl fmt::Debug for MessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.members.iter().map(|member| (&member.name, member.ty))).finish()
    }
}

impl Member {
    /// Converts a member of the content to the type that Debezium gives it.
    fn read(name: &Arc<str>, json: &str) -> Result<Self, Error> {
        let of = |ty, value| Ok(Self { name: Arc::clone(name), ty, value });
        let text = |text: &str| ColumnValue::Text(text.to_owned());
        match json.as_bytes().first() {
            Some(b'"') => match serde_json::from_str(json) {
                Ok(text) => of(ColumnType::Text, ColumnValue::Text(text)),
                Err(e) => Err(Error::decode(&**name, "it is not Unicode text").caused_by(e)),
            },
            Some(b'{' | b'[') => of(ColumnType::Json, text(json)),
            Some(b't' | b'f') => of(ColumnType::Boolean, ColumnValue::Boolean(json == "true")),
            // The type has no effect: Debezium writes bytes.
            Some(b'n') => of(ColumnType::Text, ColumnValue::Null),
            _ if json.contains(['.', 'e', 'E']) => of(ColumnType::Double, text(json)),
            _ => match json.parse::<i64>() {
                Ok(number) => {
                    let Scalar(ty, value) = Scalar::integer(number);
                    of(ty, value)
                }
                Err(e) => Err(Error::decode(&**name, "it is an integer beyond 64 bits").caused_by(e)),
            },
        }
    }
}

/// Adds a member. The last one of a name counts, in place of the first.
fn put(members: &mut Vec<Member>, member: Member) {
    match members.iter_mut().find(|known| is_same(&known.name, &member.name)) {
        Some(known) => *known = member,
        None => members.push(member),
    }
}

/// Returns whether two names are the same. In most cases, both come from the same reader.
fn is_same(one: &Arc<str>, other: &Arc<str>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// Reads those members of an object that have one of these names. Fails if one of them is no scalar that serde_json
/// reports as it is written.
struct Scalars<'a>(&'a [(Arc<str>, ColumnType)]);

impl<'de> DeserializeSeed<'de> for Scalars<'_> {
    type Value = Vec<Member>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Member>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Scalars<'_> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Member>, A::Error> {
        let mut members = Vec::with_capacity(self.0.len());
        while let Some(Name(name)) = map.next_key()? {
            let Some((name, _)) = self.0.iter().find(|(used, _)| **used == *name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let Scalar(ty, value) = map.next_value()?;
            put(&mut members, Member { name: Arc::clone(name), ty, value });
        }
        Ok(members)
    }
}

/// A text, an integer, a boolean or null, with the type that [`Member::read`] gives it.
struct Scalar(ColumnType, ColumnValue);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scalar")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(ColumnType::Text, ColumnValue::Text(text.to_owned())))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(ColumnType::Boolean, ColumnValue::Boolean(value)))
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(ColumnType::Text, ColumnValue::Null))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::integer(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Scalar, E> {
                i64::try_from(number).map(Scalar::integer).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Scalar {
    fn integer(number: i64) -> Self {
        match i32::try_from(number) {
            Ok(number) => Self(ColumnType::Integer, ColumnValue::Integer(number)),
            Err(_) => Self(ColumnType::Bigint, ColumnValue::Text(number.to_string())),
        }
    }
}

/// The members of an object as they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// A name that is borrowed if it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reader() -> MessageReader {
        let names = ["a", "b", "id"].map(|name| (name.into(), ColumnType::Text));
        MessageReader { names: names.into(), keeps_null: true }
    }

    fn members() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            "[a-zé😀 ]{0,9}".prop_map(|text| serde_json::Value::from(text).to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            prop::sample::select(
                [
                    "null",
                    "true",
                    "false",
                    "-0",
                    "1.0",
                    "1e3",
                    "18446744073709551615",
                    "99999999999999999999",
                    "{}",
                    "[1, {\"a\":2}]",
                    r#""\ud800""#,
                    r#""\u00e9\n""#,
                    "t",
                    "01",
                    "\"",
                    "",
                ]
                .map(str::to_owned)
                .to_vec()
            ),
        ];
        let member = ("(a|b|id|c|\\\\u0061)", value).prop_map(|(name, value)| format!("\"{name}\": {value}"));
        (proptest::collection::vec(member, 0..6), "(\\}|\\} x|,\\}|)")
            .prop_map(|(members, end)| format!("{{{}{end}", members.join(",")))
    }

    proptest! {
        #[test]
        fn scalars_are_read_in_one_pass_as_any_content_is(content in members()) {
            let reader = reader();
            if let Some(members) = reader.read_scalars(&content) {
                prop_assert!(reader.read_any(&content).is_ok_and(|read| read == members), "{content}");
            }
        }
    }

    #[test]
    fn a_content_without_nested_members_needs_one_pass() {
        let reader = reader();
        assert!(reader.read_scalars(r#"{"id":"x","a":1,"b":null,"c":{"other":[1.5]}} and more"#).is_some());
        assert!(reader.read_scalars(r#"{"id":"x","a":1.5}"#).is_none());
    }
}
