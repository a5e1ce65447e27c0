//! Clients that start executions at a steady rate, and judge each when it has ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hydra_engine::store::{SqliteStore, Value};
use hydra_engine::{BoxError, Client, Context, RetryPolicy, StepError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

pub const WORKFLOW: &str = "soak";
/// Where transactional steps write.
pub const TABLE: &str = "create table if not exists bookings (id text not null)";
/// An execution that has not ended by then never will.
const HANGS: Duration = Duration::from_secs(120);
/// At most so many executions at a time: more are not started.
const OPEN_MAX: usize = 2_000;

/// A way to the store, for as long as it is open.
#[derive(Clone)]
pub struct Access {
    pub client: Client,
    pub store: Arc<SqliteStore>,
}

/// What happened, as far as this process knows: it outlives workers, as the world outside does.
#[derive(Default)]
pub struct Load {
    ended: AtomicU64,
    /// How many mails were sent, by execution.
    mails: Mutex<HashMap<String, u32>>,
    broken: Mutex<Option<String>>,
}

impl Load {
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// The first promise that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn mails(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_broken(&self, what: String) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }
}

/// A step of each kind. Answers how often the mail was sent, as far as it can know.
pub async fn soak(ctx: Context, input: u64, load: Arc<Load>) -> Result<(u64, Option<u32>), BoxError> {
    let id = ctx.execution().id.clone();
    let patient = RetryPolicy::attempts(10_000).initial(Duration::from_millis(10)).cap(Duration::from_millis(100));
    let sum: u64 = ctx.step("charge").retry(patient).run(|_| async { Ok(input + 1) }).await?;
    ctx.step("book")
        .retry(patient)
        .run_transactional(|tx| {
            let row = [id.as_str().into()];
            async move { Ok(tx.execute("insert into bookings values ($1)", &row).await?) }
        })
        .await?;
    ctx.sleep(Duration::from_millis(50)).await;
    let mailed = ctx.step("mail").run_at_most_once(|_| async {
        let mut mails = load.mails();
        let mails = mails.entry(id.clone()).or_default();
        *mails += 1;
        Ok(*mails)
    });
    match mailed.await {
        Ok(mails) => Ok((sum, Some(mails))),
        Err(StepError::InDoubt { .. }) => Ok((sum, None)),
        Err(error) => Err(error.into()),
    }
}

/// Starts so many executions a second for so long, and waits for all of them.
pub async fn drive(load: Arc<Load>, access: watch::Receiver<Access>, rate: u32, time: Duration) -> anyhow::Result<()> {
    let (until, mut open, mut number) = (Instant::now() + time, JoinSet::new(), 0_u64);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        ticks.tick().await;
        while let Some(done) = open.try_join_next() {
            done?;
        }
        if open.len() < OPEN_MAX {
            number += 1;
            let (load, access) = (load.clone(), access.clone());
            open.spawn(async move {
                let one = tokio::time::timeout(HANGS, one(&load, access, number)).await;
                if one.is_err() {
                    load.is_broken(format!("execution {number} does not come to its end"));
                }
            });
        }
    }
    while let Some(done) = open.join_next().await {
        done?;
    }
    Ok(())
}

async fn one(load: &Load, access: watch::Receiver<Access>, number: u64) {
    let id = number.to_string();
    let (sum, mailed) = loop {
        let Access { client, .. } = access.borrow().clone();
        let started = client.start(WORKFLOW, &id, &number).replays_max(10_000).await;
        match started {
            Ok(_) => {}
            // The store is being closed: there will be another one.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        }
        match client.result::<(u64, Option<u32>)>(&id).await {
            Ok(result) => break result,
            Err(hydra_engine::ResultError::Failed { failure, error }) => {
                return load.is_broken(format!("execution {id} failed: {failure:?}: {error}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let mails = load.mails().remove(&id).unwrap_or(0);
    let bookings = bookings(&access, &id).await;
    let mail_is_right = mailed.map_or(mails <= 1, |mailed| mailed == 1 && mails == 1);
    if sum != number + 1 || bookings != 1 || !mail_is_right {
        load.is_broken(format!("execution {id}: sum {sum}, {bookings} bookings, {mails} mails, told {mailed:?}"));
    }
    load.ended.fetch_add(1, Ordering::Relaxed);
}

async fn bookings(access: &watch::Receiver<Access>, id: &str) -> i64 {
    loop {
        let Access { store, .. } = access.borrow().clone();
        let found = store.query("select count(*) from bookings where id = $1", &[id.into()]).await;
        match found.as_deref() {
            Ok([row]) if let [Value::Integer(count)] = row.as_slice() => return *count,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
