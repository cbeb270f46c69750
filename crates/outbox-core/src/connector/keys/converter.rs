//! Converters of keys and values: each of these follows `key.converter` or `value.converter`.

use super::rule::{Rule, honoured, only, without_effect};

pub(super) const RULES: &[Rule] = &[
    honoured(""),
    without_effect(".plugin.version"),
    without_effect(".converter.type"),
    honoured(".schemas.enable").boolean(),
    without_effect(".schemas.cache.size").number(),
    honoured(".decimal.format").among(&["BASE64", "NUMERIC"]),
    // The router has replaced NULL by a column's default already.
    without_effect(".replace.null.with.default").boolean(),
    only(".schema.content", "", &[""], "the relay writes the schema of the record itself"),
    only(".converter.encoding", "UTF-8", &["UTF-8", "UTF8"], "text is UTF-8"),
    // The delegate writes what is not bytes.
    honoured(".delegate.converter.type"),
    honoured(".delegate.converter.type.*"),
];

/// The options of any other converter, whose class is rejected.
pub(super) const OF_OTHERS: &[Rule] = &[without_effect(".*")];
