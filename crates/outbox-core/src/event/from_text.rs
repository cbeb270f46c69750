//! Conversions for the parts that the builder takes as text or as their type. The other texts are taken as text only.

use super::{CausationId, CorrelationId, Traceparent, Tracestate};
use crate::{Error, ShortText};

/// Lets [`EventBuilder`](super::EventBuilder) take a part as text or as its type.
macro_rules! from_text {
    ($part:ident from $($text:ty),*) => {$(
        impl TryFrom<$text> for $part {
            type Error = Error;

            fn try_from(text: $text) -> Result<Self, Error> {
                let text: &str = text.as_ref();
                text.parse()
            }
        }
    )*};
}

from_text!(CorrelationId from &str, String, &String, ShortText, &ShortText);
from_text!(CausationId from &str, String, &String, ShortText, &ShortText);
from_text!(Traceparent from &str, String, &String);
from_text!(Tracestate from &str, String, &String);
