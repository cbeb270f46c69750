/// The name and version that Kafka Connect's `SetSchemaMetadata$Value` gives to the schema of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaMetadata {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<i32>,
}

impl SchemaMetadata {
    /// Applies the values of a later transformation.
    pub(super) fn replace(&mut self, later: &Self) {
        self.name = later.name.clone().or(self.name.take());
        self.version = later.version.or(self.version);
    }
}
