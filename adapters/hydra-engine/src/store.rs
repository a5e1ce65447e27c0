//! The store that `HYDRA_STORE` names: a PostgreSQL database by its URL, else an SQLite file by its path.

use std::sync::Arc;

use hydra_engine::StepFailure;
use hydra_engine::store::{PostgresOptions, PostgresStore, SqliteOptions, Store, StoreError, StoreOptions, Value};
use serde_json::json;

use crate::{rules, setting};

/// What transactional steps write: on PostgreSQL alone. On SQLite a body holds the file's only write lock while it waits
/// at the door, so that whoever is held there holds everybody.
const EFFECTS: &str = "create table if not exists effects (execution text, step text, value text)";

/// An open store.
#[derive(Clone)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    /// The same, where its tables can be asked.
    postgres: Option<Arc<PostgresStore>>,
}

/// Opens it.
pub fn open() -> anyhow::Result<Opened> {
    let at = std::env::var("HYDRA_STORE")?;
    let usual = StoreOptions::default();
    let body_time_max = setting("HYDRA_BODY_MS", usual.body_time_max);
    let options = StoreOptions { rules: rules()?, body_time_max, ..usual };
    if !at.starts_with("postgres") {
        return Ok(Opened { store: Arc::new(SqliteOptions::at(at).open(options)?), postgres: None });
    }
    let usual = PostgresOptions::at(at);
    let postgres = PostgresOptions {
        statement_timeout: setting("HYDRA_STATEMENT_MS", usual.statement_timeout),
        lock_timeout: setting("HYDRA_LOCK_MS", usual.lock_timeout),
        idle_in_transaction_timeout: setting("HYDRA_IDLE_IN_TRANSACTION_MS", usual.idle_in_transaction_timeout),
        answer_timeout: setting("HYDRA_ANSWER_MS", usual.answer_timeout),
        ..usual
    };
    let store = Arc::new(postgres.open(options)?);
    Ok(Opened { store: store.clone(), postgres: Some(store) })
}

impl Opened {
    /// Makes the table of the transactional steps.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        match &self.postgres {
            Some(postgres) => postgres.execute(&[EFFECTS]).await,
            None => Ok(()),
        }
    }

    /// The rows of an execution's transactional steps.
    pub async fn committed(&self, execution: &str) -> Result<Vec<serde_json::Value>, StoreError> {
        let Some(postgres) = &self.postgres else { return Ok(Vec::new()) };
        let sql = "select step, value from effects where execution = $1";
        let rows = postgres.query(sql, &[Value::Text(execution.to_owned())]).await?;
        let rows = rows.iter().map(|row| match &row[..] {
            [Value::Text(step), Value::Text(value)] => json!({"step": step, "value": value}),
            other => json!({"step": "?", "value": format!("{other:?}")}),
        });
        Ok(rows.collect())
    }
}

/// Writes a transactional step's row.
pub async fn write(tx: &hydra_engine::Tx, execution: &str, step: &str, value: &str) -> Result<(), StepFailure> {
    let row = [execution, step, value].map(|text| Value::Text(text.to_owned()));
    tx.execute("insert into effects values ($1, $2, $3)", &row).await?;
    Ok(())
}
