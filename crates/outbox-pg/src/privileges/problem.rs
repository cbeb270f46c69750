use outbox_core::Identifier;

/// A right that a role has too many or too few. `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeProblem {
    /// The role is not there.
    #[error("the role {role} does not exist: run the script of its rights")]
    RoleMissing {
        /// Its name.
        role: Identifier,
    },
    /// It cannot do its work.
    #[error("the role {role} lacks {right} on {object}: {remedy}")]
    Lacks {
        /// Its name.
        role: Identifier,
        /// The right, as PostgreSQL names it.
        right: String,
        /// The object of the privilege.
        object: String,
        /// The remedy.
        remedy: String,
    },
    /// It can do more than its work.
    #[error("the role {role} has {right} on {object}, which it does not need: {remedy}")]
    Has {
        /// Its name.
        role: Identifier,
        /// The right, as PostgreSQL names it.
        right: String,
        /// The object of the privilege.
        object: String,
        /// The remedy.
        remedy: String,
    },
}
