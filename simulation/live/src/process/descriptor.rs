//! What a file descriptor of a foreign process is, seen from outside.

use std::collections::HashMap;

use nix::unistd::Pid;

/// Knows the descriptors of one process and of its children.
pub(super) struct Descriptors {
    door: u16,
    store: Vec<u16>,
    /// By what `/proc` calls it: a number may be reused, an inode within one run hardly.
    known: HashMap<String, Option<&'static str>>,
}

impl Descriptors {
    pub(super) fn new(door: u16, store: Vec<u16>) -> Self {
        Descriptors { door, store, known: HashMap::new() }
    }

    /// What the descriptor is, in a word, and what `/proc` calls it; nothing if it is inside of the process or leads to
    /// the auditor itself.
    pub(super) fn target(&mut self, tid: Pid, descriptor: u64) -> Option<(&'static str, String)> {
        let link = std::fs::read_link(format!("/proc/{tid}/fd/{descriptor}")).ok()?;
        let link = link.to_string_lossy().into_owned();
        if let Some(known) = self.known.get(&link) {
            return known.map(|target| (target, link));
        }
        let target = match link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
            Some(inode) => match self.remote_port(tid, inode) {
                // Not connected yet: ask again the next time.
                None => return None,
                Some(port) if port == self.door => None,
                Some(port) if self.store.contains(&port) => Some("store"),
                Some(_) => Some("net"),
            },
            None => file(&link),
        };
        self.known.insert(link.clone(), target);
        target.map(|target| (target, link))
    }

    fn remote_port(&self, tid: Pid, inode: &str) -> Option<u16> {
        for table in ["tcp", "tcp6"] {
            let text = std::fs::read_to_string(format!("/proc/{tid}/net/{table}")).ok()?;
            for line in text.lines().skip(1) {
                let mut fields = line.split_whitespace();
                let (remote, found) = (fields.nth(2)?, fields.nth(6)?);
                if found == inode {
                    let (_, port) = remote.rsplit_once(':')?;
                    return u16::from_str_radix(port, 16).ok().filter(|port| *port != 0);
                }
            }
        }
        None
    }
}

fn file(link: &str) -> Option<&'static str> {
    if !link.starts_with('/') || link.starts_with("/dev/") || link.starts_with("/proc/") || link.starts_with("/sys/") {
        return None;
    }
    let name = link.strip_suffix(" (deleted)").unwrap_or(link);
    Some(if name.ends_with("-wal") {
        "wal"
    } else if name.ends_with("-journal") {
        "journal"
    } else if name.ends_with("-shm") {
        "shm"
    } else if [".db", ".sqlite", ".sqlite3"].iter().any(|end| name.ends_with(end)) {
        "db"
    } else if name.ends_with(".log") {
        "log"
    } else {
        "file"
    })
}

#[cfg(test)]
mod tests {
    use super::file;

    #[test]
    fn files_are_known_by_their_names() {
        assert_eq!(file("/tmp/x/store.db-wal"), Some("wal"));
        assert_eq!(file("/tmp/x/store.db"), Some("db"));
        assert_eq!(file("/dev/null"), None);
        assert_eq!(file("pipe:[12]"), None);
    }
}
