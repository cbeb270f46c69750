use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use outbox_net::TlsFault;

use super::ErrorCode;
use super::gap::Gap;
use super::record_batch::Malformed;

/// The reason why a request to Kafka has no result. `Display` names the broker, the API, the topic and
/// the reason; `source` holds the cause.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    broker: Option<Box<str>>,
    api: Option<&'static str>,
    topic: Option<Box<str>>,
    partition: Option<i32>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Kind {
    #[error("cannot connect")]
    Connect,
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection was closed")]
    Closed,
    #[error(
        "the broker closed the connection at the first request: if this continues, the port demands TLS or a login \
         (security.protocol)"
    )]
    ClosedEarly,
    #[error("the answer is not Kafka's protocol")]
    Malformed,
    #[error("the request cannot be encoded")]
    Encode,
    #[error("the broker has no version of this request that this client speaks{}", remedy(.0))]
    Unsupported(Option<Gap>),
    #[error(
        "the broker rejected the login by {0}: check the user with its password, or the token, and that the broker knows \
         them for this mechanism"
    )]
    Login(&'static str),
    #[error(
        "the broker rejected the token, which expired {0:.0?} ago: renew it, or check why its source returns an old one"
    )]
    TokenExpired(Duration),
    #[error("the broker does not offer the login by {wanted}: set sasl.mechanism to one that it offers ({offered})")]
    Mechanism { wanted: &'static str, offered: Box<str> },
    #[error("the broker takes no login on this port: use its SASL port, or leave out the login")]
    NoLoginHere,
    #[error("{0}")]
    Tls(TlsFault),
    #[error(
        "the broker closed the connection during the TLS handshake: if this continues, the port is one without TLS, or the \
         broker rejects the client's certificate"
    )]
    TlsClosed,
    #[error(
        "the broker uses TLS on this port: set TLS (security.protocol SSL or SASL_SSL), or use its port without TLS"
    )]
    TlsRequired,
    #[error("a secret or a certificate of the security settings is not usable")]
    Security,
    #[error("the source of tokens failed")]
    Token,
    #[error("the property {0} is not usable: {1}")]
    Property(&'static str, Box<str>),
    #[error("the file {0} cannot be read: check its path and its permissions")]
    File(Box<str>),
    #[error("the address is not HOST:PORT")]
    Address,
    #[error("no broker can be reached")]
    NoBroker,
    #[error("the partition has no leader")]
    NoLeader,
    #[error("{}", code_and_message(.0, .1))]
    Code(ErrorCode, Option<Box<str>>),
}

fn code_and_message(code: &ErrorCode, message: &Option<Box<str>>) -> String {
    message.as_ref().map_or_else(|| code.to_string(), |message| format!("{code}: {message}"))
}

fn remedy(gap: &Option<Gap>) -> String {
    gap.map_or_else(String::new, |gap| format!(": {}", gap.consequence()))
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, broker: None, api: None, topic: None, partition: None, source: None }))
    }

    pub(crate) fn code_of(code: ErrorCode, message: Option<&str>) -> Self {
        Self::new(Kind::Code(code, message.filter(|message| !message.is_empty()).map(Into::into)))
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    pub(crate) fn at(mut self, broker: &str) -> Self {
        self.0.broker.get_or_insert_with(|| broker.into());
        self
    }

    pub(crate) fn by(mut self, api: &'static str) -> Self {
        self.0.api.get_or_insert(api);
        self
    }

    pub(crate) fn of_topic(mut self, topic: &str) -> Self {
        self.0.topic.get_or_insert_with(|| topic.into());
        self
    }

    pub(crate) fn of_partition(mut self, topic: &str, partition: i32) -> Self {
        self.0.partition.get_or_insert(partition);
        self.of_topic(topic)
    }

    pub(crate) fn malformed(cause: Malformed) -> Self {
        Self::new(Kind::Malformed).because(cause)
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Returns the broker's error code, if it answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self.0.kind {
            Kind::Code(code, _) => Some(code),
            _ => None,
        }
    }

    /// Returns a short name of the failure for metrics: Kafka's name of the error code, or one such as `timeout`.
    pub fn name(&self) -> String {
        let name = match &self.0.kind {
            Kind::Code(code, _) => return code.name(),
            Kind::Connect => "connect",
            Kind::ConnectTimeout(_) => "connect_timeout",
            Kind::Timeout(_) => "timeout",
            Kind::Closed | Kind::ClosedEarly => "closed",
            Kind::Malformed => "malformed_answer",
            Kind::Encode => "encode",
            Kind::Unsupported(_) => "unsupported",
            Kind::Tls(_) | Kind::TlsClosed | Kind::TlsRequired => "tls",
            Kind::Login(_) | Kind::TokenExpired(_) | Kind::Mechanism { .. } | Kind::NoLoginHere => "login",
            Kind::Security | Kind::Token | Kind::Property(..) | Kind::File(_) | Kind::Address => "settings",
            Kind::NoBroker => {
                // The brokers were asked in turn; this is the error of the last one.
                let last = self.0.source.as_ref().and_then(|source| source.downcast_ref::<Self>());
                return last.map_or_else(|| "no_broker".to_owned(), Self::name);
            }
            Kind::NoLeader => "no_leader",
        };
        name.to_owned()
    }

    /// Returns the name of the request that failed, if one was sent.
    pub fn api(&self) -> Option<&'static str> {
        self.0.api
    }

    /// Returns whether a login, a certificate or a privilege was rejected, by the broker or by this client.
    pub fn is_security(&self) -> bool {
        self.is_authentication() || self.code().is_some_and(ErrorCode::is_authorization)
    }

    /// Returns whether the settings are at fault, as far as one broker can say: an address, TLS, the login, or the
    /// protocol's versions.
    ///
    /// A broker that restarts may reject a login for some seconds, so this is certain only before the first success.
    pub fn is_configuration(&self) -> bool {
        self.is_authentication() || self.is_unsupported() || self.0.kind == Kind::Address
    }

    /// Returns whether brokers lack a request that the client cannot do without, or all its versions.
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.kind, Kind::Unsupported(_))
    }

    /// Returns whether the connection was closed while the request was under way.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.0.kind, Kind::Closed | Kind::ClosedEarly)
    }

    /// Returns whether two errors are the same failure of the same API and topic, at whichever broker and partition.
    pub fn is_same_failure(&self, other: &Self) -> bool {
        (&self.0.kind, self.0.api, &self.0.topic) == (&other.0.kind, other.0.api, &other.0.topic)
    }

    /// Returns whether the same request may succeed soon or at another broker, if it changes nothing.
    pub fn is_transient(&self) -> bool {
        match &self.0.kind {
            Kind::Connect
            | Kind::ConnectTimeout(_)
            | Kind::Timeout(_)
            | Kind::Closed
            | Kind::ClosedEarly
            | Kind::TlsClosed
            | Kind::NoLeader => true,
            Kind::NoBroker => !self.is_authentication(),
            Kind::Code(code, _) => code.is_transient(),
            _ => false,
        }
    }

    /// Returns whether the broker rejected the login or the TLS handshake, or a secret, a certificate or a security
    /// setting is not usable. Another broker may accept what this one rejects, and secrets may be renewed.
    pub fn is_authentication(&self) -> bool {
        match &self.0.kind {
            Kind::Login(_)
            | Kind::TokenExpired(_)
            | Kind::Mechanism { .. }
            | Kind::NoLoginHere
            | Kind::Tls(_)
            | Kind::TlsRequired
            | Kind::Security
            | Kind::Token
            | Kind::Property(..)
            | Kind::File(_) => true,
            // The brokers were asked in turn; this is the error of the last one.
            Kind::NoBroker => {
                self.0.source.as_ref().and_then(|e| e.downcast_ref::<Self>()).is_some_and(Self::is_authentication)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, broker, api, topic, partition, source: _ } = &*self.0;
        f.write_str("Kafka")?;
        if let Some(broker) = broker {
            write!(f, " at {broker}")?;
        }
        if let Some(api) = api {
            write!(f, ", {api}")?;
        }

        if let Some(topic) = topic {
            write!(f, ", topic {topic}")?;
        }
        if let Some(partition) = partition {
            write!(f, ", partition {partition}")?;
        }
        write!(f, ": {kind}")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_where_and_what_but_not_its_cause() {
        let error = Error::code_of(ErrorCode::MESSAGE_TOO_LARGE, None)
            .of_partition("orders", 3)
            .by("Produce")
            .at("kafka:9092")
            .because("cause");
        assert_eq!(
            error.to_string(),
            "Kafka at kafka:9092, Produce, topic orders, partition 3: MESSAGE_TOO_LARGE (10)"
        );
        assert_eq!(error.source().map(ToString::to_string), Some("cause".to_owned()));
    }
}
