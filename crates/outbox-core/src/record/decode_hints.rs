use super::ShortText;
use crate::EventField;
use crate::pipeline::HeaderOrder;

/// The properties of the last record of a partition: the types of its event, and the order of its headers. The next
/// record is mostly like it, and a comparison is faster than to read it. Any records may be decoded with any hints.
///
/// ```
/// use outbox_core::record::{Decoded, DecodeHints, RecordParts};
/// use outbox_core::Pipeline;
///
/// let pipeline = Pipeline::recommended();
/// let mut hints = DecodeHints::default();
/// for id in ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"] {
///     let headers = [("id", Some(id.as_bytes())), ("event_type", Some(&b"OrderPlaced"[..]))];
///     let mut parts = RecordParts::new("outbox.events.order", headers.into_iter());
///     parts.hints = Some(&mut hints);
///     let Decoded::Event(event) = pipeline.decode_parts(parts)? else { panic!("no event") };
///     assert_eq!(event.event_type.as_deref(), Some("OrderPlaced"));
/// }
/// # Ok::<(), outbox_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DecodeHints {
    aggregate_type: Option<ShortText>,
    event_type: Option<ShortText>,
    content_type: Option<ShortText>,
    pub(super) order: HeaderOrder,
}

impl DecodeHints {
    /// Returns the last text of a field, if it is one whose texts repeat.
    #[inline]
    pub(super) fn last(&mut self, field: EventField) -> Option<&mut Option<ShortText>> {
        Some(match field {
            EventField::AggregateType => &mut self.aggregate_type,
            EventField::EventType => &mut self.event_type,
            EventField::ContentType => &mut self.content_type,
            _ => return None,
        })
    }
}
