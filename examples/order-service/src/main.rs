//! The order service; `order-service --help` explains it.

use std::error::Error;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use order_service::{Database, LogFormat, Settings, Task};
use outbox_net::ErrorChain;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    order_service::start_logging(settings.log_format);
    match run(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = ErrorChain::new(&*error);
            match settings.log_format {
                LogFormat::Json => tracing::error!(%error, "stopped"),
                _ => eprintln!("error: {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: &Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    #[cfg(feature = "embedded")]
    if settings.names_no_server() {
        return order_service::serve_embedded(settings, order_service::on_signal()?).await;
    }
    let Some(url) = &settings.database_url else {
        let message = "database is not given: set DATABASE_URL or pass --database-url";
        Settings::command().error(ErrorKind::MissingRequiredArgument, message).exit();
    };
    let database = Database::new(url.reveal())?;
    let pipeline = order_service::pipeline(settings.connector.as_deref(), settings.outbox)?;
    let pool = database.pool()?;
    let mut client = database.connect(&pool).await?;
    if let Some(Task::Setup) = settings.task {
        println!("{}", order_service::setup(&mut client, &pipeline).await?);
        return Ok(());
    }
    order_service::check(&client, &pipeline, settings.mode).await?;
    drop(client);
    order_service::serve(settings, pipeline, pool, order_service::on_signal()?).await
}
