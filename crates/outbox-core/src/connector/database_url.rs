use super::ConnectorConfig;
use crate::Error;

/// The libpq parameters that the connector also has.
const TLS_PARAMETERS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// The `database.*` key that an error is about. The URL itself holds a password and is in no error.
const URL: &str = "database.*";

impl ConnectorConfig {
    /// Sets `database.hostname`, `database.port`, `database.user`, `database.password` and `database.dbname` to those
    /// of a PostgreSQL connection URL (PostgreSQL manual, "Connection URIs").
    ///
    /// The port is 5432 and the database is named like the user unless the URL says otherwise. The parameters
    /// `sslmode`, `sslrootcert`, `sslcert` and `sslkey` set the key of that name. The user's name, the password and the
    /// parameters' values are percent-decoded. A URL without a password leaves `database.password` as it is.
    ///
    /// ```
    /// use outbox_core::{ConnectorConfig, TableLayout};
    ///
    /// # fn main() -> Result<(), outbox_core::Error> {
    /// let config = ConnectorConfig::recommended(&TableLayout::recommended())
    ///     .with_database_url("postgres://shop:s%40fe@db.internal:6432/orders?sslmode=verify-full")?;
    /// assert_eq!(config.get("database.hostname"), Some("db.internal"));
    /// assert_eq!(config.get("database.port"), Some("6432"));
    /// assert_eq!(config.get("database.password"), Some("s@fe"));
    /// assert_eq!(config.get("database.sslmode"), Some("verify-full"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Fails if the text is not a URL of PostgreSQL, names no host, no user or several hosts, or has a parameter that
    /// no key of the connector corresponds to. The error does not quote the URL, because it may hold a password.
    pub fn with_database_url(self, url: &str) -> Result<Self, Error> {
        let error = |reason: &str| Error::config(URL, "", reason);
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| error("the database's URL must begin with postgres:// or postgresql://"))?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority
            .rsplit_once('@')
            .ok_or_else(|| error("the database's URL names no user: write postgres://USER:PASSWORD@HOST/DATABASE"))?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (decoded(user)?, Some(decoded(password)?)),
            None => (decoded(login)?, None),
        };

        let (host, port) = host_and_port(address)?;
        if user.is_empty() || host.is_empty() {
            return Err(error("the database's URL must name a user and a host"));
        }

        let database = if database.is_empty() { user.clone() } else { decoded(database)? };
        let config = self
            .with("database.hostname", host)
            .with("database.port", port.to_string())
            .with("database.user", user)
            .with("database.dbname", database);
        let config = match password {
            Some(password) => config.with("database.password", password),
            None => config,
        };

        parameters.split('&').filter(|parameter| !parameter.is_empty()).try_fold(config, |config, parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !TLS_PARAMETERS.contains(&name) {
                let reason = "a parameter of the database's URL has no corresponding key: remove it";
                return Err(Error::config(format!("database.{name}"), "", reason));
            }
            Ok(config.with(format!("database.{name}"), decoded(value)?))
        })
    }
}

/// Splits host and port. An IPv6 address is in brackets.
fn host_and_port(address: &str) -> Result<(&str, u16), Error> {
    let error = |reason: &str| Error::config("database.port", "", reason);
    if address.contains(',') {
        return Err(error("the database's URL names several hosts: name one"));
    }

    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        None | Some("") => 5432,
        Some(port) => port.parse().map_err(|_| error("the port of the database's URL is not a number up to 65535"))?,
    };
    Ok((host, port))
}

fn decoded(text: &str) -> Result<String, Error> {
    let error = || Error::config(URL, "", "the database's URL has a % that no two hexadecimal digits of UTF-8 follow");
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());

    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(error)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(error());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| error())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use crate::{ConnectorConfig, TableLayout};

    fn recommended() -> ConnectorConfig {
        ConnectorConfig::recommended(&TableLayout::recommended())
    }

    #[test]
    fn a_url_sets_host_port_user_password_and_name() {
        for (url, expected) in [
            ("postgres://u:p@h:1/d", ["h", "1", "u", "p", "d"]),
            ("postgresql://u:p@h", ["h", "5432", "u", "p", "u"]),
            ("postgres://a%3Ab:%25%40%C3%A9@[::1]:7/d%2Fe", ["::1", "7", "a:b", "%@é", "d/e"]),
            ("postgres://u:p:q@[fe80::1]/", ["fe80::1", "5432", "u", "p:q", "u"]),
            ("postgres://u@h:/d", ["h", "5432", "u", "${env:OUTBOX_DB_PASSWORD}", "d"]),
        ] {
            let config = recommended().with_database_url(url).unwrap();
            let found = ["hostname", "port", "user", "password", "dbname"]
                .map(|key| config.get(&format!("database.{key}")).unwrap());
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_rejected_without_its_password() {
        for url in [
            "h:1/hidden",
            "mysql://u:hidden@h/d",
            "postgres://h/hidden",
            "postgres://:hidden@h/d",
            "postgres://u:hidden@/d",
            "postgres://u:hidden@h:x/d",
            "postgres://u:hidden@h:65536/d",
            "postgres://u:hidden@h,i/d",
            "postgres://u:hidden%@h/d",
            "postgres://u:hidden%é@h/d",
            "postgres://u:hidden%ff@h/d",
            "postgres://u:hidden@h/d?application_name=hidden",
        ] {
            let error = recommended().with_database_url(url).unwrap_err();
            assert!(error.is_configuration(), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{url}: {error:?}");
        }
    }
}
