//! One connection through the proxy, message by message where its protocol is known.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::Weather;
use super::ears::Listener;
use crate::placed::Trigger;
use crate::store::wire::conversation::Conversation;
use crate::store::wire::messages::Side;

/// What both directions of a connection share.
pub(super) struct Passage {
    weather: watch::Receiver<Weather>,
    /// What is said over it, where that can be understood, and who hears it.
    heard: Option<(Mutex<Conversation>, Listener)>,
}

/// How far what was read may go on.
struct Way {
    /// So many bytes pass.
    bytes: usize,
    /// Then this strikes, before the next message, which has so many bytes.
    strikes: Option<(Trigger, usize)>,
}

impl Passage {
    pub(super) fn new(weather: watch::Receiver<Weather>, ears: Option<Listener>) -> Self {
        Passage { weather, heard: ears.map(|ears| (Mutex::default(), ears)) }
    }

    /// Until either side or the weather ends it. Dropping the streams sends a FIN: the worker then sees its connection
    /// closed, as it does when a server dies.
    pub(super) async fn pass(self, inner: TcpStream, to: u16) {
        if *self.weather.borrow() == Weather::Down {
            return;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, to));
        let Ok(outer) = TcpStream::connect(address).await else { return };
        drop((inner.set_nodelay(true), outer.set_nodelay(true)));
        let (from_worker, to_worker) = inner.into_split();
        let (from_store, to_store) = outer.into_split();
        tokio::select! {
            () = self.carry(Side::Request, from_worker, to_store) => {}
            () = self.carry(Side::Reply, from_store, to_worker) => {}
        }
    }

    /// One direction, until its end.
    async fn carry(&self, side: Side, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut weather = self.weather.clone();
        let (mut piece, mut waiting) = (vec![0; 32 << 10], Vec::new());
        loop {
            if !is_clear(&mut weather, side).await {
                return;
            }
            tokio::select! {
                // The weather first: what was sent after it changed must not get through.
                biased;
                changed = weather.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                read = from.read(&mut piece) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => waiting.extend_from_slice(&piece[..bytes]),
                },
            }
            if !self.hand_on(side, &mut waiting, &mut to, &mut weather).await {
                return;
            }
        }
    }

    /// Passes all whole messages; false if the connection is to end.
    async fn hand_on(
        &self,
        side: Side,
        waiting: &mut Vec<u8>,
        to: &mut OwnedWriteHalf,
        weather: &mut watch::Receiver<Weather>,
    ) -> bool {
        let mut heard = 0;
        loop {
            let Way { bytes, strikes } = self.way(side, waiting, heard);
            if bytes > 0 {
                let now = *weather.borrow();
                if let Weather::Slow(ms) = now {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                }
                if !is_clear(weather, side).await || (*weather.borrow(), side) == (Weather::RepliesLost, Side::Reply) {
                    return false;
                }
                if to.write_all(&waiting[..bytes]).await.is_err() {
                    return false;
                }
                waiting.drain(..bytes);
            }
            let Some((mut trigger, next)) = strikes else { return true };
            (trigger.fired)();
            heard = next;
        }
    }

    /// How far what waits may go on; its first so many bytes are a message that was heard already.
    fn way(&self, side: Side, waiting: &[u8], heard: usize) -> Way {
        let Some((conversation, ears)) = &self.heard else { return Way { bytes: waiting.len(), strikes: None } };
        let mut conversation = conversation.lock().unwrap_or_else(PoisonError::into_inner);
        let ears = ears.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = heard;
        while let Some(message) = conversation.next(side, &waiting[bytes..]) {
            if let Some(trigger) = ears.as_ref().and_then(|ears| ears.hear(&message)) {
                return Way { bytes, strikes: Some((trigger, message.length)) };
            }
            bytes += message.length;
        }
        Way { bytes, strikes: None }
    }
}

/// Waits while nothing arrives from this side; false once connections are to end.
async fn is_clear(weather: &mut watch::Receiver<Weather>, side: Side) -> bool {
    loop {
        let now = *weather.borrow_and_update();
        match (now, side) {
            (Weather::Down, _) => return false,
            (Weather::Silent, _) | (Weather::RepliesHeld, Side::Reply) => {}
            _ => return true,
        }
        if weather.changed().await.is_err() {
            return false;
        }
    }
}
