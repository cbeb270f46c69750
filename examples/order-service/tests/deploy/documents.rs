//! The commands of docs/operations.md, in their order.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use outbox_test_support::{eventually, stack};
use xtask::stack::{free_port, workspace};

use crate::files::program;
use crate::fixture::program::connector_file;
use crate::fixture::{Service, blocking, connected};
use crate::plain::Process;

#[tokio::test]
async fn the_commands_of_the_runbooks_work_in_their_order() {
    let (env, _connector) = connected().await;
    let service = Service::start(&env, "all").await;
    service.order(1).await;
    service.receives(1).await;

    // The relay reads another slot and writes to other topics, next to the connector.
    let name = format!("{}_relay", env.name());
    let topics = format!("{name}.${{routedByValue}}");
    let config =
        env.config().clone().with("slot.name", &*name).with("transforms.outbox.route.topic.replacement", topics);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    fs::write(&file, config.to_json()).unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let mut relay = Command::new(program("outbox-relay"));
    relay.arg("--connector").arg(&file).args(["--brokers", env.brokers(), "--listen", &listen, "--create"]);
    let _relay = Process(relay.stdin(Stdio::null()).spawn().unwrap());
    eventually("the relay listens", async || std::net::TcpStream::connect(&listen)).await;

    let document = fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    let topic = env.pipeline().topic(&"order".parse().unwrap()).unwrap();
    let programs = program("outbox").parent().unwrap().display().to_string();
    for block in document.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()) {
        if block.starts_with("# Illustration") {
            continue;
        }
        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-u", "-c", &block])
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .env("DATABASE_URL", env.url())
            .env("CONNECT_URL", stack().connect_url())
            .env("KAFKA_BROKERS", env.brokers())
            .env("CONNECTOR_CONFIG", connector_file(&env))
            .env("RELAY_URL", format!("http://{listen}"))
            .envs([("CONNECTOR", env.name()), ("SLOT", env.name()), ("PUBLICATION", env.name())])
            .envs([("GROUP", "order-service"), ("TOPIC", &*topic)])
            .stdin(Stdio::null());
        let output = blocking(move || shell.output().unwrap()).await;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{block}\n{stdout}\n{stderr}");
    }
    _ = fs::remove_file(file);
    // After all of it, events arrive.
    service.order(2).await;
    service.receives(2).await;
}
