use std::num::NonZeroU32;

use bytes::Bytes;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, CreateAclsRequest, DeleteAclsRequest};
use ring::pbkdf2;

use super::super::error::StackError;
use super::KafkaCluster;
use super::administration::{check, text};

/// A permission of a user, which a cluster with an authorizer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    user: String,
    operation: AclOperation,
    kind: i8,
    resource: String,
    permission: i8,
}

/// An operation that a user may do (`AclOperation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AclOperation {
    /// `ALL`.
    All,
    /// `READ`.
    Read,
    /// `WRITE`.
    Write,
    /// `CREATE`.
    Create,
    /// `DELETE`.
    Delete,
    /// `DESCRIBE`.
    Describe,
    /// `DESCRIBE_CONFIGS`.
    DescribeConfigs,
    /// `IDEMPOTENT_WRITE`.
    IdempotentWrite,
}

/// Values of `ResourceType`.
const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
const TRANSACTIONAL_ID: i8 = 5;
/// A value of `PatternType`.
const LITERAL: i8 = 3;
/// Values of `AclPermissionType`.
const DENY: i8 = 2;
const ALLOW: i8 = 3;
const ANY_HOST: &str = "*";

/// Values of `ScramMechanism`, with the length of the salted password.
const SCRAM: [(i8, pbkdf2::Algorithm, usize); 2] =
    [(1, pbkdf2::PBKDF2_HMAC_SHA256, 32), (2, pbkdf2::PBKDF2_HMAC_SHA512, 64)];
/// The fewest iterations that Kafka accepts.
const ITERATIONS: u16 = 4096;
const SALT: &[u8] = b"salt of a test";

impl Acl {
    /// Allows a user an operation on a topic; `*` is every topic.
    pub fn topic(user: impl Into<String>, operation: AclOperation, topic: impl Into<String>) -> Self {
        Self { user: user.into(), operation, kind: TOPIC, resource: topic.into(), permission: ALLOW }
    }

    /// Allows a user an operation on a consumer group; `*` is every group.
    pub fn group(user: impl Into<String>, operation: AclOperation, group: impl Into<String>) -> Self {
        Self { kind: GROUP, ..Self::topic(user, operation, group) }
    }

    /// Allows a user an operation on a transactional id; `*` is every id.
    pub fn transactional_id(user: impl Into<String>, operation: AclOperation, id: impl Into<String>) -> Self {
        Self { kind: TRANSACTIONAL_ID, ..Self::topic(user, operation, id) }
    }

    /// Allows a user an operation on the cluster.
    pub fn cluster(user: impl Into<String>, operation: AclOperation) -> Self {
        Self { kind: CLUSTER, ..Self::topic(user, operation, "kafka-cluster") }
    }

    /// Makes the ACL a prohibition, which overrides every permission.
    #[must_use]
    pub fn denied(self) -> Self {
        Self { permission: DENY, ..self }
    }

    fn principal(&self) -> String {
        format!("User:{}", self.user)
    }
}

impl AclOperation {
    fn code(self) -> i8 {
        match self {
            Self::All => 2,
            Self::Read => 3,
            Self::Write => 4,
            Self::Create => 5,
            Self::Delete => 6,
            Self::Describe => 8,
            Self::DescribeConfigs => 10,
            Self::IdempotentWrite => 12,
        }
    }
}

impl KafkaCluster {
    /// Adds an ACL. It takes effect within moments, on each broker at its own time.
    pub fn add_acl(&self, acl: &Acl) -> Result<(), StackError> {
        let creation = AclCreation::default()
            .with_resource_type(acl.kind)
            .with_resource_name(text(&acl.resource))
            .with_resource_pattern_type(LITERAL)
            .with_principal(text(&acl.principal()))
            .with_host(text(ANY_HOST))
            .with_operation(acl.operation.code())
            .with_permission_type(acl.permission);
        let answer = self.administer(&CreateAclsRequest::default().with_creations(vec![creation]), 3)?;
        let mut results = answer.results.iter();
        results.try_for_each(|result| check("add an ACL", result.error_code, result.error_message.as_ref()))
    }

    /// Removes an ACL. Fails if there is none such.
    pub fn remove_acl(&self, acl: &Acl) -> Result<(), StackError> {
        let filter = DeleteAclsFilter::default()
            .with_resource_type_filter(acl.kind)
            .with_resource_name_filter(Some(text(&acl.resource)))
            .with_pattern_type_filter(LITERAL)
            .with_principal_filter(Some(text(&acl.principal())))
            .with_host_filter(Some(text(ANY_HOST)))
            .with_operation(acl.operation.code())
            .with_permission_type(acl.permission);
        let answer = self.administer(&DeleteAclsRequest::default().with_filters(vec![filter]), 3)?;
        let mut removed = 0;

        for result in &answer.filter_results {
            check("remove an ACL", result.error_code, result.error_message.as_ref())?;
            for acl in &result.matching_acls {
                check("remove an ACL", acl.error_code, acl.error_message.as_ref())?;
                removed += 1;
            }
        }

        if removed == 0 {
            return Err(StackError::new(format!("the cluster has no such ACL: {acl:?}")));
        }
        Ok(())
    }

    /// Sets a user's password for both mechanisms of SCRAM, or creates the user. That for PLAIN does not change.
    pub fn set_scram_password(&self, user: &str, password: &str) -> Result<(), StackError> {
        let iterations = NonZeroU32::MIN.saturating_add(u32::from(ITERATIONS) - 1);
        // Kafka alters a user once in a request.
        SCRAM.into_iter().try_for_each(|(mechanism, algorithm, length)| {
            let mut salted = vec![0; length];
            pbkdf2::derive(algorithm, iterations, SALT, password.as_bytes(), &mut salted);
            let upsertion = ScramCredentialUpsertion::default()
                .with_name(text(user))
                .with_mechanism(mechanism)
                .with_iterations(ITERATIONS.into())
                .with_salt(Bytes::from_static(SALT))
                .with_salted_password(Bytes::from(salted));
            self.alter_scram(&AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]))
        })
    }

    /// Removes a user for both mechanisms of SCRAM.
    pub fn remove_scram_user(&self, user: &str) -> Result<(), StackError> {
        SCRAM.into_iter().try_for_each(|(mechanism, ..)| {
            let deletion = ScramCredentialDeletion::default().with_name(text(user)).with_mechanism(mechanism);
            self.alter_scram(&AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion]))
        })
    }

    fn alter_scram(&self, request: &AlterUserScramCredentialsRequest) -> Result<(), StackError> {
        let answer = self.administer(request, 0)?;
        let mut results = answer.results.iter();
        results.try_for_each(|result| check("alter a user", result.error_code, result.error_message.as_ref()))
    }
}
