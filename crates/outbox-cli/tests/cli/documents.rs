use std::collections::BTreeSet;
use std::path::Path;

use outbox_test_support::{TestEnv, stack};
use serde_json::Value;
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

/// Checks that the document has every member of what a command prints as JSON.
pub(crate) fn check_members(arguments: &[&str], json: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split("\n## JSON\n").nth(1).unwrap();
    let row = |command: &str| -> Option<BTreeSet<&str>> {
        let row = table
            .lines()
            .find(|line| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{command}`"))))?;
        Some(row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2).collect())
    };
    let command = [arguments.get(..2).unwrap_or_default().join(" "), arguments[0].to_owned()];
    let Some(mut members) = command.iter().find_map(|command| row(command)) else {
        panic!("docs/cli.md has no members of {arguments:?}");
    };

    // Members of another command are named by it.
    for _ in 0..3 {
        members = members.iter().flat_map(|word| row(word).unwrap_or_default().into_iter().chain([*word])).collect();
    }

    let mut found = BTreeSet::new();
    collect(json, &mut found);
    let unknown: Vec<_> = found.iter().filter(|member| !members.contains(member.as_str())).collect();
    assert!(unknown.is_empty(), "docs/cli.md does not have the members {unknown:?} of {arguments:?}: {json}");
}

/// Collects the names of all members, except of those whose content is a server's.
fn collect(json: &Value, found: &mut BTreeSet<String>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                found.insert(name.clone());
                if !["partition", "offset"].contains(&name.as_str()) {
                    collect(member, found);
                }
            }
        }
        _ => {}
    }
}
