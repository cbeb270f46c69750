//! Values as the StringConverter writes them, by Java's `toString`.

use std::borrow::Cow;

use super::column_text::text;
use super::expand::{self, Outcome};
use super::java::push_struct;
use super::json_value::Unexpandable;
use crate::connector::{BinaryForm, ValueForms};
use crate::pipeline::Target;
use crate::{ColumnType, ColumnValue, Error, Pipeline, Row};

/// Returns a column's value by Java's `toString`.
pub(super) fn java_text(value: &ColumnValue, ty: ColumnType, forms: ValueForms) -> Option<Cow<'_, str>> {
    match value {
        // Java's `toString` of bytes does not contain them.
        ColumnValue::Bytes(bytes) if forms.binary == BinaryForm::Bytes => {
            let length = bytes.len();
            Some(format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]").into())
        }
        value => text(value, ty, forms),
    }
}

/// Returns the bytes of a text.
pub(super) fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

impl Pipeline {
    /// Returns the value of a record whose payload may be expanded or in an envelope.
    pub(super) fn text_value<'a>(
        &'a self,
        row: &'a Row,
        payload: &'a ColumnValue,
        unexpandable: Unexpandable,
    ) -> Result<Option<Cow<'a, [u8]>>, Error> {
        let payload = self.payload_text(payload, unexpandable)?;
        if !self.router().has_envelope() {
            return Ok(payload.map(into_bytes));
        }

        let placed = self.plan().envelope.iter().map(|Target { alias, index, ty, .. }| {
            (alias.as_str(), java_text(self.emitted(row, *index), *ty, self.forms()))
        });
        let fields = std::iter::once(("payload", payload)).chain(placed);
        let fields =
            fields.filter_map(|(name, text)| text.map(|text| (name, move |out: &mut String| out.push_str(&text))));
        let mut envelope = String::new();
        push_struct(&mut envelope, fields);
        Ok(Some(envelope.into_bytes().into()))
    }

    /// Returns the payload as the StringConverter writes it, which is a struct in Java's notation if the router expands
    /// it.
    fn payload_text<'a>(
        &'a self,
        payload: &'a ColumnValue,
        unexpandable: Unexpandable,
    ) -> Result<Option<Cow<'a, str>>, Error> {
        let ColumnValue::Text(text) = payload else {
            return Ok(java_text(payload, self.payload_type(), self.forms()));
        };
        let stored = Ok(Some(Cow::Borrowed(text.as_str())));

        // Numbers are no text that is expanded.
        let is_expandable = self.payload_type().is_expandable();
        let Some(options) = self.router().expansion.filter(|_| is_expandable) else {
            return Ok(java_text(payload, self.payload_type(), self.forms()));
        };

        match expand::expand_as_text(text, &self.router().payload, options, self.largest_expansion()) {
            Outcome::Expanded { json: text, .. } => Ok(Some(text.into())),
            Outcome::Kept => stored,
            // Without an envelope, the schema is not used, which does not describe the text.
            Outcome::KeptWithoutSchema | Outcome::Fatal(_) if !self.router().has_envelope() => stored,
            Outcome::KeptWithoutSchema | Outcome::Fatal(_) if unexpandable == Unexpandable::Verbatim => stored,
            Outcome::Fatal(reason) => Err(Error::encode(&*self.router().payload, reason)),
            Outcome::KeptWithoutSchema => {
                Err(Error::encode(&*self.router().payload, "an empty array has no schema, which an envelope needs"))
            }
        }
    }
}
