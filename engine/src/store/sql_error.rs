//! SQLite's errors, told apart by what may be done about them.

use rusqlite::{Error, ErrorCode};

use super::StoreError;

/// The store's error for one of SQLite's, in a statement that is no commit.
pub fn of(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable(format!(
            "another process or connection holds the lock on the file for longer than the busy timeout; find out which, \
             or raise `busy_timeout` ({error})"
        )),
        Some(ErrorCode::DiskFull) => StoreError::Unavailable(format!("the disk is full; make room on it ({error})")),
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::CannotOpen) => {
            StoreError::Unavailable(error.to_string())
        }
        // What SQLite says when it could not get at the log's index for ten seconds: on a disk that is full it cannot
        // be made.
        Some(ErrorCode::FileLockingProtocolFailed) => {
            StoreError::Unavailable(format!("the index of the file's log cannot be used or made ({error})"))
        }
        Some(ErrorCode::ReadOnly) => StoreError::Refused(format!(
            "the file cannot be written: see its permissions and its folder's, and whether the disk is mounted \
             read-only ({error})"
        )),
        Some(ErrorCode::NotADatabase) => {
            StoreError::NotAStore(format!("this file is no SQLite database; give another path ({error})"))
        }
        // No corrupt row, which leaves the transaction as it was: this may be the second write of a command, and the
        // first would be committed without it.
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Unreadable(format!(
            "it is malformed, or its disk fails; see the system's log and `PRAGMA integrity_check`: if the file is \
             sound, ask again, and else restore it from a backup ({error})"
        )),
        _ => StoreError::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_may_be_done_about_it_goes_by_the_code() {
        let told = |code| of(Error::SqliteFailure(ffi::Error::new(code), None));
        for passing in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_PROTOCOL,
        ] {
            assert!(matches!(told(passing), StoreError::Unavailable(_)), "{passing}");
        }
        assert!(matches!(told(ffi::SQLITE_READONLY), StoreError::Refused(why) if why.contains("mounted read-only")));
        assert!(matches!(told(ffi::SQLITE_NOTADB), StoreError::NotAStore(_)));
        assert!(matches!(told(ffi::SQLITE_CORRUPT), StoreError::Unreadable(_)));
        assert!(matches!(told(ffi::SQLITE_CONSTRAINT), StoreError::Refused(_)));
    }
}
