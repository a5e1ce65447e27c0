//! What the tests share: workers that drive executions to their ends, and what must be true after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hydra_engine::store::{
    Answer, ClaimRequest, CommandRequest, ListFilter, PostgresStore, Store, StoreError, Transact,
};
use hydra_protocol::{Command, Ending, Epoch, Kind, Reply, Settlement, Span, Status};

use crate::harness::server::sql;
use crate::harness::{begin, claim, finish, settle, start};

pub const STEPS: u32 = 3;

/// Starts executions that end for no other reason than their success, however often their workers are cut off. Their
/// second step is transactional, and notes that it was done.
pub async fn start_all(store: &PostgresStore, count: usize) {
    store.execute(&["CREATE TABLE done (execution bigint NOT NULL)"]).await.unwrap();
    let names: Vec<_> = (0..count).map(|number| format!("o-{number}")).collect();
    let patient = |name: &String| {
        let command = Command::Start { due_at: Default::default(), deadline: None, replays_max: 9_999 };
        CommandRequest { command, ..start(name) }
    };
    let started = futures::future::join_all(names.iter().map(|name| store.command(patient(name)))).await;
    assert!(started.into_iter().all(|answer| answer.unwrap().decision == Ok(Reply::Started)));
}

/// Asks until there is an answer.
async fn ask(store: &PostgresStore, request: CommandRequest) -> Answer {
    loop {
        match store.command(request.clone()).await {
            Ok(answer) => return answer,
            Err(error) if error.is_passing() => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// The body of the second step, asked for until there is an answer.
async fn body(store: &PostgresStore, request: CommandRequest, key: i64) {
    loop {
        let done: Result<(), StoreError> = async {
            if let Transact::Open(mut body) = store.transact(request.clone()).await? {
                body.execute("INSERT INTO done VALUES ($1)", &[key.into()]).await?;
                body.commit(b"output".to_vec()).await?;
            }
            Ok(())
        }
        .await;
        match done {
            Ok(()) => return,
            // Refused: its time was over, on a machine that is busy. Its attempt is still running.
            Err(StoreError::Unknown(_) | StoreError::Unavailable(_) | StoreError::Refused(_)) => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Drives executions until there are none left, or until it is told to stop.
pub async fn work(store: Arc<PostgresStore>, worker: &str, stop: &AtomicBool) {
    let lease = Span::from_millis(1_500);
    while !stop.load(Ordering::Relaxed) {
        let claims = match store.claim(ClaimRequest { limit: 5, lease, ..claim(worker) }).await {
            Ok(claims) => claims,
            Err(error) if error.is_passing() => continue,
            Err(error) => panic!("{error:?}"),
        };
        for claimed in &claims.claimed {
            let (key, epoch) = (claimed.key, claimed.epoch);
            for step in 1..=STEPS {
                let row = claimed.journal.iter().find(|there| there.no.0 == step).map(|there| there.row);
                let attempt = row.map_or(1, |row| row.attempt + 1);
                let kind = if step == 2 { Kind::Transactional } else { Kind::Keyed };
                let mut request = begin(key, epoch, step, kind, attempt);
                request.command = Command::Begin { epoch: Epoch(epoch.0), kind, attempt, attempts_max: 9_999 };
                let Ok(Reply::Run { attempt }) = ask(&store, request).await.decision else { continue };
                let success = settle(key, epoch, step, attempt, Settlement::Succeeded);
                if kind == Kind::Transactional {
                    body(&store, success, key.0).await;
                } else {
                    let _ = ask(&store, success).await;
                }
            }
            let _ = ask(&store, finish(key, epoch, Ending::Succeeded)).await;
        }
        if claims.claimed.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How many have succeeded; none if the server does not say.
pub async fn ended(store: &PostgresStore, count: usize) -> Option<usize> {
    let filter = ListFilter { status: Some("succeeded".into()), limit: count, ..ListFilter::default() };
    store.list(filter).await.ok().map(|views| views.len())
}

/// All ended well; every step settled once, in order, with its value; and the transactional one was done exactly once.
pub async fn judge(store: &PostgresStore, url: &str, count: usize) {
    let filter = ListFilter { limit: count * 2, ..ListFilter::default() };
    let views = store.list(filter).await.unwrap();
    assert_eq!(views.len(), count);
    for view in views {
        assert_eq!((view.row.status, view.row.settled), (Status::Ended(Ending::Succeeded), STEPS));
        let history = store.history(view.key).await.unwrap();
        assert!(history.steps.iter().all(|step| step.step.value.as_deref() == Some(b"output")));
        let mut orders: Vec<_> = history.steps.iter().map(|step| step.step.row.settled().unwrap().0).collect();
        orders.sort_unstable();
        assert_eq!(orders, [1, 2, 3]);
        let epochs: Vec<_> = history.leases.iter().map(|lease| lease.epoch.0).collect();
        assert_eq!(epochs, (1..=view.row.epoch.0).collect::<Vec<_>>());
    }
    let effects = sql(url, &["SELECT count(*), count(DISTINCT execution) FROM done"]);
    assert_eq!(effects, format!("{count}|{count}"), "the effect of each, exactly once");
}
