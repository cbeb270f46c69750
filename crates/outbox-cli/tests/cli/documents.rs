use std::path::Path;

use outbox_test_support::{TestEnv, stack};
use tokio::process::Command;

use crate::fixture::TempFile;

/// Returns the commands of a document: its blocks of the language `sh`.
fn blocks(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_commands_of_the_document_work_in_their_order() {
    let env = TestEnv::builder().slot().build().await;
    let connector = env.connector();
    connector.start().await;

    let file = TempFile::config(&env, "-document", env.config());
    let programs = Path::new(env!("CARGO_BIN_EXE_outbox")).parent().unwrap();

    for block in blocks("cli.md") {
        let script = block.replace("shop_outbox", env.name()).replace("connector.json", file.path());
        let ran = Command::new("sh")
            .args(["-e", "-u", "-c", &script])
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .envs([("DATABASE_URL", env.url()), ("CONNECT_URL", &stack().connect_url())])
            .output()
            .await
            .unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{script}\n{stdout}\n{stderr}");
    }
}
