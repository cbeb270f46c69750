//! The properties of Kafka's own clients that concern security (Kafka documentation, "Security Configuration").

use std::sync::Arc;

use outbox_net::rustls::ClientConfig;
use outbox_net::{Pem, Properties, SecretSource, Tls, Verification};

use crate::error::{Error, Kind};
use crate::jaas::LoginModule;
use crate::{Mechanism, Sasl, TokenSource};

/// The security of a new connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecuritySettings {
    pub(crate) tls: Option<Tls>,
    pub(crate) sasl: Option<Sasl>,
}

impl SecuritySettings {
    pub(crate) async fn client_config(&self) -> Result<Option<Arc<ClientConfig>>, Error> {
        match &self.tls {
            Some(tls) => tls.client_config().await.map(Some).map_err(|e| Error::new(Kind::Security).because(e)),
            None => Ok(None),
        }
    }
}

/// A property of this project only: a command line that prints a token for `OAUTHBEARER`.
const TOKEN_COMMAND: &str = "outbox.sasl.oauthbearer.token.command";

/// Every property that is read here, or whose default is the only supported behaviour.
const USED: [&str; 24] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.jaas.config",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.login.callback.handler.class",
    "sasl.client.callback.handler.class",
    "sasl.login.class",
    TOKEN_COMMAND,
    "ssl.truststore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.keystore.type",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
    "ssl.enabled.protocols",
    "ssl.protocol",
    "ssl.keymanager.algorithm",
    "ssl.trustmanager.algorithm",
    "ssl.secure.random.implementation",
];

/// Logs the names of properties that are not read here, in one warning.
pub(crate) fn warn_of_unused(properties: &Properties) {
    let mut unused: Vec<&str> = properties.iter().map(|(name, _)| name).filter(|name| !USED.contains(name)).collect();
    unused.sort_unstable();
    unused.dedup();
    if !unused.is_empty() {
        let names = unused.join(", ");
        tracing::warn!(target: "outbox.kafka", names, "properties of the Kafka client ignored: they do not concern security");
    }
}

/// Reads the settings of connections.
pub(crate) fn settings(properties: &Properties) -> Result<SecuritySettings, Error> {
    let reader = Reader(properties);
    let protocol = reader.get("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
    let (has_tls, has_sasl) = match protocol.as_str() {
        "PLAINTEXT" => (false, false),
        "SSL" => (true, false),
        "SASL_PLAINTEXT" => (false, true),
        "SASL_SSL" => (true, true),
        _ => return Err(unusable("security.protocol", "it is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL")),
    };

    Ok(SecuritySettings {
        tls: if has_tls { Some(reader.tls()?) } else { None },
        sasl: if has_sasl { Some(reader.sasl()?) } else { None },
    })
}

fn unusable(property: &'static str, reason: impl Into<Box<str>>) -> Error {
    Error::new(Kind::Property(property, reason.into()))
}

struct Reader<'a>(&'a Properties);

impl<'a> Reader<'a> {
    /// Returns a value that is not empty, without the white space around it.
    fn get(&self, name: &'static str) -> Option<&'a str> {
        self.0.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Reads the trust store and the key store, which may be PEM in a file or in the property itself, and the check of
    /// the host name.
    fn tls(&self) -> Result<Tls, Error> {
        let mut tls = Tls::new();
        if let Some(pem) =
            self.store("ssl.truststore.type", "ssl.truststore.certificates", "ssl.truststore.location")?
        {
            tls = tls.roots(pem);
        }

        let in_file = self.store("ssl.keystore.type", "ssl.keystore.certificate.chain", "ssl.keystore.location")?;
        tls = match (in_file, self.get("ssl.keystore.certificate.chain"), self.get("ssl.keystore.key")) {
            (Some(chain), Some(_), Some(key)) => tls.identity(chain, Pem::text(key.as_bytes())),
            (_, Some(_), None) => return Err(unusable("ssl.keystore.key", "the certificate's key is missing")),
            (_, None, Some(_)) => {
                return Err(unusable("ssl.keystore.certificate.chain", "the key's certificate is missing"));
            }
            (Some(file), None, None) => tls.identity(file.clone(), file),
            (None, ..) => tls,
        };

        // An empty value switches the check of the name off; only an absent one is the default.
        match self.0.get("ssl.endpoint.identification.algorithm").map(str::trim) {
            None => Ok(tls),
            Some("") => Ok(tls.verification(Verification::Chain)),
            Some(name) if name.eq_ignore_ascii_case("https") => Ok(tls),
            Some(_) => Err(unusable("ssl.endpoint.identification.algorithm", "it is https or empty")),
        }
    }

    /// Returns the PEM of a key store or a trust store: the text of one property, or a file that another one names.
    fn store(&self, ty: &'static str, text: &'static str, location: &'static str) -> Result<Option<Pem>, Error> {
        let remedy = "key stores are read as PEM only: convert it with `keytool -importkeystore … -deststoretype PKCS12` \
                      and `openssl pkcs12 -in STORE.p12 -out STORE.pem -nodes`, and set PEM";
        match self.get(ty) {
            Some(found) if !found.eq_ignore_ascii_case("PEM") => return Err(unusable(ty, remedy)),
            _ => {}
        }
        match (self.get(text), self.get(location)) {
            (Some(_), Some(_)) => Err(unusable(location, format!("{text} is set as well: leave out one of the two"))),
            (Some(text), None) => Ok(Some(Pem::text(text.as_bytes()))),
            // A file without a type is JKS by Kafka's default; it is recognised by its contents when it is read.
            (None, Some(path)) => Ok(Some(Pem::file(path))),
            (None, None) => Ok(None),
        }
    }

    /// Reads the login from `sasl.mechanism` and `sasl.jaas.config`.
    fn sasl(&self) -> Result<Sasl, Error> {
        let mechanism = match self.get("sasl.mechanism").unwrap_or("GSSAPI") {
            "PLAIN" => Mechanism::Plain,
            "SCRAM-SHA-256" => Mechanism::ScramSha256,
            "SCRAM-SHA-512" => Mechanism::ScramSha512,
            "OAUTHBEARER" => return self.oauth_bearer(),
            "GSSAPI" => {
                return Err(unusable(
                    "sasl.mechanism",
                    "GSSAPI (Kerberos), which is Kafka's default, is not supported: use PLAIN, SCRAM-SHA-256, \
                     SCRAM-SHA-512 or OAUTHBEARER",
                ));
            }
            "AWS_MSK_IAM" => {
                return Err(unusable(
                    "sasl.mechanism",
                    format!(
                        "AWS_MSK_IAM is not supported: use OAUTHBEARER and {TOKEN_COMMAND}, with a command that \
                             prints a token of the MSK IAM signer"
                    ),
                ));
            }
            _ => {
                return Err(unusable(
                    "sasl.mechanism",
                    "it is one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER",
                ));
            }
        };
        let class = match mechanism {
            Mechanism::Plain => "PlainLoginModule",
            _ => "ScramLoginModule",
        };
        let mut module = self.login_module(class)?;

        if module.options.get("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(jaas("delegation tokens (tokenauth) are not supported: use a user and a password"));
        }

        let mut option = |name: &str, missing| module.options.remove(name).ok_or_else(|| jaas(missing));
        let user = option("username", "the option username is missing")?;
        let password = option("password", "the option password is missing")?;
        Ok(Sasl::password(mechanism, user, SecretSource::from(password)))
    }

    /// Reads the source of tokens and the extensions of the login. Java's callback handlers are rejected, unless a
    /// command replaces them.
    fn oauth_bearer(&self) -> Result<Sasl, Error> {
        if self.get("sasl.jaas.config").is_none() && self.get(TOKEN_COMMAND).is_none() {
            return Err(jaas("it is missing, and there is no command for tokens either"));
        }
        let handler = self.get("sasl.login.callback.handler.class").unwrap_or_default();
        let is_kafkas = handler.is_empty() || handler.ends_with(".OAuthBearerLoginCallbackHandler");
        if !is_kafkas && self.get(TOKEN_COMMAND).is_none() {
            return Err(unusable(
                "sasl.login.callback.handler.class",
                format!("Java classes are not run: set {TOKEN_COMMAND} to a command that prints a token"),
            ));
        }

        let mut sasl = Sasl::oauth_bearer(self.tokens()?);
        if self.get("sasl.jaas.config").is_some() {
            for (name, value) in self.login_module("OAuthBearerLoginModule")?.options {
                if let Some(extension) = name.strip_prefix("extension_") {
                    sasl = sasl.extension(extension, value);
                }
            }
        }
        Ok(sasl)
    }

    /// Returns the source of tokens: the command, or the file of the endpoint's URL.
    fn tokens(&self) -> Result<TokenSource, Error> {
        if let Some(command) = self.get(TOKEN_COMMAND) {
            return Ok(TokenSource::command(command));
        }

        let name = "sasl.oauthbearer.token.endpoint.url";
        let Some(url) = self.get(name) else {
            return Err(unusable(
                name,
                format!("it is missing: name a file with file:///PATH, or set {TOKEN_COMMAND}"),
            ));
        };

        match url.strip_prefix("file:") {
            // file:/PATH and file:///PATH are the same in Java.
            Some(rest) if rest.starts_with('/') => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                Ok(TokenSource::file(path))
            }
            _ => Err(unusable(
                name,
                format!(
                    "only file:///PATH is read: for an http(s) endpoint set {TOKEN_COMMAND} to a command such as \
                         `curl -sf -d grant_type=client_credentials …`, whose JSON is understood"
                ),
            )),
        }
    }

    fn login_module(&self, class: &str) -> Result<LoginModule, Error> {
        let text = self.get("sasl.jaas.config").ok_or_else(|| {
            jaas("it is missing: a JAAS file of the Java process is not read, so the login module belongs here")
        })?;
        let module = LoginModule::parse(text).map_err(jaas)?;
        if module.class.rsplit('.').next() == Some(class) {
            Ok(module)
        } else {
            Err(jaas(format!("the login module of this sasl.mechanism is …{class}")))
        }
    }
}

fn jaas(reason: impl Into<Box<str>>) -> Error {
    unusable("sasl.jaas.config", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAM: &str =
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p\";";
    const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                         extension_logicalCluster=\"lkc-1\";";

    type Entries<'a> = &'a [(&'a str, &'a str)];

    fn read(entries: Entries<'_>) -> Result<SecuritySettings, Error> {
        settings(&entries.iter().copied().collect())
    }

    #[tokio::test]
    async fn each_protocol_and_mechanism_is_read() {
        let plain = SCRAM.replace("scram.Scram", "plain.Plain");
        assert!(read(&[]).unwrap().tls.is_none());
        assert!(read(&[("security.protocol", "ssl")]).unwrap().tls.is_some());

        for (mechanism, module) in [("PLAIN", plain.as_str()), ("SCRAM-SHA-256", SCRAM), ("SCRAM-SHA-512", SCRAM)] {
            let settings = read(&[
                ("security.protocol", "SASL_PLAINTEXT"),
                ("sasl.mechanism", mechanism),
                ("sasl.jaas.config", module),
            ]);
            let settings = settings.unwrap();
            assert!(settings.tls.is_none());
            let credentials = settings.sasl.unwrap().credentials().await.unwrap();
            assert_eq!(
                (credentials.mechanism.name(), &*credentials.user, credentials.secret.expose()),
                (mechanism, "u", "p")
            );
        }

        let path = std::env::temp_dir().join(format!("outbox-kafka-token-{}", std::process::id()));
        std::fs::write(&path, "a.token\n").unwrap();

        let file = format!("file://{}", path.display());
        for (key, value) in [("sasl.oauthbearer.token.endpoint.url", &*file), (TOKEN_COMMAND, "echo a.token")] {
            let settings = read(&[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "OAUTHBEARER"),
                ("sasl.jaas.config", OAUTH),
                (key, value),
            ]);
            let credentials = settings.unwrap().sasl.unwrap().credentials().await.unwrap();
            assert_eq!((credentials.mechanism, credentials.secret.expose()), (Mechanism::OAuthBearer, "a.token"));
            assert_eq!(credentials.extensions["logicalCluster"], "lkc-1");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_value_that_does_not_work_names_its_property_and_the_remedy() {
        let tls = ("security.protocol", "SSL");
        let sasl = ("security.protocol", "SASL_SSL");
        let cases: [(Entries<'_>, &str, &str); 13] = [
            (&[("security.protocol", "hunter2")], "security.protocol", "SASL_SSL"),
            (&[sasl], "sasl.mechanism", "SCRAM-SHA-512"),
            (&[sasl, ("sasl.mechanism", "AWS_MSK_IAM")], "sasl.mechanism", TOKEN_COMMAND),
            (&[sasl, ("sasl.mechanism", "hunter2")], "sasl.mechanism", "OAUTHBEARER"),
            (&[sasl, ("sasl.mechanism", "PLAIN")], "sasl.jaas.config", "missing"),
            (&[sasl, ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", "hunter2")], "sasl.jaas.config", "required"),
            (&[sasl, ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", SCRAM)], "sasl.jaas.config", "PlainLoginModule"),
            (
                &[sasl, ("sasl.mechanism", "OAUTHBEARER"), ("sasl.jaas.config", OAUTH)],
                "sasl.oauthbearer.token.endpoint.url",
                TOKEN_COMMAND,
            ),
            (
                &[
                    sasl,
                    ("sasl.mechanism", "OAUTHBEARER"),
                    ("sasl.jaas.config", OAUTH),
                    ("sasl.oauthbearer.token.endpoint.url", "https://hunter2@idp/token"),
                ],
                "sasl.oauthbearer.token.endpoint.url",
                "curl",
            ),
            (&[tls, ("ssl.truststore.type", "JKS")], "ssl.truststore.type", "keytool"),
            (&[tls, ("ssl.keystore.type", "PKCS12")], "ssl.keystore.type", "openssl"),
            (&[tls, ("ssl.keystore.certificate.chain", "hunter2")], "ssl.keystore.key", "missing"),
            (&[tls, ("ssl.endpoint.identification.algorithm", "hunter2")], "ssl.endpoint.identification", "https"),
        ];

        for (entries, property, remedy) in cases {
            let error = read(entries).unwrap_err();
            let shown = error.to_string();
            assert!(shown.contains(property) && shown.contains(remedy), "{entries:?}: {shown}");
            assert!(!format!("{error:?} {shown}").contains("hunter2"), "{shown}");
            assert!(error.is_authentication());
        }
    }

    #[test]
    fn a_secret_in_any_property_is_not_shown() {
        let base =
            [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", SCRAM)];
        for property in USED {
            for secret in ["hunter2", "file:///hunter2.jks", &SCRAM.replace("\"p\"", "\"hunter2\"")] {
                let mut entries = base.to_vec();
                entries.push((property, secret));
                let shown = match read(&entries) {
                    Ok(settings) => format!("{settings:?}"),
                    Err(error) => format!("{error:?} {error}"),
                };
                let is_path = property.ends_with(".location");
                assert!(is_path || !shown.contains("hunter2"), "{property}: {shown}");
            }
        }
    }
}
