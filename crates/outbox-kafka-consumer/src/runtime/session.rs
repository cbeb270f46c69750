//! The settings that handlers change in their database session.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::failed::Fault;
use super::item::Item;
use super::lane::Lane;
use crate::Error;
use crate::handler::Kind;
use crate::store::{ChangedSettings, SettingsCheck, Transaction};

/// The calls of handlers within a transaction.
#[derive(Default)]
pub struct Calls {
    /// There was more than one, for different events.
    pub are_several: bool,
    /// The settings that the transaction checks.
    pub check: SettingsCheck,
    pub changed: ChangedSettings,
}

impl Calls {
    /// Returns the calls for these events of a batch, which have changed nothing as far as is known.
    pub fn of(items: &[Item], fresh: &[usize], check: SettingsCheck) -> Self {
        let mut routes = fresh.iter().filter_map(|&index| items.get(index)?.route());
        let is_one = routes.next().is_none_or(|first| {
            let is_together = first.kind() == Kind::Together && first.handlers().len() == 1;
            fresh.len() == 1 || (is_together && routes.all(|route| Arc::ptr_eq(route, first)))
        });
        Self { are_several: !is_one, check, changed: ChangedSettings::default() }
    }
}

impl Lane {
    /// Returns which settings a transaction of these events checks: all of them if there may be one that a handler
    /// leaves changed, and otherwise as often as the budget allows.
    pub fn settings_check(&self, items: &[Item]) -> SettingsCheck {
        let mut routes = items.iter().filter_map(Item::route);
        let is_suspicious =
            routes.any(|route| !route.is_checked()) || self.in_flight.checks_all_settings.load(Ordering::Relaxed);
        if is_suspicious || self.shared.settings_checks.is_due() { SettingsCheck::All } else { SettingsCheck::Listed }
    }

    /// Restores the session after handlers, before the consumer's own statements. Returns what was changed.
    pub async fn after_handlers(
        &self,
        tx: &mut Transaction<'_>,
        check: SettingsCheck,
    ) -> Result<ChangedSettings, Fault> {
        let restored = self.shared.store.after_handlers(tx, check).await;
        restored.map_err(|e| Fault::after_handlers("restore the session", e))?.ok_or(Fault::Ended)
    }

    /// Checks that no handler has changed the session that several calls share: the settings that are listed, or
    /// another one for the first time. Otherwise the events run again, and an event whose handler changes settings gets
    /// its own transaction.
    pub fn check_shared(&self, calls: &Calls) -> Result<(), Fault> {
        if calls.changed.is_empty() || !calls.are_several {
            return Ok(());
        }
        let checks = &self.shared.settings_checks;
        let (listed, others): (Vec<&str>, Vec<&str>) =
            calls.changed.names().partition(|name| ChangedSettings::is_listed(name));
        let new: Vec<&str> = others.into_iter().filter(|name| !checks.is_local(name)).collect();
        if !new.is_empty() {
            self.in_flight.checks_all_settings.store(true, Ordering::Relaxed);
        }
        let not_shared = [listed, new].concat();
        if not_shared.is_empty() {
            return Ok(());
        }

        let settings = not_shared.join(", ");
        if !self.in_flight.has_changed_settings.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "outbox.consumer", topic = &*self.in_flight.topic, partition = self.in_flight.partition, settings,
                "handler changes settings of its transaction: its events run one by one, unless it sets them back"
            );
        }
        Err(Fault::NotShared(Error::store("share a transaction", format!("a handler of the batch changed {settings}"))))
    }

    /// Notes which settings were changed within a transaction, and which of them were after it.
    pub fn note_settings(&self, changed: &ChangedSettings, remained: &[String]) {
        if remained.is_empty() && !changed.is_empty() {
            changed.names().for_each(|name| self.shared.settings_checks.note_local(name));
            self.in_flight.checks_all_settings.store(false, Ordering::Relaxed);
        }
    }

    /// Checks the session after the commit of events that were handled: no setting has remained changed.
    pub fn check_session(&self, handled: &[&Item], check: SettingsCheck, remained: &[String]) -> Result<(), Fault> {
        let routes = || handled.iter().filter_map(|item| item.route());
        let (false, Some(first)) = (remained.is_empty(), handled.first()) else {
            if check == SettingsCheck::All {
                routes().for_each(|route| route.note_checked());
            }
            return Ok(());
        };

        let names: BTreeSet<&str> = routes().flat_map(|route| route.handlers()).map(|handler| handler.name()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let options = &self.shared.options;
        let around = match options.before.is_none() && options.layers.is_empty() {
            true => "",
            false => ", or a hook or layer before it,",
        };
        let handler = match &*names {
            [name] => format!("the handler {name}{around}"),
            names => format!("one of the handlers {}{around}", names.join(", ")),
        };
        let place = (&*self.in_flight.topic, self.in_flight.partition, first.offset);
        Err(Fault::SessionChanged(Error::session(place, handler, remained)))
    }
}
