use stateright::Property;

use super::store::key_of;
use super::{Consumers, LOG, World};

/// The states that must never be seen.
pub(super) const NEVER: [&str; 3] = ["no effect is duplicated", "no effect is out of order", "no event is lost"];

pub(super) fn all() -> Vec<Property<Consumers>> {
    vec![
        Property::always(NEVER[0], |_, world: &World| {
            let effects = &world.store.effects;
            effects.iter().enumerate().all(|(n, event)| !effects[..n].contains(event))
        }),
        Property::always(NEVER[1], |_, world: &World| {
            let of = |key| world.store.effects.iter().filter(move |event| key_of(**event) == key);
            [b'a', b'b'].into_iter().all(|key| of(key).is_sorted())
        }),
        Property::always(NEVER[2], |_, world: &World| {
            let store = &world.store;
            let below = LOG.iter().take(store.next as usize);
            below.into_iter().all(|(event, _)| store.effects.contains(event) || store.held.contains(event))
        }),
        Property::sometimes("everything is done", |_, world: &World| {
            world.store.effects.len() == 3 && world.store.next == LOG.len() as i64
        }),
        Property::sometimes("an event is parked behind another", |_, world: &World| world.store.held.len() == 2),
        Property::sometimes("an old owner is fenced off", |_, world: &World| {
            world.sessions.iter().flatten().count() == 2 && world.store.effects.len() == 3
        }),
        Property::sometimes("a commit comes late", |_, world: &World| {
            !world.orphans.is_empty() && world.store.effects.len() == 2
        }),
        Property::sometimes("the inbox forgets", |_, world: &World| world.store.is_purged),
    ]
}
