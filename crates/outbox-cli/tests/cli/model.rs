use outbox_test_support::TestEnv;

use crate::fixture::{TempFile, run, run_at};

#[tokio::test]
async fn migrations_are_planned_applied_and_exported() {
    let env = TestEnv::builder().database().build().await;
    let plan = run_at(&env, &["migrate", "plan"]).await;
    assert!(plan.text(1).contains("CREATE TABLE IF NOT EXISTS \"outbox\".\"outbox_message\""), "{plan:?}");
    assert!(run_at(&env, &["migrate", "apply"]).await.text(0).starts_with("applied versions 1, 2"));
    assert_eq!(run_at(&env, &["migrate", "apply"]).await.text(0), "nothing to do\n");
    run_at(&env, &["migrate", "plan"]).await.text(0);
    run_at(&env, &["slot", "create", env.name()]).await.text(0);
    let vanishing = run_at(&env, &["migrate", "apply", "--row-life", "delete-on-insert"]).await;
    assert_eq!(vanishing.text(0), "rows have another life: DeleteOnInsert\n");

    let directory = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(env.name());
    let exported = run(&["migrate", "export", directory.to_str().unwrap(), "--consumer"], &[]).await;
    let files: Vec<_> = exported.text(0).lines().collect();
    assert!(files.len() >= 4 && files.iter().all(|file| std::path::Path::new(file).exists()), "{exported:?}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn roles_and_the_connectors_configuration_are_printed_from_the_model() {
    let roles = run(&["roles", "--application", "shop", "--connector", "cdc", "--table", "shop.events"], &[]).await;
    assert!(roles.text(0).contains("GRANT INSERT ON TABLE \"shop\".\"events\" TO \"shop\""), "{roles:?}");
    assert!(roles.stdout.contains("GRANT SELECT ON TABLE \"shop\".\"events\" TO \"cdc\""), "{roles:?}");
    assert_eq!(run(&["roles"], &[]).await.code, 2);
    let managed = run(&["roles", "--connector", "cdc", "--platform", "amazon-rds"], &[]).await;
    assert!(managed.text(0).contains("GRANT rds_replication TO \"cdc\""), "{managed:?}");
    let script = ["config", "generate", "sql", "--connector-role", "cdc", "--platform", "azure"];
    assert!(run(&script, &[]).await.text(0).contains("Set the server parameter wal_level"), "{script:?}");

    let set = ["--slot", "billing", "--set", "database.password=${env:SECRET}", "--set", "tasks.max=1"];
    let generated = run(&[&["config", "generate", "connector"], &set[..]].concat(), &[]).await;
    let config: serde_json::Value = serde_json::from_str(generated.text(0)).unwrap();
    assert_eq!((&config["slot.name"], &config["database.password"]), (&"billing".into(), &"${env:SECRET}".into()));
    let file = TempFile::new("generated.json", &generated.stdout);
    let again = run(&["config", "generate", "connector", "--connector-config", file.path()], &[]).await;
    assert_eq!(again.text(0), generated.stdout);

    let secret = run(&["config", "generate", "connector", "--set", "database.password=hunter2"], &[]).await;
    assert!(secret.code == 2 && secret.stderr.contains("placeholder"), "{secret:?}");
    let contradiction = run(&["config", "generate", "connector", "--set", "slot.name=No Such Slot"], &[]).await;
    assert!(contradiction.code == 2 && contradiction.stderr.contains("slot.name"), "{contradiction:?}");
}

#[tokio::test]
async fn completions_and_the_manual_page_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell], &[]).await.text(0).contains("connector"), "{shell}");
    }

    let page = run(&["man"], &[]).await;
    assert!(page.text(0).contains(".TH outbox 1") && page.stdout.contains("Exit codes"), "{page:?}");
    let directory = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("outbox-manual");
    std::fs::create_dir_all(&directory).unwrap();
    run(&["man", directory.to_str().unwrap()], &[]).await.text(0);
    let page = std::fs::read_to_string(directory.join("outbox-replay-run.1")).unwrap();
    assert!(page.contains("\\-\\-missed"), "{page}");
    std::fs::remove_dir_all(directory).unwrap();
    let help = run(&["slot", "drop", "--help"], &[]).await;
    assert!(help.text(0).contains("exit code 3"), "{help:?}");
}
