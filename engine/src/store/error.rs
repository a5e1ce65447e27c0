//! What can go wrong in a store.

/// Why a store gave no answer. Each says what may be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The outcome is unknown: the connection broke, or the process is shutting down, between asking and answering.
    /// Ask the same again; every command of a worker is idempotent under its epoch.
    #[error("no answer from the store: the command may or may not have happened; ask again ({0})")]
    Unknown(String),
    /// Nothing happened, and the same may succeed later: a lock held by another process, a full disk, a server that is
    /// not there.
    #[error("the store is not available now, and nothing was written: {0}")]
    Unavailable(String),
    /// Nothing happened, and asking again will not help: a read-only file, a statement that fails, a payload too large.
    #[error("{0}")]
    Refused(String),
    /// A row contradicts itself. Nothing was written; nothing about that execution will be until it is mended.
    #[error("corrupt row, nothing was done with it: {row}: {what}")]
    Corrupt {
        /// Which row.
        row: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file itself cannot be read: it is malformed, or its disk answers with an error. SQLite calls both the same,
    /// so only asking again can tell. Nothing was written, and whatever was begun has to be undone: it may have come
    /// half-way through a command.
    #[error("the database file cannot be read, and nothing was written: {0}")]
    Unreadable(String),
    /// The file is not a store of this engine, or of a version that this one does not know.
    #[error("{0}")]
    NotAStore(String),
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, StoreError::Unknown(_) | StoreError::Unavailable(_))
    }
}
