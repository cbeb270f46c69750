use bytes::BufMut;

use super::view::take;
use super::{Malformed, varint};

/// The encoded key, value and headers of a record, without its place in a batch, in one buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBody(Box<[u8]>);

/// Key, value and headers of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

impl RecordBody {
    /// Encodes the key, value and headers of a record.
    pub fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(N, Option<V>)],
    ) -> Self {
        let count = length(headers.len());
        let mut size = sized(key) + sized(value) + varint::size(count);
        for (name, value) in headers {
            size += sized(Some(name.as_ref())) + sized(value.as_ref().map(AsRef::as_ref));
        }

        let mut bytes = Vec::with_capacity(size);
        put(&mut bytes, key);
        put(&mut bytes, value);
        varint::put(&mut bytes, count);
        for (name, value) in headers {
            put(&mut bytes, Some(name.as_ref()));
            put(&mut bytes, value.as_ref().map(AsRef::as_ref));
        }
        Self(bytes.into())
    }

    /// Returns the encoded bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Decodes the key, value and headers.
    pub fn parts(&self) -> Result<Parts<'_>, Malformed> {
        let mut rest = &*self.0;
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        let count = varint::take(&mut rest)?;
        let header = |_| Ok((take(&mut rest)?.unwrap_or_default(), take(&mut rest)?));
        Ok(Parts { key, value, headers: (0..count).map(header).collect::<Result<_, Malformed>>()? })
    }
}

pub(super) fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Returns the size of a field that may be null, with its length before it.
fn sized(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint::size(length(bytes.len())) + bytes.len())
}

fn put(buffer: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            varint::put(buffer, length(bytes.len()));
            buffer.put_slice(bytes);
        }
        None => varint::put(buffer, -1),
    }
}
