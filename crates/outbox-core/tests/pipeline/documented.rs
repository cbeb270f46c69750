use outbox_core::TableLayout;

/// The page that lists the columns of the recommended table.
const DOCUMENTATION: &str = include_str!("../../../../docs/reference/tables.md");

#[test]
fn the_columns_of_the_recommended_table_are_documented() {
    for column in TableLayout::recommended().columns() {
        let name = column.name().as_str();
        assert!(DOCUMENTATION.contains(&format!("`{name}`")), "add the column {name} to docs/reference/tables.md");
    }
}
