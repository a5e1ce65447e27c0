//! What a statement costs does not grow with its table: none reads all of one.

use futures::future::join_all;
use hydra_engine::store::{CommandRequest, HeartbeatRequest, PostgresStore, Store};
use hydra_protocol::{Command, Ending, Kind, Settlement, Span};

use crate::harness::server::{database, sql};
use crate::harness::{begin, claim, client, finish, id, settle, start};

/// How often tables of the engine's have been read from end to end. A connection's reads are counted by its end.
fn scans(url: &str) -> String {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while sql(url, &[others]) != "0" {}
    sql(url, &["SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE schemaname = 'hydra' AND relname <> 'meta'"])
}

async fn together(store: &PostgresStore, requests: impl Iterator<Item = CommandRequest>) {
    for answer in join_all(requests.map(|request| store.command(request))).await {
        answer.unwrap().decision.unwrap();
    }
}

/// The planner takes a table that nobody has analyzed, and that holds a few rows, for one that is read at one go.
#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    store.close().await;
    let before = scans(&url);
    let store = PostgresStore::open(&url).unwrap();
    // More often than the planner tries out before it keeps a plan.
    for round in 0..8 {
        let names: Vec<_> = (0..20).map(|at| format!("o-{round}-{at}")).collect();
        together(&store, names.iter().map(|name| start(name))).await;
        for name in &names {
            assert!(store.execution(&id(name)).await.unwrap().is_some());
        }
        let claimed = store.claim(claim("a")).await.unwrap().claimed;
        let (last, claimed) = claimed.split_last().unwrap();
        let settled = Settlement::Succeeded;
        together(&store, claimed.iter().map(|one| begin(one.key, one.epoch, 1, Kind::Keyed, 1))).await;
        together(&store, claimed.iter().map(|one| settle(one.key, one.epoch, 1, 1, settled))).await;
        let leases = claimed.iter().map(|one| (one.key, one.epoch)).collect();
        store.heartbeat(HeartbeatRequest { leases, lease: Span::from_millis(1_000) }).await.unwrap();
        together(&store, claimed.iter().map(|one| finish(one.key, one.epoch, Ending::Succeeded))).await;
        together(&store, std::iter::once(client(&last.id.id, None, Command::Cancel))).await;
    }
    store.close().await;
    assert_eq!(scans(&url), before);
    sql(&url, &["SELECT count(*) FROM hydra.steps"]);
    assert_ne!(scans(&url), before, "one that does is seen");
}
