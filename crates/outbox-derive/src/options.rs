use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitInt, LitStr, Path, Token};

/// The item that an `#[event(…)]` attribute is on, which decides on its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Struct,
    Enum,
    Variant,
    Field,
}

/// The options of an item's `#[event(…)]` attributes.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) aggregate_type: Option<LitStr>,
    pub(crate) event_type: Option<LitStr>,
    pub(crate) version: Option<u32>,
    pub(crate) aggregate_id: Option<AggregateId>,
    pub(crate) outbox_core: Option<Path>,
}

/// The source of the aggregate id.
pub(crate) enum AggregateId {
    /// From the field that has the option.
    Field,
    /// From a function of `&Self`.
    Function(Path),
}

impl Place {
    fn options(self) -> &'static str {
        match self {
            Self::Struct => "aggregate_type, event_type, version, aggregate_id = function, crate",
            Self::Enum => "aggregate_type, aggregate_id = function, crate",
            Self::Variant => "event_type, version",
            Self::Field => "aggregate_id",
        }
    }

    fn takes(self, option: &str) -> bool {
        match option {
            "aggregate_type" | "crate" => matches!(self, Self::Struct | Self::Enum),
            "event_type" | "version" => matches!(self, Self::Struct | Self::Variant),
            "aggregate_id" => self != Self::Variant,
            _ => false,
        }
    }
}

impl Options {
    pub(crate) fn of(attributes: &[Attribute], place: Place) -> syn::Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("event")) {
            attribute.parse_nested_meta(|meta| options.read(&meta, place))?;
        }
        Ok(options)
    }

    /// Reads one option of the attribute.
    fn read(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if !place.takes(&name) {
            let hint = match (place, name.as_str()) {
                (Place::Enum, "event_type" | "version") => {
                    ": each variant is an event type, so write it on the variant"
                }
                (Place::Variant, "aggregate_type") => ": all variants are of one aggregate, so write it on the enum",
                _ => "",
            };
            let options = place.options();
            return Err(meta.error(format!("`{name}` is no option here{hint}; the options are {options}")));
        }
        match name.as_str() {
            "aggregate_type" => once(&mut self.aggregate_type, meta, topic_text(meta.value()?.parse()?)?),
            "event_type" => once(&mut self.event_type, meta, short_text(meta.value()?.parse()?)?),
            "version" => once(&mut self.version, meta, version(&meta.value()?.parse()?)?),
            "crate" => once(&mut self.outbox_core, meta, meta.value()?.parse()?),
            _ => {
                let source = match (place, meta.input.peek(Token![=])) {
                    (Place::Field, false) => AggregateId::Field,
                    (Place::Field, true) => {
                        return Err(meta.error("on a field the option is `aggregate_id` alone: the field holds the id"));
                    }
                    (_, false) => {
                        let reason = "write `#[event(aggregate_id)]` on the field that holds the id, or here \
                                      `aggregate_id = path::to::function`";
                        return Err(meta.error(reason));
                    }
                    (_, true) => AggregateId::Function(meta.value()?.parse()?),
                };
                once(&mut self.aggregate_id, meta, source)
            }
        }
    }
}

fn once<T>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>, value: T) -> syn::Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("the option is given twice")),
    }
}

/// Checks the rule of `outbox_core::event::AggregateType`.
fn topic_text(text: LitStr) -> syn::Result<LitStr> {
    let value = text.value();
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match (1..=249).contains(&value.len()) && value.chars().all(is_legal) {
        true => Ok(text),
        false => Err(syn::Error::new(text.span(), "an aggregate type has 1 to 249 characters of A-Z a-z 0-9 . _ -")),
    }
}

/// Checks the rule of `outbox_core::event::EventType`.
fn short_text(text: LitStr) -> syn::Result<LitStr> {
    let value = text.value();
    match (1..=255).contains(&value.len()) && !value.chars().any(char::is_control) {
        true => Ok(text),
        false => Err(syn::Error::new(text.span(), "an event type has 1 to 255 bytes without control characters")),
    }
}

fn version(number: &LitInt) -> syn::Result<u32> {
    match number.base10_parse::<u32>() {
        Ok(version) if (1..=i32::MAX.unsigned_abs()).contains(&version) => Ok(version),
        _ => Err(syn::Error::new(number.span(), "a schema version is a number from 1 to 2147483647")),
    }
}
