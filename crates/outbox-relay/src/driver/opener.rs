use std::collections::HashSet;

use outbox_core::uuid::Uuid;

use super::catalog::{self, Scope};
use super::publication;
use super::read_plan::Begin;
use super::session::{ChangeFeed, CheckedCatalog, Session, Shared};
use super::slot_identity::SlotIdentity;
use super::unpublished::UnpublishedCheck;
use crate::Lsn;
use crate::error::Error;
use crate::position::Origin;
use crate::progress::Window;
use crate::rows::{OutboxTables, RowReader};
use crate::settings::PostgresSettings;
use crate::status::Mode;
use outbox_wal::{ConnectOptions, Opened, Pem, Published, StartAt, Tls};

/// Checks how the tables are published, and takes the slot.
pub struct Opener<'a> {
    shared: Shared<'a>,
    options: &'a ConnectOptions,
    /// The publication as the last check found it.
    published: Option<Published>,
    /// Tables that appeared while the slot was read. If the catalogs do not have them any more, their rows are read as
    /// the WAL describes them.
    new_tables: HashSet<u32>,
    unpublished: UnpublishedCheck,
    identity: SlotIdentity,
}

impl<'a> Opener<'a> {
    pub fn new(shared: Shared<'a>, options: &'a ConnectOptions) -> Self {
        Self {
            shared,
            options,
            published: None,
            new_tables: HashSet::new(),
            unpublished: UnpublishedCheck::default(),
            identity: SlotIdentity::default(),
        }
    }

    /// Adds an included table that did not exist before.
    pub fn add_new_table(&mut self, oid: u32) {
        self.new_tables.insert(oid);
    }

    /// Records the end of a session that has confirmed everything before this position.
    pub fn ended(&mut self, confirmed: Lsn) {
        self.identity.ended(confirmed);
    }

    /// Opens a session of the slot. The inner error is transient, or reports that another process holds the slot.
    pub async fn open(&mut self, begin: Begin) -> Result<Result<(Session, Window), outbox_wal::Error>, Error> {
        let settings = self.shared.settings;
        let (pipeline, scope) = (settings.pipeline(), Scope::of(settings));
        let source = scope.included.source(pipeline.slot().as_str(), pipeline.publication().as_str());

        // After a slot has been read, a new slot in its place would hide that events are lost.
        let is_first = self.published.is_none();
        let read = async {
            let options = self.options.choose_server().await?;
            if is_first {
                catalog::create_missing(settings, &options, &source, &scope).await?;
            }
            let mut catalog = scope.open(&options, &source).await?;
            let version = catalog.settled_version().await?;
            let now = match self.published.as_ref().filter(|before| version.as_ref() == Some(&before.version)) {
                Some(same) => same.clone(),
                None => catalog.published(source.slot()).await?,
            };
            let tables = catalog::tables(&mut catalog, &now, &scope, &self.new_tables).await?;
            Ok((options, catalog, now, tables))
        };
        let (options, catalog, now, tables) = match read.await {
            Ok(read) => read,
            Err(e) => return Ok(Err(e)),
        };

        let problem = publication::check(&now, &scope)?;
        if is_first {
            catalog::check(&tables, settings)?;
        }
        catalog::warn_of_unfit(&tables);
        self.unpublished.observe(self.published.as_ref(), &now);
        let version = now.version.clone();
        self.published = Some(now.clone());
        let counters = self.identity.counters();
        let catalog = CheckedCatalog { options, source, scope, catalog, version, problem, loss: None, counters };
        Ok(self.take_slot(begin, catalog, &now, tables).await)
    }

    /// Takes the slot, and starts a session of it.
    async fn take_slot(
        &mut self,
        Begin { at, streamed_before }: Begin,
        mut catalog: CheckedCatalog,
        published: &Published,
        tables: OutboxTables,
    ) -> Result<(Session, Window), outbox_wal::Error> {
        let Shared { settings, status, .. } = self.shared;
        let CheckedCatalog { options, source, scope, catalog: connection, problem, loss, .. } = &mut catalog;
        let mut opened = match connection.open_slot(options, source, at).await {
            // The server may not have noticed yet that an earlier connection of this relay is dead.
            Err(e)
                if e.is_slot_active()
                    && status.mode() != Mode::Standby
                    && outbox_wal::end_own_walsender(options, source).await? =>
            {
                connection.open_slot(options, source, at).await?
            }
            opened => opened?,
        };
        *loss = self.identity.taken(&opened, source.slot());

        // Until the publication is repaired, there will be more such rows.
        if problem.is_none() {
            let (server, accepted) = ((&*options, &*source), settings.skip_unpublished());
            *problem = self.unpublished.run(&opened, published, server, scope, accepted).await?;
        }

        let catch_up = opened.catch_up(options, source).await?;
        let Opened { system, stream, start, has_more, slot, flushed, .. } = opened;
        tracing::info!(
            target: "outbox.relay", slot = source.slot(), confirmed = %slot.confirmed_flush_lsn, %start, "replication slot acquired"
        );

        let origin = Origin::new(system.system, system.timeline, source.slot());
        let window = Window { confirmed: slot.confirmed_flush_lsn, end: flushed };
        let rows = RowReader::new(tables, settings.on_update());
        let feed = ChangeFeed::new(stream, catch_up, has_more.then_some(start), rows);
        let streamed_before = (at == StartAt::Confirmed).then_some(streamed_before);
        Ok((self.shared.start_session(feed, catalog, origin, window, streamed_before), window))
    }
}

/// Returns how to connect to the database of the settings. The application's name is unique: by it the relay recognises
/// its own walsender.
pub fn connect_options(postgres: &PostgresSettings) -> ConnectOptions {
    let mut tls = Tls::new();
    if let Some(path) = postgres.root_certificate() {
        tls = tls.roots(Pem::file(path));
    }

    if let Some(identity) = postgres.client_certificate() {
        tls = tls.identity(Pem::file(&identity.certificate), Pem::file(&identity.key));
    }

    let (first, others) = match postgres.servers() {
        [first, others @ ..] => ((first.0.as_str(), first.1), others),
        [] => (("localhost", 5432), &[][..]),
    };
    let options = ConnectOptions::new(first.0, first.1, postgres.user(), postgres.database());
    let options = others.iter().fold(options, |options, (host, port)| options.or_server(host, *port));
    let options = options
        .server_role(postgres.server_role())
        .application_name(format!("outbox-relay {}", Uuid::now_v7()))
        .tls_mode(postgres.ssl())
        .tls(tls);

    match postgres.password() {
        Some(password) => options.password(password.clone()),
        None => options,
    }
}
