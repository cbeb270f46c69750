use outbox_core::Pipeline;
use outbox_core::layout::Column;

use super::Problem;
use crate::Error;
use crate::session::Session;

/// Returns the problems that keep rows of the table, or parts of them, out of the publication.
pub(crate) async fn publication_problem(client: &Session<'_>, pipeline: &Pipeline) -> Result<Option<Problem>, Error> {
    let (publication, layout) = (pipeline.publication(), pipeline.layout());
    // Row filters and lists of columns came with PostgreSQL 15: before, the view has no such columns.
    let sql = "SELECT p.pubinsert, t.tablename IS NOT NULL,
                      coalesce(NOT p.pubviaroot AND c.relkind = 'p' AND (p.puballtables
                          OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)), false),
                      to_jsonb(t) ->> 'rowfilter' IS NOT NULL,
                      ARRAY(SELECT jsonb_array_elements_text(to_jsonb(t) -> 'attnames')),
                      ARRAY(SELECT attname::text FROM pg_attribute
                            WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                                AND to_jsonb(t) ->> 'attnames' IS NOT NULL)
               FROM pg_publication p
               LEFT JOIN pg_publication_tables t
                   ON t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3
               LEFT JOIN pg_class c ON c.oid = to_regclass($4)
               WHERE p.pubname = $1";

    let (schema, table) = (layout.schema().as_str(), layout.table().as_str());
    let row = client
        .query_opt(sql, &[&publication.as_str(), &schema, &table, &layout.qualified_name()])
        .await
        .map_err(|e| Error::database("read the publications", e))?;

    let (publication, table) = (publication.clone(), layout.qualified_name());
    let Some(row) = row else { return Ok(Some(Problem::PublicationMissing { publication })) };

    if !layout.row_life().has_table() {
        return Ok(None);
    }

    let [inserts, is_member, is_of_partitions, is_filtered] = [0, 1, 2, 3].map(|index| row.get::<_, bool>(index));
    let (published, existing): (Vec<String>, Vec<String>) = (row.get(4), row.get(5));
    let is_in = |names: &[String], column: &Column| names.iter().any(|name| name == column.name().as_str());
    let left_out: Vec<_> = layout
        .columns()
        .iter()
        .filter(|column| column.field().is_some_and(|field| pipeline.carries(field)))
        .filter(|column| is_in(&existing, column) && !is_in(&published, column))
        .map(|column| column.name().to_string())
        .collect();

    Ok(if is_of_partitions {
        Some(Problem::PartitionsPublished { publication, table })
    } else if !is_member {
        Some(Problem::TableNotPublished { publication, table })
    } else if !inserts {
        Some(Problem::InsertsNotPublished { publication })
    } else if is_filtered {
        Some(Problem::RowFilter { publication, table })
    } else if !left_out.is_empty() {
        Some(Problem::ColumnsNotPublished { publication, table, columns: left_out.join(", ") })
    } else {
        None
    })
}
