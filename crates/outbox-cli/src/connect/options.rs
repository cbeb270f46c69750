use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use outbox_net::{Pem, Tls};

use super::Rest;
use super::http::{Address, Http};
use crate::exit::Failure;
use crate::prompt::PasswordPlaces;

/// The address of Kafka Connect, and how to log in.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kafka Connect")]
pub(crate) struct ConnectOptions {
    /// The REST API of a Kafka Connect worker
    #[arg(long, env = "CONNECT_URL", value_name = "URL", default_value = "http://127.0.0.1:8083", global = true)]
    connect_url: String,

    /// Log in as this user, by basic authentication
    #[arg(long, env = "CONNECT_USER", value_name = "NAME", global = true)]
    connect_user: Option<String>,

    /// Read the user's password from this file; without a file or a command it is in CONNECT_PASSWORD, or asked for
    #[arg(long, env = "CONNECT_PASSWORD_FILE", value_name = "FILE", global = true)]
    connect_password_file: Option<PathBuf>,

    /// Run this command line with sh to get the user's password
    #[arg(
        long,
        env = "CONNECT_PASSWORD_COMMAND",
        value_name = "COMMAND",
        global = true,
        conflicts_with = "connect_password_file"
    )]
    connect_password_command: Option<String>,

    /// Trust the certificates in this PEM file, in place of the system's authorities
    #[arg(long, env = "CONNECT_CA_FILE", value_name = "FILE", global = true)]
    connect_ca: Option<PathBuf>,

    /// Show this certificate to the worker, in PEM
    #[arg(long, env = "CONNECT_CERT_FILE", value_name = "FILE", global = true)]
    connect_cert: Option<PathBuf>,

    /// The key of --connect-cert, in PEM
    #[arg(long, env = "CONNECT_KEY_FILE", value_name = "FILE", global = true)]
    connect_key: Option<PathBuf>,
}

impl ConnectOptions {
    /// Returns a client, which connects for each request.
    pub(crate) async fn rest(&self, limit: Duration) -> Result<Rest, Failure> {
        let address = Address::parse(&self.connect_url)?;
        let login = match &self.connect_user {
            None => None,
            Some(_) if !address.is_private() => {
                return Err(Failure::usage(
                    "a password would be sent readable to all: use https, or a forwarded port of this machine",
                ));
            }
            Some(user) => {
                let whose = format!("{user} at Kafka Connect");
                let places = PasswordPlaces {
                    whose: &whose,
                    file: self.connect_password_file.as_deref(),
                    command: self.connect_password_command.as_deref(),
                    variable: "CONNECT_PASSWORD",
                };
                let password = places.read_or_ask().await?;

                Some((
                    user.clone(),
                    password.ok_or_else(|| {
                        Failure::usage(format!("there is no password for {whose}: set CONNECT_PASSWORD"))
                    })?,
                ))
            }
        };

        let tls = match address.is_https {
            true => Some(self.tls()?),
            false => None,
        };
        Ok(Rest::new(Http::new(address, tls, login, limit)))
    }

    fn tls(&self) -> Result<Tls, Failure> {
        let mut tls = Tls::new();
        if let Some(ca) = &self.connect_ca {
            tls = tls.roots(Pem::file(ca));
        }
        match (&self.connect_cert, &self.connect_key) {
            (None, None) => Ok(tls),
            (Some(certificate), Some(key)) => Ok(tls.identity(Pem::file(certificate), Pem::file(key))),
            _ => Err(Failure::usage("--connect-cert and --connect-key go together")),
        }
    }
}
