//! The tables, and how an older database comes to have them.

use tokio_postgres::Client;

use super::fault::Fault;
use crate::store::StoreError;

/// Each brings a database from the version before to the next. None is ever changed once released.
///
/// The checks say what the core's invariants say, where SQL can: the database itself refuses what must never be.
const MIGRATIONS: &[&str] =
    &[include_str!("schema.sql"), include_str!("lawful.sql"), include_str!("all_or_nothing.sql")];

/// The version that this engine reads and writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// The oldest server that is known to do, as it numbers itself.
const SERVER_VERSION_MIN: i32 = 130_000;

/// Held while a database is looked at and changed, so that of several workers that start at once one does it: "HYDR".
const LOCK: i64 = 0x4859_4452;

/// Brings the database to this engine's version, in one transaction.
pub async fn migrate(client: &Client) -> Result<(), Fault> {
    let server: String = client.query_one("SELECT current_setting('server_version_num')", &[]).await?.get(0);
    if server.parse().unwrap_or(0) < SERVER_VERSION_MIN {
        return Err(StoreError::Refused(format!(
            "the server's version is {server}, and the store needs {SERVER_VERSION_MIN} or later"
        ))
        .into());
    }
    // Looked at first without the lock: a worker whose role may not create anything can start on what is there.
    if version(client).await? == Some(VERSION) {
        return Ok(());
    }
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'").await?;
    let done = migrate_locked(client).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await;
    done?;
    Ok(ended?)
}

async fn migrate_locked(client: &Client) -> Result<(), Fault> {
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let there = version(client).await?;
    if there.is_none() {
        client
            .batch_execute("CREATE SCHEMA IF NOT EXISTS hydra; CREATE TABLE hydra.meta (version bigint NOT NULL)")
            .await?;
        client.batch_execute("INSERT INTO hydra.meta VALUES (0)").await?;
    }
    let done = usize::try_from(there.unwrap_or(0)).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        client.batch_execute(migration).await?;
    }
    client.execute("UPDATE hydra.meta SET version = $1", &[&VERSION]).await?;
    Ok(())
}

/// The version of what is there; none if nothing is. An error if it is not the engine's, or newer than this one.
async fn version(client: &Client) -> Result<Option<i64>, Fault> {
    let tables: i64 = client
        .query_one("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('hydra')", &[])
        .await?
        .get(0);
    let meta: bool = client.query_one("SELECT to_regclass('hydra.meta') IS NOT NULL", &[]).await?.get(0);
    if !meta {
        return if tables == 0 { Ok(None) } else { Err(not_ours()) };
    }
    let row = client.query_opt("SELECT version FROM hydra.meta", &[]).await.map_err(|error| match error.code() {
        // Their own table of that name.
        Some(code) if &code.code()[..2] == "42" && code.code() != "42501" => not_ours(),
        _ => error.into(),
    })?;
    match row.and_then(|row| row.try_get::<_, i64>(0).ok()) {
        Some(version) if (0..=VERSION).contains(&version) => Ok(Some(version)),
        Some(version) => Err(StoreError::NotAStore(format!(
            "the database has schema version {version}, and this version of the engine knows none after {VERSION}: use \
             the newer engine that wrote it; nothing was changed"
        ))
        .into()),
        None => Err(not_ours()),
    }
}

fn not_ours() -> Fault {
    StoreError::NotAStore(
        "schema `hydra` of the database belongs to another application: give the engine a database of its own, in \
         which you may keep tables in other schemas; nothing was changed"
            .into(),
    )
    .into()
}
