//! The commands of the documentation: each block is run by a test, or is marked as an illustration.

use super::none;
use super::workspace::{files, root};

/// The pages whose blocks a test runs, except those that are marked.
const RUN: [(&str, &str); 8] = [
    ("README.md", "examples/quickstart/tests/quickstart.rs"),
    ("deploy/README.md", "examples/order-service/tests/deploy/documents.rs"),
    ("docs/cli.md", "crates/outbox-cli/tests/cli/documents.rs"),
    ("docs/example.md", "examples/order-service/tests/deploy/documents.rs"),
    ("docs/guides/debezium-or-relay.md", "examples/order-service/tests/deploy/documents.rs"),
    ("docs/guides/managed-postgresql.md", "examples/order-service/tests/deploy/documents.rs"),
    ("docs/operations.md", "examples/order-service/tests/deploy/documents.rs"),
    ("docs/replace-debezium.md", "crates/outbox-relay/tests/relay/replace_debezium.rs"),
];

/// A block is marked by `<!-- run by TEST -->` or `<!-- illustration: REASON -->` above it, or by a comment in it.
#[test]
fn every_block_of_commands_is_run_by_a_test_or_marked_as_an_illustration() {
    let is_in_scope = |path: &std::path::Path| {
        path.starts_with("docs") || path.starts_with("deploy") || path == std::path::Path::new("README.md")
    };

    let (mut faults, mut blocks) = (Vec::new(), 0);
    for file in files("md").into_iter().filter(|file| is_in_scope(&file.path)) {
        let is_run = RUN.iter().any(|(page, _)| file.is(page));
        let lines: Vec<_> = file.text.lines().collect();
        for (index, _) in lines.iter().enumerate().filter(|(_, line)| is_fence(line)) {
            blocks += 1;
            let above = index.checked_sub(1).and_then(|above| lines.get(above)).copied().unwrap_or_default();
            let first = lines.get(index + 1).copied().unwrap_or_default();
            let is_illustration = above.starts_with("<!-- illustration: ") || first.starts_with("# Illustration");
            let runner = above.strip_prefix("<!-- run by ").and_then(|rest| rest.strip_suffix(" -->"));
            let is_fine = match runner {
                Some(test) => root().join(test).is_file(),
                None => is_illustration || is_run,
            };
            if !is_fine {
                faults.push(file.fault(index + 1, "no test runs these commands, and they are not marked"));
            }
        }
    }

    none(&faults);
    assert!(blocks > 50, "{blocks} blocks of commands");
}

fn is_fence(line: &str) -> bool {
    ["```sh", "```console", "```bash", "```shell"].contains(&line.trim_start())
}

/// A test that runs a page names it.
#[test]
fn the_tests_of_pages_exist() {
    for (page, test) in RUN {
        let text = std::fs::read_to_string(root().join(test)).unwrap();
        let name = page.rsplit('/').next().unwrap_or_default();
        assert!(text.contains(name), "{test} does not name {page}");
    }
}
