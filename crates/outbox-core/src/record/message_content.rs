//! The content of logical decoding messages, as Debezium's `DecodeLogicalDecodingMessageContent` reads it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::connector::NullMembers;
use crate::{Column, ColumnType, ColumnValue, ConnectorConfig, Error, Identifier, Nullability};

/// The members of a logical decoding message's JSON object that the EventRouter's options name, in their order. `Debug` shows
/// no value.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageContent {
    members: Vec<Member>,
}

#[derive(Clone, PartialEq, Eq)]
struct Member {
    name: Box<str>,
    ty: ColumnType,
    value: ColumnValue,
}

/// How the content of messages is read: by the transformations of a connector.
#[derive(Clone, Debug)]
pub struct MessageReader {
    /// The members that are used.
    names: Vec<(Box<str>, ColumnType)>,
    keeps_null: bool,
}

impl MessageReader {
    /// Returns the reader for a connector's messages; none if no EventRouter sees them.
    ///
    /// # Errors
    /// The transformations cannot be followed.
    pub fn from_config(config: &ConnectorConfig) -> Result<Option<Self>, Error> {
        let Some((names, nulls)) = config.message_members()? else { return Ok(None) };
        Ok(Some(Self { names, keeps_null: nulls == NullMembers::OptionalBytes }))
    }

    /// Returns a content with all members that the EventRouter's options name, each of the type that suits them.
    #[must_use]
    pub fn sample(&self) -> MessageContent {
        let of = |(name, ty): &(Box<str>, ColumnType)| Member {
            name: name.clone(),
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
        // Debezium reads no further than the end of the object.
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Members<'_>>();
        let Members(members) = match stream.next() {
            Some(members) => members.map_err(|e| failed("it is not a JSON object").caused_by(e))?,
            None => Members(Vec::new()),
        };

        let mut read: Vec<Member> = Vec::with_capacity(self.names.len());
        for (name, value) in members {
            if !self.names.iter().any(|(used, _)| **used == *name) {
                continue;
            }
            let member = Member::read(&name, value.get())?;
            // The last one of a name counts, in the place of the first.
            match read.iter_mut().find(|known| known.name == member.name) {
                Some(known) => *known = member,
                None => read.push(member),
            }
        }
        read.retain(|member| self.keeps_null || member.value != ColumnValue::Null);
        Ok(MessageContent { members: read })
    }
}

impl MessageContent {
    /// Returns the members as columns of the types that Debezium infers: text, integer, bigint, double, boolean, and JSON for
    /// objects and arrays. An absent member has no column.
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
            one.ty == other.ty && one.name == other.name && one.value.is_null() == other.value.is_null()
        };
        self.members.len() == other.members.len() && self.members.iter().zip(&other.members).all(is_like)
    }

    /// Returns the members without their values, for comparison by [`is_like`](Self::is_like).
    #[must_use]
    pub fn shape(&self) -> Self {
        let of = |member: &Member| Member {
            name: member.name.clone(),
            ty: member.ty,
            value: if member.value == ColumnValue::Null { ColumnValue::Null } else { ColumnValue::Boolean(true) },
        };
        Self { members: self.members.iter().map(of).collect() }
    }

    /// Takes the value of a member; NULL if it is absent.
    pub fn take(&mut self, name: &str) -> ColumnValue {
        let member = self.members.iter_mut().find(|member| *member.name == *name);
        member.map_or(ColumnValue::Null, |member| std::mem::replace(&mut member.value, ColumnValue::Null))
    }
}

impl fmt::Debug for MessageContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.members.iter().map(|member| (&member.name, member.ty))).finish()
    }
}

impl Member {
    fn read(name: &str, json: &str) -> Result<Self, Error> {
        let of = |ty, value| Ok(Self { name: name.into(), ty, value });
        let text = |text: &str| ColumnValue::Text(text.to_owned());
        match json.as_bytes().first() {
            Some(b'"') => match serde_json::from_str(json) {
                Ok(text) => of(ColumnType::Text, ColumnValue::Text(text)),
                Err(e) => Err(Error::decode(name, "it is not Unicode text").caused_by(e)),
            },
            Some(b'{' | b'[') => of(ColumnType::Json, text(json)),
            Some(b't' | b'f') => of(ColumnType::Boolean, ColumnValue::Boolean(json == "true")),
            // The type matters to nobody: Debezium gives it bytes.
            Some(b'n') => of(ColumnType::Text, ColumnValue::Null),
            _ if json.contains(['.', 'e', 'E']) => of(ColumnType::Double, text(json)),
            _ => match json.parse::<i64>() {
                Ok(number) => match i32::try_from(number) {
                    Ok(number) => of(ColumnType::Integer, ColumnValue::Integer(number)),
                    Err(_) => of(ColumnType::Bigint, ColumnValue::Text(number.to_string())),
                },
                Err(e) => Err(Error::decode(name, "it is an integer beyond 64 bits").caused_by(e)),
            },
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
