//! PgBouncer itself, in transaction mode: each transaction on another of a few connections that all share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hydra_engine::store::{PostgresOptions, PostgresStore, StoreError, StoreOptions};

use crate::harness::server::{Server, sql, unprivileged};
use crate::shared::{ended, judge, start_all, work};

const EXECUTIONS: usize = 60;

const INSTALL: &str =
    "no pgbouncer found in the PATH or /usr/sbin: install it (Debian and Ubuntu: `apt-get install pgbouncer`)";

/// A pooler that ends when this value is dropped, or the process ends.
struct Pooler {
    folder: PathBuf,
    guard: Child,
}

impl Pooler {
    /// Before a server, with three connections for all clients.
    fn start(server: &Server) -> Pooler {
        let folder = server.folder().join("pooler");
        std::fs::create_dir(&folder).unwrap();
        let settings = format!(
            "[databases]\n* = host={} user=postgres\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 3\n\
             max_client_conn = 200\nmax_prepared_statements = 200\nauth_type = any\nlisten_addr =\n\
             unix_socket_dir = {}\nlogfile = {}\n",
            server.folder().display(),
            folder.display(),
            folder.join("log").display()
        );
        // An older one takes a setting that it does not know for a mistake.
        let settings =
            if passes_statements_on() { settings } else { settings.replace("max_prepared_statements = 200\n", "") };
        let file = folder.join("pgbouncer.ini");
        std::fs::File::create(&file).unwrap().write_all(settings.as_bytes()).unwrap();
        for path in [&folder, &file] {
            let owned = Command::new("chmod").arg("a+rwx").arg(path).status().unwrap();
            assert!(owned.success());
        }
        let script =
            "trap '' TERM INT HUP; \"$1\" -q \"$2\" </dev/null & pid=$!; read -r word; kill -KILL $pid; wait $pid";
        let mut shell = unprivileged(Path::new("sh"));
        shell.args(["-c", script, "sh"]).arg(pgbouncer()).arg(&file);
        let guard = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Pooler { folder, guard };
        let patience = Instant::now() + Duration::from_secs(30);
        while !pooler.folder.join(".s.PGSQL.6432").exists() {
            let log = || std::fs::read_to_string(pooler.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < patience, "the pooler does not start: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        pooler
    }

    fn open(&self, database: &str) -> Result<PostgresStore, StoreError> {
        let url = format!("host={} port=6432 user=postgres dbname={database}", self.folder.display());
        let mut options = PostgresOptions::at(url);
        options.listen = false;
        options.open(StoreOptions::default())
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn pgbouncer() -> PathBuf {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&in_path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join("pgbouncer")).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{INSTALL}"))
}

/// Whether the one that is installed is 1.21 or newer.
fn passes_statements_on() -> bool {
    let told = Command::new(pgbouncer()).arg("--version").output().unwrap().stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    let version = told.split_whitespace().nth(1).unwrap_or_else(|| panic!("what version is {told:?}?"));
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap());
    (parts.next(), parts.next()) >= (Some(1), Some(21))
}

/// From 1.21 on it is like the server itself; before, each store that is opened says what is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_passes_statements_on_or_is_refused() {
    let server = Server::start(&["fsync=off"]);
    server.sql("postgres", &["CREATE DATABASE pooled"]);
    let pooler = Pooler::start(&server);
    if !passes_statements_on() {
        let refused = pooler.open("pooled").map(drop);
        assert!(matches!(&refused, Err(StoreError::Refused(why)) if why.contains("from version 1.21")), "{refused:?}");
        assert_eq!(sql(&server.url("pooled"), &["SELECT to_regnamespace('hydra') IS NULL"]), "t", "nothing was done");
        return;
    }
    let stores = [(); 3].map(|()| Arc::new(pooler.open("pooled").unwrap()));
    start_all(&stores[0], EXECUTIONS).await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers = stores.iter().enumerate().map(|(at, store)| {
        let (store, stop) = (Arc::clone(store), Arc::clone(&stop));
        tokio::spawn(async move { work(store, &format!("w-{at}"), &stop).await })
    });
    let workers: Vec<_> = workers.collect();
    while ended(&stores[0], EXECUTIONS).await != Some(EXECUTIONS) {
        assert!(workers.iter().all(|worker| !worker.is_finished()), "a worker has died");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    judge(&stores[0], &server.url("pooled"), EXECUTIONS).await;
}
