//! PostgreSQL's errors, told apart by what may be done about them.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use super::pooler::WITHOUT_STATEMENTS;
use crate::store::StoreError;

/// Why a transaction came to nothing, or may have.
#[derive(Clone, Debug)]
pub struct Fault {
    pub what: What,
    pub error: StoreError,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Others were in the way: a deadlock, a serialization failure, a start of the same id. Do the same again.
    Conflict,
    /// The connection is of no use any more.
    Connection,
    /// A statement failed, by its own fault perhaps.
    Statement,
}

impl Fault {
    /// A fault of the connection: nothing was written.
    pub fn connection(why: impl ToString) -> Self {
        Fault { what: What::Connection, error: StoreError::Unavailable(why.to_string()) }
    }

    /// No connection is to be had.
    pub fn connection_error(error: StoreError) -> Self {
        Fault { what: What::Connection, error }
    }

    /// Others were in the way.
    pub fn conflict(why: impl ToString) -> Self {
        Fault { what: What::Conflict, error: StoreError::Unavailable(why.to_string()) }
    }

    /// A commit that is not known to have happened.
    pub fn unknown(why: impl ToString) -> Self {
        Fault { what: What::Connection, error: StoreError::Unknown(why.to_string()) }
    }

    /// What an error of a COMMIT means, or of a statement behind which one was sent at once.
    ///
    /// The server answers an error (and no more than that) only before the commit is in its log: of the statement, before
    /// it comes to the COMMIT, which undoes the transaction then; of the COMMIT itself, a deferred constraint or a
    /// serialization failure. Whatever else ends the wait may have come after both: the end of a connection too, for a
    /// pooler between says so in the server's words, of whatever is not answered yet.
    pub fn of_commit(error: Error) -> Self {
        match error.as_db_error() {
            Some(db) if db.parsed_severity() == Some(Severity::Error) => Fault::from(error),
            _ => Fault::unknown(text(&error)),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault { what: What::Statement, error }
    }
}

/// An error of a statement that is no COMMIT: nothing of the transaction happened.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let what = text(&error);
        let Some(db) = error.as_db_error() else {
            // What is wrong with the connection has the system's error behind it; anything else is about a parameter
            // or a column.
            let io = error.source().is_some_and(|source| source.is::<std::io::Error>());
            return if io || error.is_closed() { Fault::connection(what) } else { StoreError::Refused(what).into() };
        };
        let code = db.code().code();
        match (&code[..2], code) {
            (_, "23505") if db.schema() == Some("hydra") && db.constraint() == Some("executions_namespace_id_key") => {
                Fault::conflict("an execution of the same id was started at the same time")
            }
            ("40", _) => Fault::conflict(what),
            // A standby, or a server that became one: the next connection looks for the primary.
            (_, "25006") => Fault::connection(format!("the server takes no writes: {what}")),
            ("08", _) | (_, "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04") => {
                Fault::connection(what)
            }
            (_, "55P03") => StoreError::Unavailable(format!(
                "a row is locked by another transaction for longer than `lock_timeout`; find out which, or raise it \
                 ({what})"
            ))
            .into(),
            (_, "57014") => StoreError::Unavailable(format!(
                "a statement took longer than `statement_timeout`, or was cancelled ({what})"
            ))
            .into(),
            // The statement is not there, or another one's has its name.
            (_, "26000" | "42P05") => StoreError::Refused(format!("{WITHOUT_STATEMENTS} ({what})")).into(),
            ("53" | "58", _) => StoreError::Unavailable(what).into(),
            _ => StoreError::Refused(what).into(),
        }
    }
}

/// Whether the server cancelled a statement.
pub fn is_cancelled(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == "57014")
}

/// The server's words with its code and details, or the client's with what is behind them.
pub fn text(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return db_text(db);
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn db_text(db: &DbError) -> String {
    let mut text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        text += &format!("; {more}");
    }
    text
}
