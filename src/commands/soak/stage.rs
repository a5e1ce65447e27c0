//! The engine that is disturbed: its store, its workers, and what befalls them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hydra_engine::store::SqliteStore;
use hydra_engine::{Client, ClientError, Worker};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use super::load::{self, Access, Load};

/// Between two faults at most so long.
const PEACE_MS: u64 = 1_500;
/// How long a lease lasts: how long the executions of a crashed worker stand still.
const LEASE: Duration = Duration::from_millis(1_500);
/// Others hold the file's lock for at most so long.
const LOCKED_MS: u64 = 400;
/// What ended so long ago is deleted.
const KEPT: Duration = Duration::from_secs(20);

/// Two workers on one store.
pub struct Stage {
    file: PathBuf,
    load: Arc<Load>,
    store: Arc<SqliteStore>,
    workers: [Worker; 2],
    access: watch::Sender<Access>,
    dice: u64,
    faults: u64,
}

impl Stage {
    pub async fn open(file: &Path, load: Arc<Load>) -> anyhow::Result<Self> {
        let store = Arc::new(SqliteStore::open(file)?);
        store.execute(&[load::TABLE, "create index if not exists bookings_id on bookings (id)"]).await?;
        let workers = [worker(&store, &load)?, worker(&store, &load)?];
        let (access, _) = watch::channel(Access { client: Client::new(store.clone()), store: store.clone() });
        Ok(Stage { file: file.to_owned(), load, store, workers, access, dice: 1, faults: 0 })
    }

    /// The way to the store; it changes when the store is opened again.
    pub fn client(&self) -> watch::Receiver<Access> {
        self.access.subscribe()
    }

    pub fn faults(&self) -> u64 {
        self.faults
    }

    fn below(&mut self, n: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % n
    }

    /// Some peace, then a fault.
    pub async fn disturb(&mut self) -> anyhow::Result<()> {
        let peace = Duration::from_millis(self.below(PEACE_MS));
        tokio::time::sleep(peace).await;
        self.faults += 1;
        let one = usize::from(self.below(2) == 1);
        match self.below(8) {
            // A worker crashes: dropped, it is gone in the middle of whatever it does.
            0..=2 => self.workers[one] = worker(&self.store, &self.load)?,
            // A worker is replaced in good order.
            3 => {
                let old = std::mem::replace(&mut self.workers[one], worker(&self.store, &self.load)?);
                old.shutdown(Duration::from_secs(2)).await;
            }
            // The store is closed under its users, and opened again.
            4 => {
                self.store.close().await;
                self.store = Arc::new(SqliteStore::open(&self.file)?);
                self.workers = [worker(&self.store, &self.load)?, worker(&self.store, &self.load)?];
                let client = Client::new(self.store.clone());
                self.access.send_replace(Access { client, store: self.store.clone() });
            }
            5 => self.beside(self.dice % LOCKED_MS, "BEGIN IMMEDIATE; ROLLBACK").await?,
            // Not a fault, and part of a long life.
            _ => self.delete_old().await?,
        }
        Ok(())
    }

    /// Deletes what has ended, as an operator does.
    async fn delete_old(&self) -> anyhow::Result<()> {
        let client = self.access.borrow().client.clone();
        match client.prune(KEPT).await {
            // Locked by others for long: there will be another time.
            Err(ClientError::Store(error)) if error.is_passing() => {}
            done => {
                done?;
            }
        }
        let gone = "DELETE FROM bookings WHERE id NOT IN (SELECT id FROM hydra_executions)";
        self.beside(0, &format!("BEGIN IMMEDIATE; {gone}; COMMIT")).await
    }

    /// Another connection to the file, as of another program: its first statement takes the lock, which it keeps for
    /// so long.
    async fn beside(&self, held_ms: u64, sql: &str) -> anyhow::Result<()> {
        let (file, sql) = (self.file.clone(), sql.to_owned());
        let done = tokio::task::spawn_blocking(move || -> rusqlite::Result<()> {
            let other = Connection::open(file)?;
            other.busy_timeout(Duration::from_secs(10))?;
            let (lock, rest) = sql.split_once(';').unwrap_or((&sql, ""));
            other.execute_batch(lock)?;
            std::thread::sleep(Duration::from_millis(held_ms));
            other.execute_batch(rest)
        });
        match done.await? {
            // On a busy machine even ten seconds may not be enough to get the lock: there will be another time.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
            done => Ok(done?),
        }
    }

    /// Ends it in good order.
    pub async fn close(self) {
        for worker in self.workers {
            worker.shutdown(Duration::from_secs(5)).await;
        }
        self.store.close().await;
    }
}

fn worker(store: &Arc<SqliteStore>, load: &Arc<Load>) -> anyhow::Result<Worker> {
    let load = load.clone();
    let worker = Worker::builder(store.clone()).lease(LEASE);
    Ok(worker.workflow(load::WORKFLOW, move |ctx, input| load::soak(ctx, input, load.clone())).start()?)
}
