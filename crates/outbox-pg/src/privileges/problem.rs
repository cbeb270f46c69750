use outbox_core::Identifier;

/// A privilege that a role lacks, or should not have. `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeProblem {
    /// The role does not exist.
    #[error("the role {role} does not exist: run the script of its rights")]
    RoleMissing {
        /// Its name.
        role: Identifier,
    },
    /// The role lacks a privilege.
    #[error("the role {role} lacks {right} on {object}: {remedy}")]
    Lacks {
        /// Its name.
        role: Identifier,
        /// The privilege, as PostgreSQL names it.
        right: String,
        /// The object of the privilege.
        object: String,
        /// The remedy.
        remedy: String,
    },
    /// The role has a privilege that it does not need.
    #[error("the role {role} has {right} on {object}, which it does not need: {remedy}")]
    Has {
        /// Its name.
        role: Identifier,
        /// The privilege, as PostgreSQL names it.
        right: String,
        /// The object of the privilege.
        object: String,
        /// The remedy.
        remedy: String,
    },
}
