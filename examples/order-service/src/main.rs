//! The order service; `order-service --help` explains it.

use std::error::Error;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use order_service::{Database, DemoByDefault, LogFormat, Logging, Service, Settings, Task};
use outbox_net::ErrorChain;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let logging = match Logging::start(settings.log_format) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("error: {}", ErrorChain::new(&*error));
            return ExitCode::FAILURE;
        }
    };

    let outcome = run(&settings).await;
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = ErrorChain::new(&*error);
            match settings.log_format {
                LogFormat::Json => tracing::error!(%error, "stopped"),
                _ => eprintln!("error: {error}"),
            }
            ExitCode::FAILURE
        }
    };

    logging.shut_down();
    code
}

async fn run(settings: &Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    if settings.is_demo(DemoByDefault::of_this_process()) {
        return demo(settings).await;
    }
    let Some(url) = &settings.database_url else {
        let message = "no database is given: set DATABASE_URL or pass --database-url. `order-service demo` starts the \
                       service with its own servers";
        Settings::command().error(ErrorKind::MissingRequiredArgument, message).exit();
    };

    let database = Database::new(url.reveal())?;
    let pipeline = order_service::pipeline(settings.connector.as_deref(), settings.outbox)?;
    let pool = database.pool().await?;
    let mut client = database.connect(&pool).await?;

    if let Some(Task::Setup) = settings.task {
        println!("{}", order_service::setup(&mut client, &pipeline).await?);
        return Ok(());
    }

    order_service::check(&client, &pipeline, settings.mode).await?;
    drop(client);
    Service::new(settings, pipeline, pool).run(order_service::on_signal()?).await?;
    tracing::info!("stopped");
    Ok(())
}

#[cfg(feature = "embedded")]
async fn demo(settings: &Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    order_service::serve_demo(settings, order_service::on_signal()?).await?;
    tracing::info!("stopped");
    Ok(())
}

#[cfg(not(feature = "embedded"))]
#[expect(clippy::unused_async, reason = "the other one is")]
async fn demo(_: &Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    Err("this build has no servers: build it with the feature `embedded`".into())
}
