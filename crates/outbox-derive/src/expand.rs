use std::collections::BTreeMap;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, LitStr, Member, Path, Type};

use crate::options::{AggregateId, Options, Place};
use crate::serde_options;

/// The trait that is implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `DomainEvent`, which is produced and may be consumed.
    Domain,
    /// `IncomingEvent`, which is only consumed.
    Incoming,
}

/// Returns the implementation of the role's trait.
pub(crate) fn event(role: Role, input: &DeriveInput) -> syn::Result<TokenStream> {
    let (place, constants, methods, options) = match &input.data {
        Data::Struct(data) => {
            let options = Options::of(&input.attrs, Place::Struct)?;
            let (constants, methods) = of_struct(role, &input.ident, &data.fields, &options)?;
            ("struct", constants, methods, options)
        }
        Data::Enum(data) => {
            let options = Options::of(&input.attrs, Place::Enum)?;
            serde_options::check_enum(&input.attrs)?;
            let (constants, methods) = of_enum(role, input, data, &options)?;
            ("enum", constants, methods, options)
        }
        Data::Union(_) => return Err(Error::new(input.ident.span(), "an event is a struct or an enum of events")),
    };
    let Some(aggregate_type) = &options.aggregate_type else {
        let reason = format!("write `#[event(aggregate_type = \"…\")]` on the {place}: its topic is made of it");
        return Err(Error::new(input.ident.span(), reason));
    };

    let (outbox_core, ident) = (outbox_core(&options), &input.ident);
    let event = role.event_trait(&outbox_core);
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #event for #ident #type_generics #where_clause {
            const AGGREGATE_TYPE: &'static str = #aggregate_type;
            #constants
            #methods
        }
    })
}

impl Role {
    fn event_trait(self, outbox_core: &Path) -> TokenStream {
        match self {
            Self::Domain => quote!(#outbox_core::DomainEvent),
            Self::Incoming => quote!(#outbox_core::IncomingEvent),
        }
    }
}

/// Returns the constants and the methods of a struct.
fn of_struct(role: Role, ident: &Ident, fields: &Fields, options: &Options) -> syn::Result<(TokenStream, TokenStream)> {
    let event_type = event_type(options, ident);
    let version = options.version.unwrap_or(1);
    let constants = quote! {
        const EVENT_TYPE: &'static str = #event_type;
        const SCHEMA_VERSION: u32 = #version;
    };
    let marked = marked(fields)?;

    if role == Role::Incoming {
        return Ok((constants, TokenStream::new()));
    }

    let id = match (&options.aggregate_id, marked) {
        (Some(AggregateId::Function(_)), Some(field)) => return Err(two_ids(field.ty)),
        (Some(AggregateId::Function(function)), None) => to_text(function.span(), &quote!(#function(self))),
        (_, Some(Marked { member, ty })) => to_text(ty.span(), &quote!(&self.#member)),
        (_, None) => return Err(no_id(ident)),
    };
    Ok((constants, aggregate_id(&id)))
}

/// Returns the constants and the methods of an enum of events.
fn of_enum(
    role: Role,
    input: &DeriveInput,
    data: &DataEnum,
    options: &Options,
) -> syn::Result<(TokenStream, TokenStream)> {
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "an enum of events has at least one variant"));
    }

    let outbox_core = outbox_core(options);
    let aggregate_type = options.aggregate_type.as_ref().map(LitStr::value).unwrap_or_default();
    let by_function = match &options.aggregate_id {
        Some(AggregateId::Function(function)) => Some(function),
        _ => None,
    };

    let (mut kinds, mut ids, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let mut known = BTreeMap::new();

    for (index, variant) in (0_u32..).zip(&data.variants) {
        serde_options::check_variant(&variant.attrs)?;
        let options = Options::of(&variant.attrs, Place::Variant)?;
        let marked = marked(&variant.fields)?;
        let ident = &variant.ident;
        let inner = match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() != 1 => {
                let reason = "an event's payload is an object: give the fields names, or put them into one struct";
                return Err(Error::new(fields.span(), reason));
            }
            // The variant holds another event type, which defines its event type, version and aggregate id.
            Fields::Unnamed(fields)
                if options.event_type.is_none() && options.version.is_none() && marked.is_none() =>
            {
                fields.unnamed.first().map(|field| &field.ty)
            }
            _ => None,
        };

        kinds.push(match inner {
            Some(inner) => {
                quote_spanned!(inner.span()=> #outbox_core::EventKind::from_event::<#inner>(#index, #aggregate_type))
            }
            None => {
                let (event_type, version) = (event_type(&options, ident), options.version.unwrap_or(1));
                if let Some(other) = known.insert(event_type.value(), ident) {
                    let reason = format!("the variant `{other}` has the event type {:?} already", event_type.value());
                    return Err(Error::new(ident.span(), reason));
                }
                quote!(#outbox_core::EventKind::from_variant(#index, #event_type, #version))
            }
        });
        names.push(ident);
        if role == Role::Domain {
            ids.push(match (by_function, marked, inner) {
                (Some(_), Some(field), _) => return Err(two_ids(field.ty)),
                (Some(function), None, _) => {
                    let text = to_text(function.span(), &quote!(#function(self)));
                    quote!(Self::#ident { .. } => #text)
                }
                (None, Some(Marked { member, ty }), _) => {
                    let text = to_text(ty.span(), &quote!(id));
                    quote!(Self::#ident { #member: id, .. } => #text)
                }
                (None, None, Some(inner)) => {
                    let text = quote_spanned!(inner.span()=> #outbox_core::DomainEvent::aggregate_id(event));
                    quote!(Self::#ident(event) => #text)
                }
                (None, None, None) => return Err(no_id(ident)),
            });
        }
    }

    let name = input.ident.to_string();
    let constants = quote! {
        const EVENT_TYPE: &'static str = #name;
        const KINDS: &'static [#outbox_core::EventKind] = &[#(#kinds),*];
    };
    if role == Role::Incoming {
        return Ok((constants, TokenStream::new()));
    }
    let aggregate_id = aggregate_id(&quote!(match self { #(#ids),* }));
    let methods = quote! {
        fn kind(&self) -> #outbox_core::EventKind {
            match self { #(Self::#names { .. } => const { #kinds }),* }
        }

        #aggregate_id
    };
    Ok((constants, methods))
}

/// A field with `#[event(aggregate_id)]`.
struct Marked<'a> {
    member: Member,
    ty: &'a Type,
}

/// Finds the field with `#[event(aggregate_id)]`. Fails if there are several.
fn marked(fields: &Fields) -> syn::Result<Option<Marked<'_>>> {
    let mut found = None;
    for (field, member) in fields.iter().zip(fields.members()) {
        if Options::of(&field.attrs, Place::Field)?.aggregate_id.is_none() {
            continue;
        }
        if found.replace(Marked { member, ty: &field.ty }).is_some() {
            return Err(two_ids(&field.ty));
        }
    }
    Ok(found)
}

fn two_ids(at: &Type) -> Error {
    let reason =
        "two sources of the aggregate id: for an id of several fields, write `aggregate_id = function` on the type";
    Error::new(at.span(), reason)
}

fn no_id(ident: &Ident) -> Error {
    let reason = format!("`{ident}` has no aggregate id: write `#[event(aggregate_id)]` on the field that holds it");
    Error::new(ident.span(), reason)
}

fn event_type(options: &Options, ident: &Ident) -> LitStr {
    options.event_type.clone().unwrap_or_else(|| LitStr::new(&ident.to_string(), ident.span()))
}

/// Converts a value to text. An error of a type without `Display` is shown at `span`.
fn to_text(span: Span, value: &impl ToTokens) -> TokenStream {
    quote_spanned!(span=> ::std::string::ToString::to_string(#value))
}

fn aggregate_id(body: &TokenStream) -> TokenStream {
    quote! {
        fn aggregate_id(&self) -> ::std::string::String {
            #body
        }
    }
}

fn outbox_core(options: &Options) -> Path {
    options.outbox_core.clone().unwrap_or_else(|| syn::parse_quote!(::outbox_core))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(role: Role, item: &str) -> String {
        let input = syn::parse_str(item).unwrap();
        event(role, &input).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_the_remedy() {
        for (item, part) in [
            ("struct A { id: u64 }", "write `#[event(aggregate_id)]` on the field"),
            ("struct A { #[event(aggregate_id)] id: u64 }", "write `#[event(aggregate_type = \"…\")]` on the struct"),
            ("#[event(aggregate_type = \"an order\")] struct A;", "1 to 249 characters of A-Z a-z 0-9 . _ -"),
            ("#[event(aggregate_type = \"a\", event_type = \"\")] struct A;", "1 to 255 bytes"),
            ("#[event(aggregate_type = \"a\", version = 0)] struct A;", "a number from 1 to 2147483647"),
            ("#[event(aggregate_type = \"a\", topic = \"t\")] struct A;", "`topic` is no option here; the options are"),
            ("#[event(aggregate_type = \"a\", aggregate_type = \"b\")] struct A;", "given twice"),
            ("#[event(aggregate_type = \"a\", aggregate_id)] struct A;", "on the field that holds the id"),
            (
                "#[event(aggregate_type = \"a\")] struct A { #[event(aggregate_id)] a: u8, #[event(aggregate_id)] b: u8 }",
                "two sources of the aggregate id",
            ),
            (
                "#[event(aggregate_type = \"a\", aggregate_id = f)] struct A { #[event(aggregate_id)] a: u8 }",
                "two sources of the aggregate id",
            ),
            ("union A { a: u8 }", "a struct or an enum of events"),
            ("#[event(aggregate_type = \"a\")] enum A {}", "at least one variant"),
            ("#[event(aggregate_type = \"a\", version = 2)] enum A { B }", "so write it on the variant"),
            (
                "#[event(aggregate_type = \"a\")] enum A { #[event(aggregate_type = \"b\")] B }",
                "so write it on the enum",
            ),
            ("#[event(aggregate_type = \"a\")] enum A { B { b: u8 } }", "`B` has no aggregate id"),
            ("#[event(aggregate_type = \"a\")] enum A { B(u8, u8) }", "give the fields names"),
            (
                "#[event(aggregate_type = \"a\", aggregate_id = f)] enum A { B, #[event(event_type = \"B\")] C }",
                "the variant `B` has the event type \"B\" already",
            ),
            ("#[event(aggregate_type = \"a\")] #[serde(tag = \"type\")] enum A { B }", "serde's `tag`"),
            (
                "#[event(aggregate_type = \"a\")] enum A { #[serde(rename = \"x\", alias(y), skip)] B }",
                "serde's `skip` does not go with an enum of events",
            ),
        ] {
            let refusal = refusal(Role::Domain, item);
            assert!(refusal.contains(part), "{item}: {refusal}");
        }
    }

    #[test]
    fn an_event_that_is_only_consumed_needs_no_aggregate_id() {
        for item in
            ["#[event(aggregate_type = \"a\")] struct A;", "#[event(aggregate_type = \"a\")] enum A { B, C(D) }"]
        {
            let input = syn::parse_str(item).unwrap();
            let code = event(Role::Incoming, &input).unwrap().to_string();
            assert!(code.contains("IncomingEvent for A") && !code.contains("fn "), "{code}");
        }
    }
}
