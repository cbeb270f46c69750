/// The name and version that Kafka Connect's `SetSchemaMetadata$Value` gives to the schema of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaMetadata {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<i32>,
}
