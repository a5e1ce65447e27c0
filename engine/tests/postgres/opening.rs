//! Databases that are no store, workers that start at once, encrypted connections.

use std::process::Command;

use hydra_engine::store::{PostgresOptions, PostgresStore, Store, StoreError, StoreOptions};

use crate::harness::server::{Server, database, sql};
use crate::harness::{id, start};

#[test]
fn workers_that_start_at_once_make_one_schema() {
    let url = &database();
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..8).map(|_| scope.spawn(move || PostgresStore::open(url).map(drop))).collect();
        for opened in opening {
            assert_eq!(opened.join().unwrap(), Ok(()));
        }
    });
    assert_eq!(sql(url, &["SELECT version FROM hydra.meta"]), "3");
}

fn not_a_store(url: &str, says: &str) {
    match PostgresStore::open(url).map(drop) {
        Err(StoreError::NotAStore(why)) if why.contains(says) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let url = database();
    drop(PostgresStore::open(&url).unwrap());
    sql(&url, &["UPDATE hydra.meta SET version = 99"]);
    not_a_store(&url, "schema version 99");
    assert_eq!(sql(&url, &["SELECT version FROM hydra.meta"]), "99");
}

#[test]
fn a_schema_of_another_application_is_refused_and_left_alone() {
    let url = database();
    sql(&url, &["CREATE SCHEMA hydra", "CREATE TABLE hydra.monsters (heads int)"]);
    not_a_store(&url, "another application");
    sql(&url, &["CREATE TABLE hydra.meta (heads int)", "INSERT INTO hydra.meta VALUES (9)"]);
    not_a_store(&url, "another application");
    assert_eq!(sql(&url, &["SELECT count(*) FROM pg_class WHERE relnamespace = 'hydra'::regnamespace"]), "2");
}

#[test]
fn a_server_that_is_not_there_is_unavailable_and_a_wrong_url_refused() {
    let nowhere = PostgresStore::open("host=/nowhere user=postgres").map(drop);
    assert!(matches!(nowhere, Err(StoreError::Unavailable(_))), "{nowhere:?}");
    let url = database().replace("hydra_test", "no_such");
    let no_database = PostgresStore::open(url).map(drop);
    assert!(matches!(&no_database, Err(StoreError::Refused(why)) if why.contains("no_such")), "{no_database:?}");
    let nonsense = PostgresStore::open("postgres://[").map(drop);
    assert!(matches!(nonsense, Err(StoreError::Refused(_))), "{nonsense:?}");
}

#[tokio::test]
async fn a_user_named_like_the_schema_keeps_its_tables_out_of_it() {
    let url = database();
    // As of a user whose own schema is the engine's.
    let name = sql(&url, &["SELECT current_database()"]);
    sql(&url, &[&format!("ALTER DATABASE {name} SET search_path = hydra, public")]);
    drop(PostgresStore::open(&url).unwrap());
    let store = PostgresStore::open(&url).unwrap();
    store.execute(&["CREATE TABLE account (balance int)"]).await.unwrap();
    assert_eq!(sql(&url, &["SELECT schemaname FROM pg_tables WHERE tablename = 'account'"]), "public");
}

#[tokio::test]
async fn the_clock_is_the_servers() {
    let url = database();
    let store = PostgresStore::open(&url).unwrap();
    let answer = store.command(start("o-1")).await.unwrap();
    let server: u64 =
        sql(&url, &["SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"]).parse().unwrap();
    assert!(server.abs_diff(answer.now.as_millis()) < 60_000 && server.abs_diff(store.now().as_millis()) < 60_000);
    let started = store.execution(&id("o-1")).await.unwrap().unwrap().started_at;
    assert_eq!(started, answer.now);
}

/// A certificate for `localhost`, signed by itself.
fn certificate(folder: &std::path::Path) {
    let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    openssl.args(subject).arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("cert.pem"));
    let made = openssl.output().expect("`openssl` makes the test's certificate: install it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn a_connection_is_encrypted_and_the_certificate_checked() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    // Root may own the key if its group may read it and no more.
    let readable = Command::new("sh")
        .arg("-c")
        .arg("chmod 755 \"$1\"; [ \"$(id -u)\" = 0 ] && chown nobody \"$1/key.pem\"; chmod 600 \"$1/key.pem\"")
        .arg("sh")
        .arg(folder.path())
        .status();
    assert!(readable.unwrap().success());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = [
        "ssl=on".to_owned(),
        "fsync=off".to_owned(),
        format!("ssl_cert_file={}/cert.pem", folder.path().display()),
        format!("ssl_key_file={}/key.pem", folder.path().display()),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
    ];
    let server = Server::start(&settings.each_ref().map(String::as_str));
    let url = format!("postgres://postgres@localhost:{port}/postgres?sslmode=require");
    let mut options = PostgresOptions::at(&url);
    let unknown = options.open(StoreOptions::default()).map(drop);
    assert!(matches!(&unknown, Err(StoreError::Unavailable(_) | StoreError::Refused(_))), "{unknown:?}");
    options.tls_roots = Some(folder.path().join("cert.pem"));
    let store = options.open(StoreOptions::default()).unwrap();
    store.command(start("o-1")).await.unwrap().decision.unwrap();
    let encrypted = store.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap();
    assert_eq!(encrypted, [[1.into()]]);
    options.url = url.replace("localhost", "127.0.0.1");
    assert!(options.open(StoreOptions::default()).is_err(), "the certificate is another host's");
    drop(server);
}
