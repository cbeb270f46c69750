use outbox_core::{Identifier, OutboxEvent, RowLife, StoreFault, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::tokio_postgres::error::SqlState;
use outbox_pg::{
    Maintenance, MaintenanceOutcome, Migrations, OnDuplicate, PartitionRange, Platform, PrivilegeProblem, Privileges,
    Roles, application_role_sql, connector_role_sql, connector_role_sql_on, maintainer_role_sql,
};

use outbox_test_support::TestEnv;

/// Roles belong to the server, so their names begin with that of the environment, which removes them.
struct Outbox {
    env: TestEnv,
    roles: Roles,
}

async fn outbox(life: RowLife) -> Outbox {
    let env = TestEnv::builder().layout(TableLayout::recommended().with_row_life(life)).outbox().build().await;
    let pipeline = env.pipeline().clone();
    let mut client = env.client().await;
    Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
    outbox_pg::create_slot(&client, &pipeline).await.unwrap();

    let role = |suffix: &str| Identifier::new(format!("{}'_{suffix}", env.name())).unwrap();
    let roles = Roles::new(role("app"), role("connector"), role("maintainer"));
    for _ in 0..2 {
        client.batch_execute(&application_role_sql(&pipeline, &roles.application)).await.unwrap();
        client.batch_execute(&maintainer_role_sql(&pipeline, &roles.maintainer)).await.unwrap();
    }

    let script = connector_role_sql(&pipeline, &roles.connector);
    let grants: Vec<_> = script.lines().filter(|line| line.starts_with("GRANT")).collect();
    let create = format!("CREATE ROLE {} LOGIN REPLICATION; {}", roles.connector, grants.join("\n"));
    client.batch_execute(&create).await.unwrap();
    client.batch_execute("CREATE TABLE public.salary (amount int)").await.unwrap();
    Outbox { env, roles }
}

impl Outbox {
    async fn as_role(&self, role: &Identifier) -> Client {
        let client = self.env.client().await;
        client.batch_execute(&format!("SET SESSION AUTHORIZATION {role}")).await.unwrap();
        client
    }

    async fn problems(&self) -> Vec<PrivilegeProblem> {
        let client = self.env.client().await;
        Privileges::check(&client, self.env.pipeline(), &self.roles).await.unwrap().problems().to_vec()
    }
}

async fn denied(client: &Client, statements: &[&str]) {
    for statement in statements {
        let Err(error) = client.batch_execute(statement).await else { panic!("allowed: {statement}") };
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}: {error:?}");
    }
}

fn event() -> OutboxEvent {
    OutboxEvent::builder("order", "1", "Line").build().unwrap()
}

#[tokio::test]
async fn the_application_enqueues_in_every_life_and_can_do_nothing_else() {
    for life in [RowLife::Keep, RowLife::Partitioned, RowLife::DeleteOnInsert, RowLife::DeleteOnInsertKeepIds] {
        let outbox = outbox(life).await;
        let maintainer = outbox.as_role(&outbox.roles.maintainer).await;
        Maintenance::new(outbox.env.pipeline().clone(), std::time::Duration::from_secs(864_000))
            .run(&maintainer)
            .await
            .unwrap();
        assert_eq!(outbox.problems().await, [], "{life:?}");

        let mut client = outbox.as_role(&outbox.roles.application).await;
        let pg = outbox.env.outbox();
        let pg = match life {
            RowLife::Partitioned => {
                pg.with_partition_range(PartitionRange::read(&client, outbox.env.pipeline()).await.unwrap())
            }
            _ => pg,
        };
        let tx = client.transaction().await.unwrap();
        pg.enqueue(&tx, &event()).await.unwrap();
        pg.enqueue_all(&tx, &[event(), event()]).await.unwrap();

        if life != RowLife::DeleteOnInsert {
            pg.idempotent(OnDuplicate::Ignore).unwrap().enqueue(&tx, &event()).await.unwrap();
        }

        tx.commit().await.unwrap();
        denied(
            &client,
            &[
                "SELECT id FROM outbox.outbox_message",
                "UPDATE outbox.outbox_message SET event_type = 'x'",
                "DELETE FROM outbox.outbox_message",
                "TRUNCATE outbox.outbox_message",
                "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type) \
                 VALUES (gen_random_uuid(), 'a', 'b', 'c') RETURNING id",
                "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type) \
                 VALUES (gen_random_uuid(), 'a', 'b', 'c') ON CONFLICT (id) DO NOTHING",
                "SELECT * FROM outbox.outbox_message_lease",
                "CREATE TABLE outbox.mine ()",
                "CREATE PUBLICATION mine",
                "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
            ],
        )
        .await;

        let kept = if life == RowLife::Keep || life == RowLife::Partitioned { 4 } else { 0 };
        assert_eq!(outbox.env.rows().await, kept);
    }
}

#[tokio::test]
async fn the_connector_sees_this_table_only_and_the_maintainer_no_other() {
    let outbox = outbox(RowLife::Partitioned).await;
    let connector = outbox.as_role(&outbox.roles.connector).await;
    connector.batch_execute("SELECT * FROM outbox.outbox_message").await.unwrap();
    let insert = "INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type) \
                  VALUES (gen_random_uuid(), 'a', 'b', 'c')";
    let changes = ["DELETE FROM outbox.outbox_message", "TRUNCATE outbox.outbox_message", insert];
    denied(&connector, &changes).await;
    denied(&connector, &["SELECT * FROM public.salary", "SELECT * FROM outbox.schema_migration"]).await;
    denied(&connector, &["SELECT * FROM outbox.outbox_message_lease", "CREATE TABLE outbox.mine ()"]).await;

    let maintainer = outbox.as_role(&outbox.roles.maintainer).await;
    let day = std::time::Duration::from_secs(86_400);
    let done = Maintenance::new(outbox.env.pipeline().clone(), 2 * day).run(&maintainer).await.unwrap();
    assert!(matches!(done, MaintenanceOutcome::Done(report) if report.created.len() > 7));
    denied(&maintainer, &["SELECT * FROM public.salary", "CREATE ROLE other"]).await;
    denied(&maintainer, &["SELECT pg_drop_replication_slot('x')", "SELECT * FROM outbox.schema_migration"]).await;
}

#[tokio::test]
async fn a_right_too_many_or_too_few_is_named_with_its_remedy() {
    let outbox = outbox(RowLife::DeleteOnInsert).await;
    let client = outbox.env.client().await;
    let Roles { application, connector, maintainer, .. } = &outbox.roles;
    let spoil = format!(
        "GRANT SELECT (id) ON outbox.outbox_message TO PUBLIC; GRANT DELETE ON outbox.outbox_message TO {application};
         REVOKE INSERT ON outbox.outbox_message FROM {application};
         GRANT SELECT ON public.salary TO {connector}; ALTER ROLE {connector} NOREPLICATION; CREATE PUBLICATION other;
         ALTER TABLE outbox.outbox_message OWNER TO CURRENT_USER"
    );
    client.batch_execute(&spoil).await.unwrap();

    let problems: Vec<String> = outbox.problems().await.iter().map(ToString::to_string).collect();
    let expected = [
        format!("{application} lacks INSERT"),
        format!("{application} has DELETE"),
        format!("{application} has SELECT on columns"),
        format!("{connector} lacks REPLICATION"),
        format!("{connector} has SELECT on other tables"),
        format!("{connector} has REPLICATION on other publications"),
        format!("{maintainer} lacks ownership on \"outbox\".\"outbox_message\""),
    ];

    for part in &expected {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part} in {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");

    let mut service = outbox.as_role(application).await;
    let tx = service.transaction().await.unwrap();
    let error = outbox.env.outbox().enqueue(&tx, &event()).await.unwrap_err();
    assert_eq!(error.store_fault(), Some(StoreFault::Permanent));
    drop(tx);
    let nobody = Identifier::new("nobody here").unwrap();
    let unknown = Roles::new(application.clone(), connector.clone(), nobody);
    let rights = Privileges::check(&client, outbox.env.pipeline(), &unknown).await.unwrap();
    assert!(matches!(rights.problems().last(), Some(PrivilegeProblem::RoleMissing { .. })));
}

/// On managed servers nobody is a superuser. The connector's role is made with the statements for Amazon RDS, of which
/// the server gets the role that lets others replicate.
#[tokio::test]
async fn the_scripts_work_without_superuser_and_the_check_understands_managed_servers() {
    for builder in crate::own_server::versions() {
        let server = builder.start().await.unwrap();
        let env = TestEnv::builder().postgres(server.url()).database().build().await;
        let (admin, pipeline) = (env.client().await, env.pipeline().clone());
        let database = env.name();
        let create = format!(
            "CREATE ROLE operator LOGIN CREATEROLE; CREATE ROLE rds_replication; GRANT CREATE ON DATABASE {database} TO operator;
             GRANT rds_replication TO operator WITH ADMIN OPTION; ALTER ROLE operator REPLICATION;
             CREATE TABLE public.of_extension (n int); GRANT SELECT ON public.of_extension TO PUBLIC;
             ALTER EXTENSION plpgsql ADD TABLE public.of_extension"
        );
        admin.batch_execute(&create).await.unwrap();
        let mut operator = env.client().await;
        operator.batch_execute("SET SESSION AUTHORIZATION operator").await.unwrap();

        Migrations::outbox(&pipeline).apply(&mut operator).await.unwrap();
        Migrations::maintenance(&pipeline).apply(&mut operator).await.unwrap();
        outbox_pg::create_slot(&operator, &pipeline).await.unwrap();
        let role = |name: &str| Identifier::new(name).unwrap();
        let roles = Roles::new(role("app"), role("connector"), role("maintainer"));
        let connector = connector_role_sql_on(&pipeline, &roles.connector, Platform::AmazonRds);
        assert!(!connector.contains("REPLICATION") && connector.contains("\\password"), "{connector}");
        let statements: Vec<_> = connector
            .lines()
            .filter(|line| line.starts_with("GRANT") || line.starts_with("ALTER ROLE") && !line.contains("PASSWORD"))
            .collect();
        for _ in 0..2 {
            operator.batch_execute(&application_role_sql(&pipeline, &roles.application)).await.unwrap();
            operator.batch_execute(&maintainer_role_sql(&pipeline, &roles.maintainer)).await.unwrap();
        }
        operator.batch_execute("CREATE ROLE connector").await.unwrap();
        operator.batch_execute(&statements.join("\n")).await.unwrap();
        assert_eq!(Privileges::check(&admin, &pipeline, &roles).await.unwrap().problems(), []);

        operator.batch_execute("REVOKE rds_replication FROM connector").await.unwrap();
        let problems = Privileges::check(&admin, &pipeline, &roles).await.unwrap();
        let [problem] = problems.problems() else { panic!("{problems:?}") };
        assert!(
            problem.to_string().contains("lacks REPLICATION") && problem.to_string().contains("connector_role_sql_on")
        );
    }
}

#[test]
fn each_platform_has_its_script() {
    let pipeline = outbox_core::Pipeline::recommended();
    let script = |platform| connector_role_sql_on(&pipeline, &Identifier::new("connector").unwrap(), platform);
    for platform in [Platform::SelfManaged, Platform::CloudSql, Platform::Azure, Platform::Supabase] {
        assert!(script(platform).contains("ALTER ROLE \"connector\" LOGIN REPLICATION;"), "{platform:?}");
    }
    assert!(script(Platform::AmazonRds).contains("GRANT rds_replication TO \"connector\";"));
    assert!(!script(Platform::Neon).contains("ALTER ROLE"), "its role is made by the console");
}

/// `psql` commits each statement of a script, and services enqueue meanwhile.
#[tokio::test]
async fn a_script_that_is_run_again_never_takes_a_privilege_away() {
    let outbox = outbox(RowLife::Keep).await;
    let (client, role) = (outbox.env.client().await, &outbox.roles.application);
    let mut service = outbox.as_role(role).await;
    let script = application_role_sql(outbox.env.pipeline(), role);
    for statement in script.lines() {
        client.batch_execute(statement).await.unwrap();
        let tx = service.transaction().await.unwrap();
        outbox.env.outbox().enqueue(&tx, &event()).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        tx.commit().await.unwrap();
    }
    assert_eq!(outbox.problems().await, []);
}
