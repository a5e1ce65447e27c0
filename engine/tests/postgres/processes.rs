//! Workers in processes of their own on one server: one of them cut off from it for longer than its leases last, another
//! one killed.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hydra_engine::store::{PostgresOptions, PostgresStore, Store, StoreOptions};

use crate::harness::server::Server;
use crate::proxy::Proxy;
use crate::shared::{ended, judge, start_all, work};

const EXECUTIONS: usize = 150;
/// Set for a child: the database that it works on, and its name.
const URL: &str = "HYDRA_TEST_WORKER_URL";
const NAME: &str = "HYDRA_TEST_WORKER_NAME";

fn open(url: &str) -> PostgresStore {
    let mut options = PostgresOptions::at(url);
    (options.connect_timeout, options.answer_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    options.idle_in_transaction_timeout = Duration::from_secs(1);
    options.open(StoreOptions { body_time_max: Duration::from_secs(3), ..StoreOptions::default() }).unwrap()
}

/// This test binary again, as another process that does the child's part of the test below.
struct Worker(Child);

impl Worker {
    fn spawn(url: &str, name: &str) -> Worker {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "processes::a_worker_that_is_cut_off_writes_nothing_that_others_have_taken_over"]);
        Worker(child.env(URL, url).env(NAME, name).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_cut_off_writes_nothing_that_others_have_taken_over() {
    if let Ok(url) = std::env::var(URL) {
        return work(Arc::new(open(&url)), &std::env::var(NAME).unwrap(), &AtomicBool::new(false)).await;
    }
    let server = Server::start(&["fsync=off"]);
    let proxy = Proxy::to(server.folder().join(".s.PGSQL.5432"));
    let url = server.url("postgres");
    let store = open(&url);
    start_all(&store, EXECUTIONS).await;
    let far = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", proxy.port);
    let _cut_off = Worker::spawn(&far, "cut off");
    let mut others = vec![Worker::spawn(&url, "one"), Worker::spawn(&url, "two")];

    let patience = Instant::now() + Duration::from_secs(120);
    let reach = async |goal: usize| {
        while ended(&store, EXECUTIONS).await.is_none_or(|count| count < goal) {
            assert!(Instant::now() < patience, "no progress past {goal}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    reach(EXECUTIONS / 10).await;
    // From here on nothing gets through, in either direction, and nothing is lost: it is only late.
    proxy.hold(true);
    reach(EXECUTIONS / 3).await;
    // Another one dies meanwhile, and comes back.
    drop(others.remove(0));
    others.push(Worker::spawn(&url, "three"));
    // What the first one held ends and is taken over; then all that it had sent arrives.
    let held = "SELECT count(*) FROM hydra.leases WHERE worker = 'cut off' AND ended_at IS NULL";
    while server.sql("postgres", &[held]) != "0" {
        assert!(Instant::now() < patience, "its leases do not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.hold(false);
    reach(EXECUTIONS).await;
    drop(others);
    judge(&store, &url, EXECUTIONS).await;
    let worked = server.sql("postgres", &["SELECT count(*) FROM hydra.leases WHERE worker = 'cut off'"]);
    assert_ne!(worked, "0", "it had its share");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_wait_for_the_only_connection_that_is_lent_to_them() {
    let url = crate::harness::server::database();
    let mut options = PostgresOptions::at(&url);
    options.bodies_max = 1;
    let store = Arc::new(options.open(StoreOptions::default()).unwrap());
    start_all(&store, 30).await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..6)
        .map(|number| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            tokio::spawn(async move { work(store, &format!("w-{number}"), &stop).await })
        })
        .collect();
    let patience = Instant::now() + Duration::from_secs(60);
    while ended(&store, 30).await != Some(30) {
        assert!(Instant::now() < patience, "a body waits for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    judge(&store, &url, 30).await;
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() {
    // A statement whose client is gone ends soon.
    let server = Server::start(&["fsync=off", "max_connections=10", "client_connection_check_interval=100ms"]);
    let url = server.url("postgres");
    let mut options = PostgresOptions::at(&url);
    (options.writers, options.readers, options.listen) = (1, 1, false);
    let store = options.open(StoreOptions::default()).unwrap();
    // The writer has its connection, and keeps it.
    store.command(crate::harness::start("o-1")).await.unwrap().decision.unwrap();
    let sleeps = "SELECT pg_sleep(600)";
    let mut others: Vec<Worker> = (0..10)
        .map(|_| {
            let mut psql = Command::new("psql");
            psql.args(["-X", "-q", "-d", &url, "-c", sleeps]).stdout(Stdio::null()).stderr(Stdio::null());
            Worker(psql.spawn().unwrap())
        })
        .collect();
    // The reader has none yet, and gets none.
    let id = crate::harness::id("o-1");
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        match options.open(StoreOptions::default()).map(drop) {
            Err(error) => {
                assert!(error.is_passing() && error.to_string().contains("53300"), "{error}");
                break;
            }
            Ok(()) => assert!(Instant::now() < patience, "the server has connections without end"),
        }
    }
    store.command(crate::harness::start("o-2")).await.unwrap().decision.unwrap();
    others.clear();
    loop {
        match store.execution(&id).await {
            Ok(view) => {
                assert!(view.is_some());
                break;
            }
            Err(error) => assert!(error.is_passing() && Instant::now() < patience, "{error}"),
        }
    }
}
