//! A relay between a store and its server that cuts the connection at a moment of the test's choice.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

/// When a connection is cut, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Never,
    /// The transaction has begun, and the server was told so.
    AfterBegin,
    /// The store has sent its COMMIT, and the server never gets it.
    BeforeCommit,
    /// The server has committed, and the store never hears of it.
    AfterCommit,
    /// The same, and the store is told in the server's words that the connection has ended, as a pooler does.
    AfterCommitInWords,
}

/// What a pooler says of whatever is not answered yet when it loses the server.
fn last_words() -> Vec<u8> {
    let fields = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0";
    let length = u32::try_from(fields.len() + 4).unwrap();
    [b"E".as_slice(), &length.to_be_bytes(), fields].concat()
}

/// The relay.
pub struct Proxy {
    pub port: u16,
    cut: Arc<Mutex<Cut>>,
    /// Whether nothing passes, and the condition for waiting until it does.
    held: Arc<Held>,
}

#[derive(Default)]
struct Held {
    held: Mutex<bool>,
    released: Condvar,
}

impl Held {
    fn wait(&self) {
        let mut held = self.held.lock().unwrap();
        while *held {
            held = self.released.wait(held).unwrap();
        }
    }
}

impl Proxy {
    /// A relay to the server's socket.
    pub fn to(socket: PathBuf) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(Mutex::new(Cut::Never));
        let shared = Arc::clone(&cut);
        let held = Arc::<Held>::default();
        let holding = Arc::clone(&held);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                holding.wait();
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                relay(client, server, Arc::clone(&shared), Arc::clone(&holding));
            }
        });
        Proxy { port, cut, held }
    }

    /// Holds all that comes from either side, as a network does that is cut in two; or lets it go on its way.
    pub fn hold(&self, held: bool) {
        *self.held.held.lock().unwrap() = held;
        self.held.released.notify_all();
    }

    /// Cuts the next connection that comes to that moment.
    pub fn cut(&self, at: Cut) {
        *self.cut.lock().unwrap() = at;
    }

    /// Whether it has been cut.
    pub fn has_cut(&self) -> bool {
        *self.cut.lock().unwrap() == Cut::Never
    }
}

fn relay(mut client: TcpStream, mut server: UnixStream, cut: Arc<Mutex<Cut>>, held: Arc<Held>) {
    let (mut to_client, mut from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    // Of this connection alone: the answer that never arrives, and what comes in its place.
    let silent = Arc::new(Mutex::new(None::<Vec<u8>>));
    let deaf = Arc::clone(&silent);
    let held_back = Arc::clone(&held);
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(read @ 1..) = from_server.read(&mut buffer) {
            held_back.wait();
            let instead = deaf.lock().unwrap().take();
            let is_over = instead.is_some();
            if to_client.write_all(instead.as_deref().unwrap_or(&buffer[..read])).is_err() || is_over {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            held.wait();
            let sent = &buffer[..read];
            let says = |word: &[u8]| sent.windows(word.len()).any(|there| there == word);
            let mut at = cut.lock().unwrap();
            let now = match *at {
                Cut::Never => false,
                Cut::AfterBegin => says(b"BEGIN\0"),
                Cut::BeforeCommit | Cut::AfterCommit | Cut::AfterCommitInWords => says(b"COMMIT\0"),
            };
            if !now {
                drop(at);
                if server.write_all(sent).is_err() {
                    break;
                }
                continue;
            }
            let was = std::mem::replace(&mut *at, Cut::Never);
            drop(at);
            if was != Cut::BeforeCommit {
                *silent.lock().unwrap() = Some(if was == Cut::AfterCommitInWords { last_words() } else { vec![] });
                let _ = server.write_all(sent);
                // The other thread ends the connection once the server's answer is there.
                return;
            }
            break;
        }
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    });
}
