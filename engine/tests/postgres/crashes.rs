//! Connections that are ended and servers that are killed in the middle of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hydra_engine::store::{PostgresOptions, PostgresStore, Store, StoreOptions};

use crate::harness::server::{Server, database, sql};
use crate::harness::start;
use crate::shared::{ended, judge, start_all, work};

const EXECUTIONS: usize = 200;

/// Two workers by handles of their own; `trouble` each time a further twentieth of the executions has ended.
async fn with_trouble(url: &str, mut trouble: impl FnMut() + Send + 'static) {
    let open = || {
        let mut options = PostgresOptions::at(url);
        options.connect_timeout = Duration::from_secs(2);
        Arc::new(
            options.open(StoreOptions { body_time_max: Duration::from_secs(3), ..StoreOptions::default() }).unwrap(),
        )
    };
    let (one, two, observer) = (open(), open(), open());
    start_all(&one, EXECUTIONS).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for (store, name) in [(&one, "one"), (&two, "two")] {
        for task in 0..4 {
            let (store, stop, name) = (Arc::clone(store), Arc::clone(&stop), format!("{name}-{task}"));
            workers.push(tokio::spawn(async move { work(store, &name, &stop).await }));
        }
    }
    let patience = Instant::now() + Duration::from_secs(120);
    let (mut goal, mut troubles) = (EXECUTIONS / 20, 0);
    loop {
        assert!(Instant::now() < patience, "no progress past {goal}");
        assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker has died");
        match ended(&observer, EXECUTIONS).await {
            Some(EXECUTIONS) => break,
            Some(count) if count >= goal => {
                trouble();
                (goal, troubles) = (count + EXECUTIONS / 20, troubles + 1);
            }
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    assert!(troubles >= 3, "only {troubles} times in the middle of it");
    judge(&observer, url, EXECUTIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_terminated_cost_nothing_but_time() {
    let url = database();
    let target = url.clone();
    with_trouble(&url, move || {
        let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'hydra'";
        assert_ne!(sql(&target, &[all]), "0");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_loses_nothing() {
    let mut server = Server::start(&["max_connections=200"]);
    let url = server.url("postgres");
    let mut kills = 0;
    with_trouble(&url, move || {
        // Four times are enough; starting again takes a while.
        if kills < 4 {
            server.kill();
            server.restart();
        }
        kills += 1;
    })
    .await;
}

#[tokio::test]
async fn idle_workers_of_another_process_are_woken() {
    let url = database();
    let (here, there) = (PostgresStore::open(&url).unwrap(), PostgresStore::open(&url).unwrap());
    let due = there.due_changed();
    // Both listen, and what they heard of themselves at first is forgotten.
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    while sql(&url, &[listening]) != "2" {}
    let mut heard = due.rings();
    while tokio::time::timeout(Duration::from_millis(100), due.rung_since(heard)).await.is_ok() {
        heard = due.rings();
    }
    here.command(start("o-1")).await.unwrap().decision.unwrap();
    tokio::time::timeout(Duration::from_secs(10), due.rung_since(heard)).await.expect("woken");
}
