//! The commands of docs/operations.md, and of other pages that need the same servers, in their order.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use outbox_test_support::{eventually, stack};
use uuid::Uuid;
use xtask::stack::{free_port, workspace};

use crate::files::program;
use crate::fixture::program::connector_file;
use crate::fixture::{Service, blocking, connected};
use crate::plain::Process;

/// The pages with commands for these servers.
const PAGES: [&str; 5] = [
    "docs/operations.md",
    "docs/example.md",
    "docs/guides/debezium-or-relay.md",
    "docs/guides/managed-postgresql.md",
    "deploy/README.md",
];

/// Returns the blocks of commands of a page, without those that are marked as illustrations or are run elsewhere.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(page)).unwrap();
    let (mut blocks, mut above) = (Vec::new(), "");
    let mut lines = text.lines();

    while let Some(line) = lines.next() {
        if ["```sh", "```console"].contains(&line) {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let is_marked = above.starts_with("<!-- ") || block[0].starts_with("# Illustration");
            // In a console, commands follow a prompt.
            let commands: Vec<_> = match line {
                "```console" => block.iter().filter_map(|line| line.strip_prefix("$ ")).collect(),
                _ => block,
            };
            if !is_marked {
                blocks.push(commands.join("\n"));
            }
        }
        above = line;
    }
    blocks
}

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

    let topic = env.pipeline().topic(&"order".parse().unwrap()).unwrap();
    let programs = program("outbox").parent().unwrap().display().to_string();
    let connector = connector_file(&env);

    for block in PAGES.into_iter().flat_map(blocks) {
        let block = block
            .replace(" connector.json", &format!(" {}", connector.display()))
            .replace("127.0.0.1:8000", service.url().trim_start_matches("http://"))
            .replace("HOST:PORT", env.brokers())
            .replace("curl -i ", "curl --fail -i ");

        let mut shell = Command::new("sh");
        shell
            .args(["-e", "-u", "-c", &block])
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .env("DATABASE_URL", env.url())
            .env("CONNECT_URL", stack().connect_url())
            .env("KAFKA_BROKERS", env.brokers())
            .env("CONNECTOR_CONFIG", &connector)
            .env("RELAY_URL", format!("http://{listen}"))
            .env("KEY", Uuid::now_v7().to_string())
            .envs([("CONNECTOR", env.name()), ("SLOT", env.name()), ("PUBLICATION", env.name())])
            .envs([("GROUP", "order-service"), ("TOPIC", &*topic)])
            .stdin(Stdio::null());

        let output = blocking(move || shell.output().unwrap()).await;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{block}\n{stdout}\n{stderr}");
    }

    _ = fs::remove_file(file);
    // After all of it, events arrive: those of the pages' orders, and the last one.
    service.order(2).await;
    service.receives(4).await;
}
