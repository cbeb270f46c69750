//! Converters of keys and values: each of these follows `key.converter` or `value.converter`.

use crate::settings::rule::{Rule, honoured, only, refused, without_effect};

pub(super) const RULES: &[Rule] = &[
    honoured(""),
    without_effect(".plugin.version"),
    without_effect(".converter.type"),
    honoured(".schemas.enable"),
    without_effect(".schemas.cache.size"),
    refused(".decimal.format", "the relay knows no decimals: leave it out"),
    refused(".replace.null.with.default", "the relay writes a column's default for NULL, as is Connect's own default"),
    only(".schema.content", "", &[""], "the relay writes the schema of the record itself: leave it out"),
    only(".converter.encoding", "UTF-8", &["UTF-8", "UTF8"], "text is UTF-8: leave it out"),
    // The delegate writes what is no event.
    without_effect(".delegate.converter.type"),
    without_effect(".delegate.converter.type.*"),
];
