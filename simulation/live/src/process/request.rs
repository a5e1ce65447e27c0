//! What a worker asks of its store, read from the memory of the traced process at the call that sends it.
//!
//! Alike system calls are told apart by what they carry: `commit` after one statement is another place than `commit`
//! after another, and the polls of an idle worker are not counted among the requests of its work.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use crate::store::wire::statement::describe;

/// How much of a request is read, in bytes.
const READ_MAX: usize = 8 << 10;
/// How many parts of a scattered request are read.
const PARTS_MAX: u64 = 16;

/// The requests of one process, by connection.
#[derive(Default)]
pub(super) struct Requests {
    connections: HashMap<String, Connection>,
}

#[derive(Default)]
struct Connection {
    /// Prepared statements, by name.
    statements: HashMap<Vec<u8>, String>,
    last: Option<String>,
}

impl Requests {
    /// What is sent over a connection to PostgreSQL, in a name that is the same in every run.
    pub(super) fn sent(&mut self, connection: &str, bytes: &[u8]) -> Option<String> {
        let connection = self.connections.entry(connection.to_owned()).or_default();
        let mut name = None;
        for (tag, body) in messages(bytes) {
            let found = match tag {
                b'Q' => Some(describe(text(body), connection.last.as_deref())),
                b'P' => {
                    let mut parts = body.splitn(3, |byte| *byte == 0);
                    let (statement, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                    let described = describe(text(query), connection.last.as_deref());
                    connection.statements.insert(statement.to_vec(), described.clone());
                    Some(described)
                }
                b'B' => {
                    let statement = body.split(|byte| *byte == 0).nth(1).unwrap_or_default();
                    Some(connection.statements.get(statement).cloned().unwrap_or_else(|| "prepared".to_owned()))
                }
                _ => None,
            };
            name = name.or(found);
        }
        connection.last = name.clone().or(connection.last.take());
        name
    }

    /// What was asked last over a connection: what its next answer answers.
    pub(super) fn answered(&self, connection: &str) -> Option<String> {
        self.connections.get(connection)?.last.clone()
    }
}

/// The messages of PostgreSQL's protocol that are wholly or partly in `bytes`.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (tag, after) = rest.split_first()?;
        let length = u32::from_be_bytes(after.get(..4)?.try_into().ok()?) as usize;
        if !tag.is_ascii_alphabetic() || length < 4 {
            return None;
        }
        let body = &after[4..length.min(after.len())];
        rest = after.get(length..).unwrap_or_default();
        Some((*tag, body))
    })
}

fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Reads what a stopped thread is about to send.
pub(super) fn outgoing(tid: Pid, call: &str, first: u64, second: u64) -> Vec<u8> {
    let Ok(memory) = File::open(format!("/proc/{tid}/mem")) else { return Vec::new() };
    let (address, parts) = match call {
        "write" | "sendto" => return piece(&memory, first, second),
        "writev" => (first, second),
        "sendmsg" => (word(&memory, first + 16), word(&memory, first + 24)),
        _ => return Vec::new(),
    };
    let mut all = Vec::new();
    for part in 0..parts.min(PARTS_MAX) {
        let at = address + 16 * part;
        all.extend(piece(&memory, word(&memory, at), word(&memory, at + 8)));
    }
    all
}

/// The lock that a stopped thread is about to take with `fcntl`, if it takes one: `read`, or `write-120` with the byte
/// that it locks.
pub(super) fn lock(tid: Pid, command: u64, argument: u64) -> Option<String> {
    use nix::libc;
    let takes = [libc::F_SETLK, libc::F_SETLKW, libc::F_OFD_SETLK, libc::F_OFD_SETLKW];
    if !takes.iter().any(|known| u64::try_from(*known) == Ok(command)) {
        return None;
    }
    let memory = File::open(format!("/proc/{tid}/mem")).ok()?;
    let mut flock = [0; 16];
    memory.read_exact_at(&mut flock, argument).ok()?;
    let (kind, start) = (i32::from(flock[0]), u64::from_ne_bytes(flock[8..].try_into().ok()?));
    match kind {
        kind if kind == i32::from(libc::F_RDLCK as i16) => Some("read".to_owned()),
        kind if kind == i32::from(libc::F_WRLCK as i16) => Some(format!("write-{start}")),
        _ => None,
    }
}

fn piece(memory: &File, address: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(READ_MAX).min(READ_MAX)];
    match memory.read_at(&mut bytes, address) {
        Ok(read) => bytes.truncate(read),
        Err(_) => bytes.clear(),
    }
    bytes
}

fn word(memory: &File, address: u64) -> u64 {
    let mut bytes = [0; 8];
    drop(memory.read_exact_at(&mut bytes, address));
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn a_statement_has_one_name_whatever_it_carries() {
        let mut requests = Requests::default();
        let parse = message(b'P', b"s1\0UPDATE \"dbos\".\"workflow_status\" SET status=$1 WHERE id='W1'\0\0\0");
        let bind = message(b'B', b"\0s1\0\0\0");
        let first = requests.sent("one", &[parse, bind.clone()].concat()).unwrap();
        assert!(first.starts_with("update-workflow_status-"), "{first}");
        // Prepared before, so that its text is not sent again.
        assert_eq!(requests.sent("one", &bind), Some(first.clone()));
        let other = message(b'Q', b"update dbos.workflow_status set status=$1 where id='W22'\0");
        let same = message(b'Q', b"update dbos.workflow_status set status=$1 where id='W3'\0");
        assert_eq!(requests.sent("two", &other), requests.sent("two", &same));
        assert_eq!(requests.sent("three", &bind).as_deref(), Some("prepared"));
        assert_eq!(requests.sent("two", b"\0\0\0\x08\x04\xd2\x16\x2f"), None);
    }

    #[test]
    fn a_commit_is_named_after_what_it_commits() {
        let mut requests = Requests::default();
        let commit = message(b'Q', b"COMMIT\0");
        let mut after = |sql: &str| {
            requests.sent("one", &message(b'Q', sql.as_bytes()));
            requests.sent("one", &commit).unwrap()
        };
        let (insert, select) = (after("insert into a values ($1)"), after("select 1 from a"));
        assert!(insert.starts_with("commit-after-") && insert != select, "{insert} {select}");
        assert_eq!(after("insert into a values ($1)"), insert);
        assert_eq!(requests.answered("one"), Some(insert));
    }
}
