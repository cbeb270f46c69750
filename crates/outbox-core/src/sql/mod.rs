mod insert;
mod store_failure;

pub use self::insert::InsertSql;
pub use self::store_failure::StoreFailure;
