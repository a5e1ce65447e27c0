//! Several processes on one file, some of which are killed.

#[path = "store_conformance/harness.rs"]
#[expect(dead_code, reason = "only part of it is needed here")]
mod harness;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{begin, claim, finish, settle, start};
use hydra_engine::conform;
use hydra_engine::store::{ClaimRequest, ListFilter, SqliteEvidence, SqliteOptions, SqliteStore, Store, StoreOptions};
use hydra_protocol::{Ending, Kind, Reply, Settlement, Span, Status};

const EXECUTIONS: usize = 300;
const STEPS: u32 = 3;
/// Set for a child: the file that it works on.
const FILE: &str = "HYDRA_TEST_STORE";

/// Drives executions to their ends until there are none left. A step is begun under the number of attempts that the
/// journal says; whatever the store refuses is left to whoever holds the lease now.
async fn work(path: &Path, worker: &str) {
    let store = SqliteStore::open(path).unwrap();
    loop {
        let lease = Span::from_millis(300);
        let claims = store.claim(ClaimRequest { limit: 5, lease, ..claim(worker) }).await.unwrap();
        for claimed in &claims.claimed {
            let (key, epoch) = (claimed.key, claimed.epoch);
            for step in 1..=STEPS {
                let row = claimed.journal.iter().find(|there| there.no.0 == step).map(|there| there.row);
                let attempt = row.map_or(1, |row| row.attempt + 1);
                let mut request = begin(key, epoch, step, Kind::Keyed, attempt);
                request.command =
                    hydra_protocol::Command::Begin { epoch, kind: Kind::Keyed, attempt, attempts_max: 99 };
                let begun = store.command(request).await.unwrap();
                if let Ok(Reply::Run { attempt }) = begun.decision {
                    let _ = store.command(settle(key, epoch, step, attempt, Settlement::Succeeded)).await.unwrap();
                }
            }
            let _ = store.command(finish(key, epoch, Ending::Succeeded)).await.unwrap();
        }
        if claims.claimed.is_empty() && claims.next_due.is_none() {
            return;
        }
        if claims.claimed.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// This test binary again, as another process that does the child's part of the test below.
fn spawn(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "processes_on_one_file_share_the_work_and_survive_each_other"]);
    child.env(FILE, path).stdout(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_one_file_share_the_work_and_survive_each_other() {
    if let Some(path) = std::env::var_os(FILE) {
        return work(Path::new(&path), &format!("process {}", std::process::id())).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { journal: true, ..SqliteOptions::at(&path) };
    let store = options.open(StoreOptions::default()).unwrap();
    let names: Vec<_> = (0..EXECUTIONS).map(|number| format!("o-{number}")).collect();
    // However often its workers are killed or too slow on this machine, nothing ends for that.
    let patient = |name: &String| {
        let mut request = start(name);
        request.command =
            hydra_protocol::Command::Start { due_at: Default::default(), deadline: None, replays_max: 999 };
        request
    };
    let started = futures::future::join_all(names.iter().map(|name| store.command(patient(name)))).await;
    assert!(started.into_iter().all(|answer| answer.unwrap().decision == Ok(Reply::Started)));

    let ended = async || {
        let filter = ListFilter { status: Some("succeeded".into()), limit: EXECUTIONS, ..ListFilter::default() };
        store.list(filter).await.unwrap()
    };
    // Two processes at work, and each time they have got a little further one is killed in the middle of it.
    let mut children = vec![spawn(&path), spawn(&path)];
    let patience = Instant::now() + Duration::from_secs(60);
    for goal in [20, 60, 100] {
        while ended().await.len() < goal {
            assert!(Instant::now() < patience, "no progress");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut victim = children.remove(0);
        victim.kill().unwrap();
        victim.wait().unwrap();
        children.push(spawn(&path));
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }

    let views = ended().await;
    assert_eq!(views.len(), EXECUTIONS);
    let mut workers = std::collections::BTreeSet::new();
    for view in views {
        assert_eq!((view.row.status, view.row.settled), (Status::Ended(Ending::Succeeded), STEPS));
        let history = store.history(view.key).await.unwrap();
        assert_eq!(history.steps.len(), STEPS as usize);
        assert!(history.steps.iter().all(|step| step.step.value.as_deref() == Some(b"output")));
        workers.extend(history.leases.into_iter().map(|lease| lease.worker));
    }
    assert!(workers.len() >= 2, "the work was shared: {workers:?}");
    store.close().await;
    // Whatever the processes did, in whatever order they came and whenever they were killed, is what the rules say.
    let report = conform::check(&mut SqliteEvidence::open(&path).unwrap()).unwrap();
    assert_eq!(report.departures, []);
    assert_eq!((report.verdict(), report.executions), (conform::Verdict::Conforms, EXECUTIONS as u64));
    let file = rusqlite::Connection::open(&path).unwrap();
    let check: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    assert!(!file.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap());
}
