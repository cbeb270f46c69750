//! Parts of SQL text: literals, quoted names, and the names of objects next to an outbox table.

use outbox_core::{Identifier, TableLayout};

/// PostgreSQL's limit for a name, in bytes.
const LONGEST: usize = 63;

/// Returns the name of an object next to the outbox table, quoted, within PostgreSQL's limit.
pub(crate) fn companion(layout: &TableLayout, suffix: &str) -> String {
    format!("{}.{}", layout.schema(), quoted(&companion_name(layout, suffix)))
}

/// Returns the name as [`companion`] does, without schema and quotes.
pub(crate) fn companion_name(layout: &TableLayout, suffix: &str) -> String {
    let table = layout.table().as_str();
    if table.len() + suffix.len() <= LONGEST {
        return format!("{table}{suffix}");
    }

    // Two long names may begin alike.
    let hash = format!("_{:08x}", fnv1a(table));
    let mut name = table.to_owned();
    while name.len() + hash.len() + suffix.len() > LONGEST {
        name.pop();
    }
    name + &hash + suffix
}

/// Computes the hash FNV-1a, which stays the same in every version of this library.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Quotes text as an SQL literal (PostgreSQL, "String Constants", with `standard_conforming_strings` on).
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Quotes a name that PostgreSQL returned.
pub(crate) fn quoted(name: &str) -> String {
    Identifier::new(name).map_or_else(|_| format!("\"{}\"", name.replace('"', "\"\"")), |name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_that_begin_alike_share_nothing() {
        let name = |table: &str, suffix: &str| {
            let identifier = |name: &str| Identifier::new(name).unwrap();
            let layout = TableLayout::recommended().named(identifier("outbox"), identifier(table));
            companion_name(&layout, suffix)
        };
        assert_eq!(name("outbox_message", "_lease"), "outbox_message_lease");
        assert_eq!(fnv1a("a"), 0xe40c_292c);
        for suffix in ["_lease", "_replays", "_p20261123_060000"] {
            let (one, other) = (name(&"é".repeat(31), suffix), name(&format!("{}e", "é".repeat(31)), suffix));
            assert_ne!(one, other);
            assert!(one.len() <= LONGEST && one.ends_with(suffix), "{one}");
        }
    }
}
