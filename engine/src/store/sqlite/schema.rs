//! The tables, and how an older file comes to have them.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::{StoreError, sql_error};

/// Marks a file as one of this engine's: "HYDR".
pub const APPLICATION_ID: i32 = 0x4859_4452;

/// Each brings a file from the version before to the next. None is ever changed once released.
const MIGRATIONS: &[&str] = &[V1];

/// The version that this engine reads and writes.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// The checks say what the core's invariants say, where SQL can: the database itself refuses what must never be.
///
/// A list of words is spelled out with OR: for an `IN` of more than two, SQLite builds a table of its own at every write
/// (that took half of the writer's time).
const V1: &str = "
-- What changes with every command is kept small, and apart from what does not.
CREATE TABLE hydra_executions (
    seq         INTEGER PRIMARY KEY,
    namespace   TEXT NOT NULL CHECK (namespace <> ''),
    id          TEXT NOT NULL CHECK (id <> ''),
    workflow    TEXT NOT NULL CHECK (workflow <> ''),
    status      TEXT NOT NULL CHECK (status = 'ready' OR status = 'leased' OR status = 'succeeded' OR status = 'failed'
                                       OR status = 'cancelled'),
    due_at      INTEGER CHECK (due_at >= 0),
    epoch       INTEGER NOT NULL CHECK (epoch BETWEEN 0 AND 4294967295),
    settled     INTEGER NOT NULL CHECK (settled BETWEEN 0 AND 4294967295),
    replays     INTEGER NOT NULL CHECK (replays BETWEEN 0 AND epoch AND replays <= replays_max),
    replays_max INTEGER NOT NULL CHECK (replays_max BETWEEN 1 AND 4294967295),
    deadline    INTEGER CHECK (deadline >= 0),
    failure     TEXT,
    worker      TEXT,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    UNIQUE (namespace, id),
    CHECK ((status IN ('ready', 'leased')) = (due_at IS NOT NULL)),
    CHECK ((status IN ('ready', 'leased')) = (ended_at IS NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK (failure = 'workflow' OR failure = 'panicked' OR failure = 'nondeterministic' OR failure = 'undecodable'
           OR failure = 'unencodable' OR failure = 'deadline_exceeded' OR failure = 'replays_exhausted'),
    CHECK (status NOT IN ('leased', 'succeeded') OR epoch > 0),
    CHECK (settled = 0 OR epoch > 0),
    CHECK (due_at IS NULL OR deadline IS NULL OR due_at <= deadline),
    CHECK (failure IS NULL OR failure <> 'deadline_exceeded' OR deadline IS NOT NULL)
) STRICT;
-- One due time serves new work, backoffs, sleeps and the ends of leases. By workflow, so that a backlog of one that no
-- worker here knows costs nothing; without the finished, so that they cost nothing either.
CREATE INDEX hydra_executions_due ON hydra_executions (namespace, workflow, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX hydra_executions_deadline ON hydra_executions (namespace, deadline)
    WHERE due_at IS NOT NULL AND deadline IS NOT NULL;

CREATE TABLE hydra_payloads (
    execution   INTEGER PRIMARY KEY REFERENCES hydra_executions (seq) ON DELETE CASCADE,
    input       BLOB NOT NULL,
    output      BLOB,
    error       TEXT
) STRICT;

CREATE TABLE hydra_steps (
    execution   INTEGER NOT NULL REFERENCES hydra_executions (seq) ON DELETE CASCADE,
    step        INTEGER NOT NULL CHECK (step BETWEEN 0 AND 4294967295),
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind = 'transactional' OR kind = 'keyed' OR kind = 'at_most_once' OR kind = 'timer'),
    epoch       INTEGER NOT NULL CHECK (epoch BETWEEN 1 AND 4294967295),
    attempt     INTEGER NOT NULL CHECK (attempt BETWEEN 0 AND attempts_max),
    attempts_max INTEGER NOT NULL CHECK (attempts_max BETWEEN 0 AND 4294967295),
    state       TEXT NOT NULL CHECK (state = 'running' OR state = 'waiting' OR state = 'sleeping' OR state = 'abandoned'
                                      OR state = 'succeeded' OR state = 'failed' OR state = 'unencodable'
                                      OR state = 'in_doubt' OR state = 'fired'),
    due_at      INTEGER CHECK (due_at >= 0),
    ord         INTEGER CHECK (ord BETWEEN 1 AND 4294967295),
    cause       TEXT CHECK (cause = 'final' OR cause = 'exhausted' OR cause = 'crashed'),
    begun_at    INTEGER NOT NULL,
    settled_at  INTEGER,
    error       TEXT,
    input       BLOB,
    output      BLOB,
    PRIMARY KEY (execution, step),
    CHECK ((state = 'running' OR state = 'waiting' OR state = 'sleeping' OR state = 'abandoned') = (ord IS NULL)),
    CHECK ((ord IS NULL) = (settled_at IS NULL)),
    CHECK ((state IN ('waiting', 'sleeping') OR (state = 'abandoned' AND kind = 'timer')) = (due_at IS NOT NULL)),
    CHECK ((state = 'failed') = (cause IS NOT NULL)),
    CHECK ((state = 'succeeded') = (output IS NOT NULL)),
    CHECK ((kind = 'timer') = (attempt = 0) AND (kind = 'timer') = (attempts_max = 0)),
    CHECK (state <> 'waiting' OR attempt < attempts_max),
    CHECK (kind <> 'timer' OR (state = 'sleeping' OR state = 'abandoned' OR state = 'fired')),
    CHECK (kind = 'timer' OR state NOT IN ('sleeping', 'fired')),
    CHECK (state <> 'in_doubt' OR kind = 'at_most_once'),
    CHECK (state <> 'unencodable' OR kind <> 'transactional')
) STRICT, WITHOUT ROWID;
-- No two steps settle as the same.
CREATE UNIQUE INDEX hydra_steps_order ON hydra_steps (execution, ord) WHERE ord IS NOT NULL;

-- Who held which execution, and when. For people: a lease is known by its epoch.
CREATE TABLE hydra_leases (
    execution   INTEGER NOT NULL REFERENCES hydra_executions (seq) ON DELETE CASCADE,
    epoch       INTEGER NOT NULL CHECK (epoch BETWEEN 1 AND 4294967295),
    worker      TEXT NOT NULL,
    claimed_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    PRIMARY KEY (execution, epoch)
) STRICT, WITHOUT ROWID;
";

/// What a file is, as its header says.
struct Header {
    application: i32,
    version: i32,
    tables: i64,
}

impl Header {
    fn read(connection: &Connection) -> Result<Self, StoreError> {
        let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(sql_error::of);
        Ok(Header {
            application: number("PRAGMA application_id")? as i32,
            version: number("PRAGMA user_version")? as i32,
            tables: number("SELECT count(*) FROM sqlite_schema")?,
        })
    }

    /// Whether this engine may use the file.
    fn check(&self, path: &str) -> Result<(), StoreError> {
        let no = |why: String| Err(StoreError::NotAStore(why));
        match self {
            Header { application: 0, version: 0, tables: 0 } => Ok(()),
            Header { application: APPLICATION_ID, version, .. } if (0..=VERSION).contains(version) => Ok(()),
            Header { application: APPLICATION_ID, version, .. } => no(format!(
                "{path} has schema version {version}, and this version of the engine knows none after {VERSION}: use \
                 the newer engine that wrote it; nothing was changed"
            )),
            Header { application, tables, .. } => no(format!(
                "{path} belongs to another application (application id {application}, {tables} tables): give the engine \
                 a file of its own, in which you may keep tables beside its; nothing was changed"
            )),
        }
    }
}

/// Whether the file is a store, or empty. Changes nothing.
pub fn check(connection: &Connection, path: &str) -> Result<(), StoreError> {
    Header::read(connection)?.check(path)
}

/// Whether the file is a store that has its tables already.
pub fn check_is_store(connection: &Connection, path: &str) -> Result<(), StoreError> {
    let header = Header::read(connection)?;
    if header.version == 0 && header.application == 0 {
        return Err(StoreError::NotAStore(format!("{path} is not a file of this engine")));
    }
    header.check(path)
}

/// Brings the file to this engine's version, in one transaction: two processes may try at once.
pub fn migrate(connection: &mut Connection, path: &str) -> Result<(), StoreError> {
    if let Header { application: APPLICATION_ID, version: VERSION, .. } = Header::read(connection)? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql_error::of)?;
    let header = Header::read(&transaction)?;
    header.check(path)?;
    let done = header.version as usize;
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration).map_err(sql_error::of)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql_error::of)?;
    transaction.pragma_update(None, "user_version", VERSION).map_err(sql_error::of)?;
    transaction.commit().map_err(sql_error::of)
}
