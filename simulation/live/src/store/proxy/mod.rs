//! A proxy between workers and their store: the network that can break.

mod ears;
mod pass;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use ears::Ears;
use ears::Listener;
use pass::Passage;

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
    ears: Listener,
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
    /// Listens on a free port of the loopback and passes on to `to`; message by message, if PostgreSQL is spoken there.
    pub fn start(runtime: &tokio::runtime::Handle, to: u16, postgres: bool) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let (weather, seen) = watch::channel(Weather::Fine);
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (kept, ears) = (connections.clone(), Listener::default());
        let heard = postgres.then(|| Arc::clone(&ears));
        let server = runtime.spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                let passage = Passage::new(seen.clone(), heard.clone());
                let task = tokio::spawn(passage.pass(inner, to));
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.retain(|task: &JoinHandle<()>| !task.is_finished());
                kept.push(task);
            }
        });
        Ok(Proxy { port, weather, ears, server, connections })
    }

    /// Where workers connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Counts messages from now on, and strikes at the place of a fault.
    pub fn listen(&self, ears: Ears) {
        *self.ears.lock().unwrap_or_else(PoisonError::into_inner) = Some(ears);
    }

    /// What changes it, for whoever may not keep the proxy.
    pub fn weather(&self) -> watch::Sender<Weather> {
        self.weather.clone()
    }
}
