use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use outbox_net::rustls::ClientConfig;
use outbox_net::{Properties, Tls};

use crate::client_properties::{self, SecuritySettings};
use crate::error::{Error, Kind};
use crate::{Credentials, Sasl};

/// The security of the connections to Kafka: TLS and a login by SASL. By default there is neither.
///
/// Passwords, tokens and files are read again for each new connection, so they can change while the process runs.
/// `Debug` shows no secret.
///
/// ```
/// use outbox_kafka::{Sasl, Security, Tls};
///
/// let security = Security::new().tls(Tls::new()).sasl(Sasl::scram_sha_512("relay", "secret"));
/// assert!(!format!("{security:?}").contains("secret"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Security(Source);

#[derive(Clone)]
enum Source {
    Fixed(SecuritySettings),
    Reloaded(Arc<dyn Fn() -> Result<SecuritySettings, Error> + Send + Sync>),
}

impl Security {
    /// Creates the settings of a connection without TLS and login.
    pub fn new() -> Self {
        Self(Source::Fixed(SecuritySettings::default()))
    }

    /// Sets TLS.
    pub fn tls(self, tls: Tls) -> Self {
        self.with(move |settings| SecuritySettings { tls: Some(tls.clone()), ..settings })
    }

    /// Sets the login.
    pub fn sasl(self, sasl: Sasl) -> Self {
        self.with(move |settings| SecuritySettings { sasl: Some(sasl.clone()), ..settings })
    }

    /// Reads the settings from the properties of a Kafka client, such as `security.protocol` and `sasl.jaas.config`.
    ///
    /// Properties that have nothing to do with security are skipped; one warning lists their names.
    ///
    /// # Errors
    /// A property has no usable value. The error names the property and the remedy, and never the value.
    pub fn from_properties(properties: &Properties) -> Result<Self, Error> {
        client_properties::warn_of_unused(properties);
        Ok(Self(Source::Fixed(client_properties::settings(properties)?)))
    }

    /// Reads the settings from a client's properties file, again for each new connection; see
    /// [`from_properties`](Self::from_properties).
    ///
    /// # Errors
    /// The file cannot be read, or a property has no usable value.
    pub fn from_properties_file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        Self::from_changing_properties(move || {
            std::fs::read_to_string(&path)
                .map(|text| Properties::parse(&text))
                .map_err(|e| Error::new(Kind::File(shown(&path))).because(e))
        })
    }

    /// Reads the settings from the properties that a function returns, again for each new connection; see
    /// [`from_properties`](Self::from_properties).
    ///
    /// # Errors
    /// The function fails, or a property has no usable value.
    pub fn from_changing_properties<F, E>(read: F) -> Result<Self, Error>
    where
        F: Fn() -> Result<Properties, E> + Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let read = move || {
            read().map_err(|e| match e.into().downcast::<Error>() {
                Ok(error) => *error,
                Err(other) => Error::new(Kind::Security).because(other),
            })
        };
        let properties = read()?;
        client_properties::warn_of_unused(&properties);

        // If nothing has changed, the settings are reused with their tokens.
        let last = Mutex::new((client_properties::settings(&properties)?, properties));

        Ok(Self(Source::Reloaded(Arc::new(move || {
            let properties = read()?;
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.1 != properties {
                *last = (client_properties::settings(&properties)?, properties);
            }
            Ok(last.0.clone())
        }))))
    }

    /// Returns the TLS configuration of a new connection, from the files as they are now; `None` without TLS.
    ///
    /// # Errors
    /// A file cannot be read, or holds no usable certificate or key.
    pub async fn client_config(&self) -> Result<Option<Arc<ClientConfig>>, Error> {
        self.current()?.client_config().await
    }

    /// Returns the credentials of a new connection as they are now; `None` without a login.
    ///
    /// # Errors
    /// A password or a token cannot be read.
    pub async fn credentials(&self) -> Result<Option<Credentials>, Error> {
        match self.current()?.sasl {
            Some(sasl) => sasl.credentials().await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the settings of a new connection.
    pub(crate) fn current(&self) -> Result<SecuritySettings, Error> {
        match &self.0 {
            Source::Fixed(settings) => Ok(settings.clone()),
            Source::Reloaded(read) => read(),
        }
    }

    fn with(self, change: impl Fn(SecuritySettings) -> SecuritySettings + Send + Sync + 'static) -> Self {
        Self(match self.0 {
            Source::Fixed(settings) => Source::Fixed(change(settings)),
            Source::Reloaded(read) => Source::Reloaded(Arc::new(move || read().map(&change))),
        })
    }
}

fn shown(path: &std::path::Path) -> Box<str> {
    path.display().to_string().into()
}

impl Default for Security {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.current() {
            Ok(settings) => {
                f.debug_struct("Security").field("tls", &settings.tls).field("sasl", &settings.sasl).finish()
            }
            Err(error) => f.debug_struct("Security").field("error", &error).finish(),
        }
    }
}
