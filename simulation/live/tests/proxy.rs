//! What the proxy lets through where a fault strikes at a message, though all were sent in one piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hydra_live::boundary::Site;
use hydra_live::placed::{Act, Counts, NextTrigger, Trigger};
use hydra_live::store::proxy::{Ears, Proxy, Weather};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long it is watched that nothing arrives.
const NOTHING: Duration = Duration::from_millis(50);

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn startup() -> Vec<u8> {
    [&9_u32.to_be_bytes()[..], &(3_u32 << 16).to_be_bytes(), b"\0"].concat()
}

/// An update, prepared before, and everything else of it.
fn write() -> Vec<u8> {
    let parts = [
        message(b'P', b"s\0update runs set a = 1\0\0\0"),
        message(b'B', b"\0s\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ];
    parts.concat()
}

fn written() -> Vec<u8> {
    [message(b'1', b""), message(b'2', b""), message(b'C', b"UPDATE 1\0"), message(b'Z', b"T")].concat()
}

fn commit() -> Vec<u8> {
    message(b'Q', b"COMMIT\0")
}

fn committed() -> Vec<u8> {
    [message(b'C', b"COMMIT\0"), message(b'Z', b"I")].concat()
}

/// A worker, the proxy, and a store that says what the test has it say.
struct Line {
    worker: TcpStream,
    store: TcpStream,
    weather: watch::Sender<Weather>,
    struck: Arc<AtomicBool>,
    _proxy: Proxy,
}

/// The weather turns at the first such message about a commit.
async fn line(call: &'static str, turns: Weather) -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().port();
    let proxy = Proxy::start(&tokio::runtime::Handle::current(), to, true).unwrap();
    let (weather, struck) = (proxy.weather(), Arc::new(AtomicBool::new(false)));
    let (sky, told) = (weather.clone(), struck.clone());
    let fired = Box::new(move || {
        sky.send_replace(turns);
        told.store(true, Ordering::SeqCst);
    });
    // The number of the statement is what it ends with: the commit is named after it.
    let about = hydra_live::store::wire::statement::describe(b"update runs set a = 1", None);
    let request = Some(format!("commit-after-{}", about.rsplit('-').next().unwrap()));
    let site = Site { call, target: "store", anchor: "after-1".to_owned(), request };
    let trigger = Trigger { site, nth: 1, act: Act::Tell, fired };
    let trigger = NextTrigger::new(std::sync::Mutex::new(Some(trigger)));
    proxy.listen(Ears { anchor: Box::new(|| "after-1".to_owned()), counts: Counts::default(), trigger });
    let worker = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    let (store, _) = listener.accept().await.unwrap();
    Line { worker, store, weather, struck, _proxy: proxy }
}

async fn expect(from: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    from.read_exact(&mut read).await.unwrap();
    assert_eq!(read, bytes);
}

/// The connection is closed, with nothing more on it.
async fn expect_end(from: &mut TcpStream) {
    let mut rest = Vec::new();
    _ = from.read_to_end(&mut rest).await;
    assert_eq!(rest, Vec::<u8>::new());
}

async fn expect_nothing(from: &mut TcpStream) {
    let mut byte = [0];
    let read = tokio::time::timeout(NOTHING, from.read(&mut byte)).await;
    assert!(read.is_err(), "something arrived: {read:?}");
}

#[tokio::test]
async fn a_commit_is_lost_and_what_was_sent_with_it_is_not() {
    let mut line = line("query", Weather::Down).await;
    line.worker.write_all(&[startup(), write(), commit()].concat()).await.unwrap();
    expect(&mut line.store, &[startup(), write()].concat()).await;
    expect_end(&mut line.store).await;
    expect_end(&mut line.worker).await;
    assert!(line.struck.load(Ordering::SeqCst));
}

#[tokio::test]
async fn the_reply_to_a_commit_is_lost_and_those_before_it_are_not() {
    let mut line = line("command-complete", Weather::RepliesLost).await;
    line.worker.write_all(&[startup(), write(), commit()].concat()).await.unwrap();
    expect(&mut line.store, &[startup(), write(), commit()].concat()).await;
    let ready = message(b'Z', b"I");
    line.store.write_all(&[ready.clone(), written(), committed()].concat()).await.unwrap();
    expect(&mut line.worker, &[ready, written()].concat()).await;
    expect_end(&mut line.worker).await;
}

#[tokio::test]
async fn a_commit_is_late_and_the_reply_to_what_was_sent_with_it_as_well() {
    let mut line = line("query", Weather::Silent).await;
    line.worker.write_all(&[startup(), write(), commit()].concat()).await.unwrap();
    expect(&mut line.store, &[startup(), write()].concat()).await;
    expect_nothing(&mut line.store).await;
    line.store.write_all(&message(b'Z', b"I")).await.unwrap();
    expect_nothing(&mut line.worker).await;
    line.weather.send_replace(Weather::Fine);
    expect(&mut line.store, &commit()).await;
    expect(&mut line.worker, &message(b'Z', b"I")).await;
}

#[tokio::test]
async fn the_reply_to_a_commit_is_late_and_what_is_asked_meanwhile_arrives() {
    let mut line = line("command-complete", Weather::RepliesHeld).await;
    line.worker.write_all(&[startup(), write(), commit()].concat()).await.unwrap();
    expect(&mut line.store, &[startup(), write(), commit()].concat()).await;
    let ready = message(b'Z', b"I");
    line.store.write_all(&[ready.clone(), written(), committed()].concat()).await.unwrap();
    expect(&mut line.worker, &[ready, written()].concat()).await;
    expect_nothing(&mut line.worker).await;
    line.worker.write_all(&write()).await.unwrap();
    expect(&mut line.store, &write()).await;
    line.weather.send_replace(Weather::Fine);
    expect(&mut line.worker, &committed()).await;
}

#[tokio::test]
async fn what_is_no_such_message_passes_whatever_it_is() {
    let mut line = line("query", Weather::Down).await;
    line.worker.write_all(b"\x16\x03\x01 no protocol that is known here").await.unwrap();
    expect(&mut line.store, b"\x16\x03\x01 no protocol that is known here").await;
    line.store.write_all(b"nor this").await.unwrap();
    expect(&mut line.worker, b"nor this").await;
    assert!(!line.struck.load(Ordering::SeqCst));
}
