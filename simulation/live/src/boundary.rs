//! Places in the life of a worker's process at which a fault can be put.

use std::fmt;

use hydra_schedule::{Boundary, Name};

use crate::store::wire::messages::{self, Side};

/// A door of a step's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// The body was entered; its effect has not happened.
    Before,
    /// Its effect has happened; the worker has not been told.
    After,
}

impl Door {
    fn word(self) -> &'static str {
        match self {
            Door::Before => "before",
            Door::After => "after",
        }
    }

    /// What a worker's system calls are counted from once it has passed this door of a step.
    pub fn anchor(self, step: &Name) -> String {
        format!("{}-{step}", self.word())
    }
}

/// Alike system calls, or alike messages between a worker and its store: the same call, to the same thing, since the worker
/// was last seen at the same door.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The call, as the kernel names it; or the message, as its protocol does.
    pub call: &'static str,
    /// What it is done to: `db`, `wal`, `journal`, `shm`, `file`, `store`, `net`.
    pub target: &'static str,
    /// The door that was passed last, or `start`.
    pub anchor: String,
    /// What is asked or locked, where that can be read: `update-workflow_status-3fa2`.
    pub request: Option<String>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// At a door of a step's body, at the worker's `nth` entry.
    Door(Door, Name, u32),
    /// Before the `nth` call, or message, of a site.
    Call(Site, u32),
}

/// The calls that touch the outside, by number.
pub fn call_name(number: u64) -> Option<&'static str> {
    CALLS.iter().find(|(_, of)| *of == number).map(|(name, _)| *name)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const CALLS: [(&str, u64); 19] = {
    use nix::libc;
    [
        ("read", libc::SYS_read as u64),
        ("pread64", libc::SYS_pread64 as u64),
        ("write", libc::SYS_write as u64),
        ("writev", libc::SYS_writev as u64),
        ("pwrite64", libc::SYS_pwrite64 as u64),
        ("pwritev", libc::SYS_pwritev as u64),
        ("pwritev2", libc::SYS_pwritev2 as u64),
        ("sendto", libc::SYS_sendto as u64),
        ("sendmsg", libc::SYS_sendmsg as u64),
        ("recvfrom", libc::SYS_recvfrom as u64),
        ("recvmsg", libc::SYS_recvmsg as u64),
        ("readv", libc::SYS_readv as u64),
        ("connect", libc::SYS_connect as u64),
        ("fsync", libc::SYS_fsync as u64),
        ("fdatasync", libc::SYS_fdatasync as u64),
        ("sync_file_range", libc::SYS_sync_file_range as u64),
        ("ftruncate", libc::SYS_ftruncate as u64),
        ("fallocate", libc::SYS_fallocate as u64),
        ("fcntl", libc::SYS_fcntl as u64),
    ]
};
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
const CALLS: [(&str, u64); 0] = [];

/// The things that a call is done to.
pub const TARGETS: [&str; 8] = ["db", "wal", "journal", "shm", "file", "store", "net", "log"];

impl Site {
    /// Whether it waits for something from outside, rather than doing something to it.
    pub fn receives(&self) -> bool {
        matches!(self.call, "read" | "readv" | "recvfrom" | "recvmsg")
    }

    /// Who sends it, if it is a message.
    pub fn message(&self) -> Option<Side> {
        messages::named(self.call).map(|(_, side)| side)
    }

    /// Whether it takes a lock: a transaction of SQLite begins there.
    pub fn locks(&self) -> bool {
        self.call == "fcntl"
    }

    /// Whether it goes over a connection.
    pub fn is_network(&self) -> bool {
        matches!(self.target, "store" | "net")
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.call, self.target, self.anchor)?;
        match &self.request {
            Some(request) => write!(f, ":{request}"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// Whether it is a message on its way, rather than a moment of the worker's.
    pub fn is_message(&self) -> bool {
        matches!(self, Place::Call(site, _) if site.message().is_some())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Door(door, step, nth) => write!(f, "{}#{nth}", door.anchor(step)),
            Place::Call(site, nth) => write!(f, "{site}#{nth}"),
        }
    }
}

impl Place {
    /// As a schedule writes it.
    pub fn to_boundary(&self) -> Option<Boundary> {
        let (place, nth) = match self {
            Place::Door(door, step, nth) => (door.anchor(step), *nth),
            Place::Call(site, nth) => (site.to_string(), *nth),
        };
        Some(Boundary { place: Name::new(&place).ok()?, nth })
    }

    /// As a schedule wrote it; nothing if it means no place here.
    pub fn of_boundary(boundary: &Boundary) -> Option<Self> {
        let text = boundary.place.as_str();
        for door in [Door::Before, Door::After] {
            if let Some(step) = text.strip_prefix(door.word()).and_then(|rest| rest.strip_prefix('-')) {
                return Some(Place::Door(door, Name::new(step).ok()?, boundary.nth));
            }
        }
        let mut parts = text.splitn(3, '.');
        let (call, target, anchor) = (parts.next()?, parts.next()?, parts.next()?);
        let known = CALLS.iter().find(|(name, _)| *name == call).map(|(name, _)| *name);
        let call = known.or_else(|| messages::named(call).map(|(name, _)| name))?;
        let target = TARGETS.into_iter().find(|known| *known == target)?;
        let (anchor, request) = match anchor.rsplit_once(':') {
            Some((anchor, request)) => (anchor, Some(request.to_owned())),
            None => (anchor, None),
        };
        Some(Place::Call(Site { call, target, anchor: anchor.to_owned(), request }, boundary.nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_called_as_a_message_is() {
        assert_eq!(CALLS.iter().filter_map(|(name, _)| messages::named(name)).next(), None);
    }

    #[test]
    fn a_place_parses_back() {
        let step = Name::new("2a.x").unwrap();
        let site = Site { call: "pwrite64", target: "wal", anchor: Door::After.anchor(&step), request: None };
        let asks = Site { call: "sendto", request: Some("update-runs-3fa2".to_owned()), ..site.clone() };
        let told = Site { call: "command-complete", target: "store", ..asks.clone() };
        let calls = [(site, 12), (asks, 1), (told, 2)].map(|(site, nth)| Place::Call(site, nth));
        for place in calls.into_iter().chain([Place::Door(Door::After, step.clone(), 3)]) {
            let boundary = place.to_boundary().unwrap();
            assert_eq!(Place::of_boundary(&boundary), Some(place));
        }
        let unknown = Boundary { place: Name::new("open.db.start").unwrap(), nth: 1 };
        assert_eq!(Place::of_boundary(&unknown), None);
    }
}
