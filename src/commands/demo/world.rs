//! What is outside of the engine: a bank that honours idempotency keys, and a mail server that does not know of any.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

/// A file of its own, with a connection of its own: nothing here commits together with the engine.
#[derive(Clone)]
pub struct World(Arc<Mutex<Connection>>);

impl World {
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "pragma journal_mode = wal;
             pragma synchronous = full;
             create table if not exists charges (receipt integer primary key, key text not null unique, cents integer not null);
             create table if not exists requests (key text not null);
             create table if not exists mails (id text not null);",
        )?;
        Ok(World(Arc::new(Mutex::new(connection))))
    }

    /// Charges once for each key; asked again, the receipt is the same.
    pub fn charge(&self, key: &str, cents: i64) -> rusqlite::Result<i64> {
        self.with(|connection| {
            let bank = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            bank.execute("insert into requests values (?1)", [key])?;
            let known =
                bank.query_row("select receipt from charges where key = ?1", [key], |row| row.get(0)).optional()?;
            let receipt = match known {
                Some(receipt) => receipt,
                None => {
                    bank.execute("insert into charges (key, cents) values (?1, ?2)", params![key, cents])?;
                    bank.last_insert_rowid()
                }
            };
            bank.commit()?;
            Ok(receipt)
        })
    }

    /// How often the bank was asked, and how often it charged, under keys that begin so.
    pub fn charges(&self, prefix: &str) -> rusqlite::Result<(u32, u32)> {
        let count = |connection: &Connection, table: &str| {
            let sql = format!("select count(*) from {table} where key like ?1 || '%'");
            connection.query_row(&sql, [prefix], |row| row.get(0))
        };
        self.with(|connection| Ok((count(connection, "requests")?, count(connection, "charges")?)))
    }

    /// Sends a mail, as often as it is told to.
    pub fn mail(&self, id: &str) -> rusqlite::Result<()> {
        self.with(|connection| connection.execute("insert into mails values (?1)", [id]).map(drop))
    }

    /// How many mails were sent about this order.
    pub fn mails(&self, id: &str) -> rusqlite::Result<u32> {
        self.with(|connection| connection.query_row("select count(*) from mails where id = ?1", [id], |row| row.get(0)))
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
