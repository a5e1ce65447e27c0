//! A proxy between workers and their store: the network that can break.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weather {
    /// Everything arrives.
    #[default]
    Fine,
    /// Every connection is broken, and each new one at once.
    Down,
    /// Connections stand, and nothing arrives.
    Silent,
    /// What the workers send arrives; the answers do not, and the connection breaks with the first.
    RepliesLost,
    /// What the workers send arrives; the answers wait until the weather changes.
    RepliesHeld,
    /// Every piece arrives so many milliseconds later.
    Slow(u64),
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    server: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            connection.abort();
        }
    }
}

impl Proxy {
    /// Listens on a free port of the loopback and passes on to `to`.
    pub fn start(runtime: &tokio::runtime::Handle, to: u16) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let (weather, seen) = watch::channel(Weather::Fine);
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = connections.clone();
        let server = runtime.spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                let task = tokio::spawn(pass(inner, to, seen.clone()));
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.retain(|task: &JoinHandle<()>| !task.is_finished());
                kept.push(task);
            }
        });
        Ok(Proxy { port, weather, server, connections })
    }

    /// Where workers connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What changes it, for whoever may not keep the proxy.
    pub fn weather(&self) -> watch::Sender<Weather> {
        self.weather.clone()
    }
}

/// One connection, until either side or the weather ends it. Dropping the streams with linger off would send a FIN; the
/// worker then sees its connection closed, as it does when a server dies.
async fn pass(inner: TcpStream, to: u16, mut weather: watch::Receiver<Weather>) {
    let now = *weather.borrow();
    if now == Weather::Down {
        return;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
    let Ok(outer) = TcpStream::connect(address).await else { return };
    drop((inner.set_nodelay(true), outer.set_nodelay(true)));
    let (mut from_worker, mut to_worker) = inner.into_split();
    let (mut from_store, mut to_store) = outer.into_split();
    let (mut out, mut back) = (vec![0; 32 << 10], vec![0; 32 << 10]);
    loop {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Down => return,
            Weather::Silent => {
                if weather.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Weather::Fine | Weather::RepliesLost | Weather::RepliesHeld | Weather::Slow(_) => {}
        }
        if let Weather::Slow(ms) = now {
            tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        }
        tokio::select! {
            // The weather first: what was sent after it changed must not get through.
            biased;
            changed = weather.changed() => if changed.is_err() { return },
            read = from_worker.read(&mut out) => match read {
                Ok(0) | Err(_) => return,
                Ok(bytes) => if to_store.write_all(&out[..bytes]).await.is_err() { return },
            },
            read = from_store.read(&mut back), if now != Weather::RepliesHeld => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if *weather.borrow() == Weather::RepliesLost => return,
                Ok(bytes) => if to_worker.write_all(&back[..bytes]).await.is_err() { return },
            },
        }
    }
}
