use syn::{Attribute, Token};

/// Options of serde on an enum that put the variant's name elsewhere, or leave it out. An event's variant is its event
/// type.
const ON_ENUMS: [&str; 3] = ["tag", "content", "untagged"];

/// Options of serde on a variant after which its payload cannot be written or read.
const ON_VARIANTS: [&str; 5] = ["skip", "skip_serializing", "skip_deserializing", "other", "untagged"];

/// Rejects the options of serde with which an enum of events cannot be written or read.
pub(crate) fn check_enum(attributes: &[Attribute]) -> syn::Result<()> {
    let reason = "an enum of events is written without a tag: the record's event type selects the variant; remove it";
    refuse(attributes, &ON_ENUMS, reason)
}

/// Rejects the options of serde with which a variant's event cannot be written or read.
pub(crate) fn check_variant(attributes: &[Attribute]) -> syn::Result<()> {
    refuse(attributes, &ON_VARIANTS, "each variant is an event that is written and read; remove it, or the variant")
}

fn refuse(attributes: &[Attribute], refused: &[&str], reason: &str) -> syn::Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            if let Some(name) = refused.iter().find(|name| meta.path.is_ident(name)) {
                return Err(meta.error(format!("serde's `{name}` does not go with an enum of events: {reason}")));
            }
            // serde checks the rest.
            if meta.input.peek(Token![=]) {
                meta.value()?.parse::<syn::Lit>()?;
            } else if meta.input.peek(syn::token::Paren) {
                let nested;
                syn::parenthesized!(nested in meta.input);
                nested.parse::<proc_macro2::TokenStream>()?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
