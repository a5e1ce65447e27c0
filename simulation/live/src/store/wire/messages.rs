//! The kinds of messages, by the names that places give them.

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The worker.
    Request,
    /// The store.
    Reply,
}

/// What a connection begins with has no tag.
const UNTAGGED: u8 = 0;
/// Asks whether the connection can be encrypted.
pub(super) const ENCRYPTION_REQUEST: &str = "encryption-request";
/// One letter, and no more than that.
pub(super) const ENCRYPTION_REPLY: &str = "encryption-reply";
/// Asks, over a connection of its own, that a request of another one be broken off.
pub(super) const CANCEL_REQUEST: &str = "cancel-request";
/// Who asks, and for which database.
pub(super) const STARTUP: &str = "startup";

/// The names are those of the protocol's documentation, each for one side.
const KINDS: [(&str, Side, u8); 42] = [
    (ENCRYPTION_REQUEST, Side::Request, UNTAGGED),
    (CANCEL_REQUEST, Side::Request, UNTAGGED),
    (STARTUP, Side::Request, UNTAGGED),
    ("bind", Side::Request, b'B'),
    ("close", Side::Request, b'C'),
    ("copy-in-data", Side::Request, b'd'),
    ("copy-in-done", Side::Request, b'c'),
    ("copy-in-fail", Side::Request, b'f'),
    ("describe", Side::Request, b'D'),
    ("execute", Side::Request, b'E'),
    ("flush", Side::Request, b'H'),
    ("function-call", Side::Request, b'F'),
    ("parse", Side::Request, b'P'),
    ("password", Side::Request, b'p'),
    ("query", Side::Request, b'Q'),
    ("sync", Side::Request, b'S'),
    ("terminate", Side::Request, b'X'),
    (ENCRYPTION_REPLY, Side::Reply, UNTAGGED),
    ("authentication", Side::Reply, b'R'),
    ("backend-key-data", Side::Reply, b'K'),
    ("bind-complete", Side::Reply, b'2'),
    ("close-complete", Side::Reply, b'3'),
    ("command-complete", Side::Reply, b'C'),
    ("copy-both-response", Side::Reply, b'W'),
    ("copy-in-response", Side::Reply, b'G'),
    ("copy-out-data", Side::Reply, b'd'),
    ("copy-out-done", Side::Reply, b'c'),
    ("copy-out-response", Side::Reply, b'H'),
    ("data-row", Side::Reply, b'D'),
    ("empty-query-response", Side::Reply, b'I'),
    ("error-response", Side::Reply, b'E'),
    ("function-call-response", Side::Reply, b'V'),
    ("negotiate-protocol-version", Side::Reply, b'v'),
    ("no-data", Side::Reply, b'n'),
    ("notice-response", Side::Reply, b'N'),
    ("notification-response", Side::Reply, b'A'),
    ("parameter-description", Side::Reply, b't'),
    ("parameter-status", Side::Reply, b'S'),
    ("parse-complete", Side::Reply, b'1'),
    ("portal-suspended", Side::Reply, b's'),
    ("ready-for-query", Side::Reply, b'Z'),
    ("row-description", Side::Reply, b'T'),
];

/// The message of this name, and who sends it.
pub fn named(name: &str) -> Option<(&'static str, Side)> {
    KINDS.iter().find(|(known, ..)| *known == name).map(|(known, side, _)| (*known, *side))
}

/// The message that begins with this tag.
pub(super) fn tagged(side: Side, tag: u8) -> Option<&'static str> {
    KINDS.iter().find(|(_, by, of)| *by == side && *of == tag && tag != UNTAGGED).map(|(name, ..)| *name)
}

/// Whether the server does something for it, or says by it that something was done; what prepares or describes that has
/// no other effect when it is lost.
pub fn is_telling(name: &str) -> bool {
    ["query", "execute", "sync", "command-complete", "ready-for-query"].contains(&name)
}
