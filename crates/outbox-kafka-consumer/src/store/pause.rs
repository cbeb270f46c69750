/// What is paused: everything of the group, a topic, or the events of a type. An empty text stands for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Paused {
    pub(crate) topic: String,
    pub(crate) event_type: String,
}

impl Paused {
    /// Returns whether this holds up everything of a topic.
    pub(crate) fn is_all_of(&self, topic: &str) -> bool {
        self.event_type.is_empty() && (self.topic.is_empty() || self.topic == topic)
    }

    /// Returns whether this holds up events of a type.
    pub(crate) fn is_of(&self, topic: &str, event_type: &str) -> bool {
        (self.topic.is_empty() || self.topic == topic) && (self.event_type.is_empty() || self.event_type == event_type)
    }
}
