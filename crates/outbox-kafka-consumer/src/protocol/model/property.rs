use std::collections::BTreeSet;

use stateright::Property;

use super::scenario::{Handler, Scenario};
use super::store::Position;
use super::{Consumers, World};

/// The states that must never be seen.
pub const NEVER: [&str; 4] =
    ["no effect is duplicated", "no effect is out of order", "no event is lost", "no healthy event is parked"];

/// Returns the properties that hold in every state, and the states that must be reachable, or else the model would
/// prove nothing.
pub fn all(scenario: &Scenario) -> Vec<Property<Consumers>> {
    let never = [
        Property::always(NEVER[0], |rules: &Consumers, world: &World| {
            rules.scenario.handler == Handler::Outside || world.first_effects().len() == world.store.effects.len()
        }),
        Property::always(NEVER[1], |_, world: &World| {
            let first = world.first_effects();
            let of = |key| first.iter().filter(move |(_, of)| *of == key).map(|(event, _)| *event);
            [b'a', b'b'].into_iter().all(|key| of(key).is_sorted())
        }),
        Property::always(NEVER[2], |rules: &Consumers, world: &World| {
            let store = &world.store;
            let positions = store.positions.iter().enumerate();
            let mut below = positions.filter_map(|(partition, position)| {
                Some(&rules.scenario.lives[position.life?][partition][..position.next as usize])
            });
            below.all(|log| log.iter().all(|(event, _)| store.has(*event)))
                && store.inbox.iter().all(|known| store.has(known.event))
        }),
        Property::always(NEVER[3], |rules: &Consumers, world: &World| {
            rules.scenario.handler != Handler::Healthy || world.store.held.is_empty()
        }),
        Property::sometimes("everything is done", |rules: &Consumers, world: &World| {
            let is_done = |(partition, position): (usize, &Position)| {
                let log = rules.scenario.lives.last().map_or(0, |logs| logs[partition].len());
                position.life == Some(rules.scenario.lives.len() - 1) && position.next == log as i64
            };
            world.store.positions.iter().enumerate().all(is_done) && world.store.held.is_empty()
        }),
        Property::sometimes("the inbox forgets", |_, world: &World| world.store.is_purged),
    ];
    never.into_iter().chain((scenario.witnesses)()).collect()
}

pub fn base() -> Vec<Property<Consumers>> {
    vec![
        Property::sometimes("an event is parked behind another", |_, world: &World| world.store.held.len() == 2),
        Property::sometimes("an old owner is fenced off", |_, world: &World| {
            world.sessions[0].iter().flatten().count() == 2 && world.store.effects.len() == 3
        }),
        Property::sometimes("a commit comes late", |_, world: &World| {
            !world.orphans.is_empty() && world.store.effects.len() == 2
        }),
    ]
}

pub fn two_lives() -> Vec<Property<Consumers>> {
    vec![
        Property::sometimes("each life has a held event at the same offset", |_, world: &World| {
            let offsets = world.store.held.iter().map(|held| held.record.offset);
            offsets.collect::<BTreeSet<i64>>().len() < world.store.held.len()
        }),
        Property::sometimes("a dead letter of the old life blocks an event of the new one", |_, world: &World| {
            let held = &world.store.held;
            held.first().is_some_and(|first| first.is_dead && first.record.event == 0)
                && held.iter().any(|held| held.record.event == 3)
        }),
        Property::sometimes("an event of the old life takes effect in the new one", |_, world: &World| {
            world.life == 1 && world.store.effects.starts_with(&[(2, b'b'), (0, b'a')])
        }),
    ]
}

pub fn two_partitions() -> Vec<Property<Consumers>> {
    vec![
        Property::sometimes("each consumer has a partition", |_, world: &World| {
            world.store.positions[0].lease == Some(0) && world.store.positions[1].lease == Some(1)
        }),
        Property::sometimes("an event came by the other partition", |_, world: &World| {
            world.store.effects.contains(&(2, b'b')) && world.store.positions[0].next == 2
        }),
    ]
}

pub fn outside() -> Vec<Property<Consumers>> {
    vec![
        Property::sometimes("a handler is called again", |_, world: &World| {
            world.first_effects().len() < world.store.effects.len()
        }),
        Property::sometimes("an event waits behind one that failed", |_, world: &World| world.store.held.len() == 2),
    ]
}

pub fn fenced() -> Vec<Property<Consumers>> {
    vec![Property::sometimes("an old owner is fenced off", |_, world: &World| {
        world.sessions[0].iter().flatten().count() == 2 && world.store.effects.len() == 2
    })]
}

pub fn strict() -> Vec<Property<Consumers>> {
    let conflict = Property::sometimes("a transaction loses against another", |_, world: &World| world.has_conflicted);
    fenced().into_iter().chain([conflict]).collect()
}

impl World {
    /// Returns the effects without those that came again.
    fn first_effects(&self) -> Vec<(u8, u8)> {
        let effects = &self.store.effects;
        let is_first = |n: &usize| !effects[..*n].iter().any(|(event, _)| *event == effects[*n].0);
        (0..effects.len()).filter(is_first).map(|n| effects[n]).collect()
    }
}
