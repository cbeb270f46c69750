//! The statements of the store. In their texts `{s}` is the schema and `$1` the group, unless the id of a row is
//! enough.

use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use outbox_core::Identifier;

/// Defines a group of statements: each has a name, the types of its parameters, and a text.
macro_rules! statements {
    ($group:ident { $($name:ident($($kind:ident),*) $text:literal;)* }) => {
        pub struct $group {
            $(pub $name: super::Sql,)*
        }

        impl $group {
            pub fn new(names: &super::Names) -> Self {
                use deadpool_postgres::tokio_postgres::types::Type;
                Self { $($name: names.sql($text, &[$(Type::$kind),*]),)* }
            }

            /// Returns each statement with its name.
            #[cfg(test)]
            pub fn all(&self) -> Vec<(&'static str, &super::Sql)> {
                vec![$((stringify!($name), &self.$name),)*]
            }
        }
    };
}

mod held;
mod inbox;
mod lease;
mod operator;
mod position;
mod retention;
mod session;

use self::held::Held;
use self::inbox::Inbox;
use self::lease::Lease;
use self::operator::Operator;
use self::position::Position;
use self::retention::Retention;
use self::session::{RESET, RESTORE, RESTORE_OTHERS};

/// A statement with the types of its parameters, so that it needs no round trip to be described.
pub struct Sql {
    pub text: String,
    pub types: Vec<Type>,
}

/// All statements, for one schema.
pub struct Statements {
    pub lease: Lease,
    pub position: Position,
    pub inbox: Inbox,
    pub held: Held,
    pub operator: Operator,
    pub retention: Retention,
    /// Reverts the handlers' changes of the listed settings, until the transaction ends.
    pub restore: Sql,
    /// The same of all settings.
    pub restore_all: Sql,
    /// Gives the session its settings back after the transaction.
    pub reset: Sql,
}

/// The names that are filled into the texts.
pub struct Names {
    schema: String,
    /// The name of the partitions' locks.
    fence: String,
    /// The name of the lock that a purge holds.
    purge: String,
}

impl Sql {
    /// Returns parameters with their types.
    pub fn typed<'a>(&self, params: &[&'a (dyn ToSql + Sync)]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        params.iter().copied().zip(self.types.iter().cloned()).collect()
    }
}

impl Statements {
    pub fn new(schema: &Identifier) -> Self {
        let names = Names {
            schema: schema.to_string(),
            fence: literal(&fence_name(schema)),
            purge: literal(&format!("{schema}.consumer_inbox")),
        };
        Self {
            lease: Lease::new(&names),
            position: Position::new(&names),
            inbox: Inbox::new(&names),
            held: Held::new(&names),
            operator: Operator::new(&names),
            retention: Retention::new(&names),
            restore: Sql { text: RESTORE.to_owned(), types: vec![Type::TEXT_ARRAY, Type::TEXT_ARRAY] },
            restore_all: Sql {
                text: format!("{RESTORE}{RESTORE_OTHERS}"),
                types: vec![Type::TEXT_ARRAY, Type::TEXT_ARRAY],
            },
            reset: Sql { text: RESET.to_owned(), types: vec![Type::TEXT_ARRAY, Type::TEXT_ARRAY] },
        }
    }

    /// Returns each statement with its name.
    #[cfg(test)]
    pub fn all(&self) -> Vec<(&'static str, &Sql)> {
        let groups = [
            self.lease.all(),
            self.position.all(),
            self.inbox.all(),
            self.held.all(),
            self.operator.all(),
            self.retention.all(),
        ];
        groups.into_iter().flatten().chain([("restore", &self.restore_all), ("reset", &self.reset)]).collect()
    }
}

impl Names {
    fn sql(&self, text: &str, types: &[Type]) -> Sql {
        let text = text.replace("{s}", &self.schema).replace("{fence}", &self.fence).replace("{purge}", &self.purge);
        Sql { text, types: types.to_vec() }
    }
}

/// Names the locks of the partitions in a schema. With the id of its position, it is hashed to the key of an advisory
/// lock.
pub fn fence_name(schema: &Identifier) -> String {
    format!("{schema}.consumer_position")
}

/// Returns a text as SQL has it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
