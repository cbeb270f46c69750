use super::broker::{DEAD_LETTERS, MAX_PARTITIONS};
use super::judge::{Fault, judge};
use super::mutation::Mutation;
use super::postgres::Wire;
use super::process::Topics;
use super::world::World;

/// The number of rounds that everything may take to come to rest once nothing more goes wrong.
const PATIENCE: usize = 4000;

/// Which of the rarer things happen in a schedule; most schedules have few of them.
struct Weather {
    old_rows: bool,
    poison: bool,
    raise: bool,
    recreate: bool,
    retention: bool,
    failover: bool,
}

/// Runs one random schedule to its end.
pub fn run(seed: u64, mutation: Mutation, is_told: bool) -> (World, Result<(), Fault>) {
    let mut random = Random::new(seed);
    let weather = Weather {
        old_rows: random.one_in(6),
        poison: random.one_in(6),
        raise: random.one_in(6),
        recreate: random.one_in(10),
        retention: random.one_in(6),
        failover: random.one_in(5),
    };
    let mut world = World::new(1 + random.below(3));
    world.mutation = mutation;
    world.story = is_told.then(Vec::new);
    world.scan_limit = if random.one_in(6) { 1 + random.below(6) } else { usize::MAX };
    world.broker.tells = !random.one_in(4);
    world.batch_rows = 1 + random.below(4);
    world.max_buffered = 2 + random.below(20);
    world.stops = random.one_in(2);
    world.topics = if random.one_in(3) { Topics::Late } else { Topics::Known };

    if random.one_in(6) {
        start_after_debezium(&mut world, &mut random, &weather);
    }

    let uniform_batches = random.one_in(2);
    for _ in 0..60 + random.below(120) {
        if !uniform_batches {
            world.batch_rows = 1 + random.below(4);
        }
        step(&mut world, &mut random, &weather);
    }

    let mut result = settle(&mut world, &mut random).and_then(|()| judge(&world));
    if result.is_ok() && random.one_in(2) {
        world.postgres.crash();
        result = settle(&mut world, &mut random).and_then(|()| judge(&world));
    }
    (world, result)
}

fn step(world: &mut World, random: &mut Random, weather: &Weather) {
    world.end_stopped();
    let process = (!world.processes.is_empty()).then(|| random.below(world.processes.len().max(1)));
    let flying = (!world.network.is_empty()).then(|| random.below(world.network.len().max(1)));

    match (random.below(100), process, flying) {
        (0..10, ..) => commit(world, random, weather),
        (10..35, Some(process), _) => {
            for _ in 0..=random.below(6) {
                world.read_wal(process);
            }
        }
        (35..60, Some(process), _) => {
            let open = world.processes[process].open.len();
            if open > 0 {
                world.carry_out(process, random.below(open));
            }
        }
        (60..76, _, Some(flying)) => world.arrive(flying, !random.one_in(5)),
        (76..80, _, Some(flying)) => world.time_out(flying),
        (80, _, Some(flying)) => world.drop_request(flying),
        (81..84, Some(process), _) => world.end(process),
        (84..89, ..) => world.acquire(),
        (89 | 90, ..) => world.lose_slot(),
        (91, ..) if weather.failover && random.one_in(2) => {
            let least = world.postgres.least_kept();
            let beyond = world.postgres.transactions.len() - least;
            let lost = if random.one_in(2) { 0 } else { random.below(beyond + 1) };
            world.fail_over(least + beyond - lost);
        }
        (91, ..) => crash_postgres(world),
        (92, ..) => world.postgres.checkpoint(),
        (93, ..) => world.postgres.write_other(),
        (94, ..) => {
            world.report(|| "the broker restarts".to_owned());
            world.broker.restart();
        }
        (95, ..) => {
            let (topic, partition) = some_partition(world, random);
            world.write_foreign(topic, partition);
        }
        (96, ..) if weather.retention => {
            let (topic, partition) = some_partition(world, random);
            world.cut(topic, partition, 1 + random.below(5));
        }
        (97, ..) if weather.recreate => world.recreate(random.below(DEAD_LETTERS)),
        (98, ..) if weather.raise => world.broker.add_partition(0),
        (96..98, ..) if random.one_in(8) => {
            let (topic, partition) = some_partition(world, random);
            world.broker.topics[topic][partition].fence();
        }
        (99, Some(process), _) => {
            let counts = world.broker.topics.iter().map(Vec::len).collect();
            world.processes[process].counts = counts;
        }
        _ => {}
    }
}

fn crash_postgres(world: &mut World) {
    world.lose_slot();
    world.postgres.crash();
}

fn some_partition(world: &World, random: &mut Random) -> (usize, usize) {
    let topic = random.below(DEAD_LETTERS);
    (topic, random.below(world.broker.topics[topic].len()))
}

fn commit(world: &mut World, random: &mut Random, weather: &Weather) {
    let count = if random.one_in(8) { random.below(15) } else { random.below(4) };
    let rows = (0..count).map(|_| Wire {
        event: 0,
        topic: usize::from(random.one_in(4)),
        key: random.below(MAX_PARTITIONS * 3),
        is_old: weather.old_rows && !random.one_in(4),
        is_poison: weather.poison && random.one_in(5),
    });
    let rows = rows.collect();
    world.postgres.commit(rows);
}

/// Starts after Debezium, which has written some events that the slot has still to send, and was stopped.
fn start_after_debezium(world: &mut World, random: &mut Random, weather: &Weather) {
    for _ in 0..1 + random.below(6) {
        commit(world, random, weather);
    }
    let rows: Vec<Wire> =
        world.postgres.transactions.iter().flat_map(|transaction| &transaction.rows).copied().collect();
    let written = random.below(rows.len() + 1);
    for wire in rows[..written].iter().filter(|wire| !wire.is_poison) {
        world.write_as_debezium(wire);
    }
}

/// Settles the world. Nothing more goes wrong: who has lost the slot notices it, one process is left and comes to the
/// end of the WAL, and requests in flight arrive or do not.
fn settle(world: &mut World, random: &mut Random) -> Result<(), Fault> {
    let lost = |world: &World| world.processes.iter().position(|process| Some(process.number) != world.postgres.holder);
    while let Some(index) = lost(world) {
        world.end(index);
    }

    let counts: Vec<usize> = world.broker.topics.iter().map(Vec::len).collect();
    for _ in 0..PATIENCE {
        world.end_stopped();
        if world.processes.is_empty() {
            world.acquire();
            world.processes[0].counts.clone_from(&counts);
        }

        let has_read = world.read_wal(0);
        if !world.processes[0].open.is_empty() {
            let open = random.below(world.processes[0].open.len());
            world.carry_out(0, open);
        } else if !world.network.is_empty() && (!has_read || random.one_in(2)) {
            let flying = random.below(world.network.len());
            if world.network[flying].is_awaited || random.one_in(2) {
                world.arrive(flying, true);
            } else {
                world.drop_request(flying);
            }
        } else if !has_read {
            return Ok(());
        }
    }
    Err(Fault::Unfinished)
}

/// SplitMix64: schedules must be the same on every machine for a seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// The steps of the tests of single schedules.
impl World {
    /// Commits one transaction with rows of these topics and keys.
    pub fn commit_rows(&mut self, rows: &[(usize, usize)]) {
        let wire = |(topic, key): &(usize, usize)| Wire {
            event: 0,
            topic: *topic,
            key: *key,
            is_old: false,
            is_poison: false,
        };
        self.postgres.commit(rows.iter().map(wire).collect());
    }

    /// Commits a transaction of one row with a property.
    pub fn commit_row(&mut self, topic: usize, change: impl FnOnce(&mut Wire)) {
        let mut wire = Wire { event: 0, topic, key: 0, is_old: false, is_poison: false };
        change(&mut wire);
        self.postgres.commit(vec![wire]);
    }

    /// Carries out everything that does not wait for a broker's answer to a batch.
    pub fn carry_out_all(&mut self, index: usize) {
        while index < self.processes.len() && !self.processes[index].open.is_empty() {
            self.carry_out(index, 0);
        }
    }

    /// Reads the WAL, as far as there is room, and does everything except that requests arrive. Returns whether it
    /// read.
    pub fn send(&mut self, index: usize) -> bool {
        let mut has_read = false;
        while self.read_wal(index) {
            has_read = true;
        }
        self.carry_out_all(index);
        has_read
    }

    /// Runs to the end of the WAL. Requests with a waiting sender arrive and are answered, and others do not arrive.
    pub fn run(&mut self, index: usize) {
        loop {
            let has_read = self.send(index);
            match self.network.iter().position(|flying| flying.is_awaited) {
                Some(flying) => self.arrive(flying, true),
                None if has_read => {}
                None => break,
            }
        }
    }

    /// Ends the process and lets another take over.
    pub fn take_over(&mut self) {
        self.end(0);
        self.acquire();
    }

    /// Crashes PostgreSQL: the slot goes back to where it was at the last checkpoint.
    pub fn slot_goes_back(&mut self) {
        self.postgres.crash();
        self.take_over();
    }

    pub fn events(&self, topic: usize, partition: usize) -> Vec<usize> {
        self.broker.topics[topic][partition].records.iter().filter_map(|stored| stored.event()).collect()
    }
}
