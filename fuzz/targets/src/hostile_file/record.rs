//! What the damaged file still says, read past the engine; and so which bodies may no longer run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use hydra_engine::store::ExecutionId;
use rusqlite::{Connection, OpenFlags};

use super::base::BASE;

/// Rows of steps by execution and number, and of executions by key: as far as they can be read.
pub struct Record {
    steps: BTreeMap<(i64, u32), Read<Step>>,
    settled: BTreeMap<i64, Read<u32>>,
    keys: BTreeMap<ExecutionId, i64>,
}

/// What became of a row that the sound file has.
#[derive(Clone, PartialEq)]
enum Read<T> {
    Row(T),
    Gone,
    Unreadable,
}

#[derive(Clone, PartialEq)]
struct Step {
    kind: String,
    state: String,
}

/// What the sound file says.
static SOUND: LazyLock<Record> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in(crate::stores::memory()).expect("a folder");
    let path = folder.path().join("store.db");
    std::fs::write(&path, &BASE.file).expect("a copy");
    Record::of(&path)
});

impl Record {
    /// Reads it.
    pub fn read(path: &Path) -> Self {
        LazyLock::force(&SOUND);
        Self::of(path)
    }

    fn of(path: &Path) -> Self {
        let mut record = Record { steps: BTreeMap::new(), settled: BTreeMap::new(), keys: BTreeMap::new() };
        let Ok(file) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE) else { return record };
        for (id, key) in &BASE.executions {
            let sql = "SELECT settled FROM hydra_executions WHERE seq = ?1";
            record.settled.insert(key.0, read(file.query_row(sql, [key.0], |row| row.get(0))));
            // Past the index, which may be damaged: a claim takes the name from the row as well.
            let sql = "SELECT seq FROM hydra_executions NOT INDEXED WHERE namespace = ?1 AND id = ?2";
            if let Ok(key) = file.query_row(sql, (&id.namespace, &id.id), |row| row.get(0)) {
                record.keys.insert(id.clone(), key);
            }
            for step in 1..=5 {
                let sql = "SELECT kind, state FROM hydra_steps WHERE execution = ?1 AND step = ?2";
                let row = file.query_row(sql, (key.0, step), |row| Ok(Step { kind: row.get(0)?, state: row.get(1)? }));
                record.steps.insert((key.0, step), read(row));
            }
        }
        record
    }

    /// The key of an execution, if it still has one.
    pub fn key(&self, id: &ExecutionId) -> Option<i64> {
        self.keys.get(id).copied()
    }

    /// Why the body of this step may not run, if it may not.
    pub fn forbids(&self, key: i64, step: u32) -> Option<&'static str> {
        const SETTLED: [&str; 5] = ["succeeded", "failed", "unencodable", "in_doubt", "fired"];
        let Read::Row(was) = SOUND.steps.get(&(key, step))? else { return None };
        let settled = SETTLED.contains(&was.state.as_str());
        match self.steps.get(&(key, step))? {
            Read::Row(is) if settled && SETTLED.contains(&is.state.as_str()) => Some("its checkpoint is there"),
            // Forged into a step that is not done: nobody can tell.
            Read::Row(is) if is.kind == "at_most_once" && is.state == was.state => {
                Some("it had begun, and may run once")
            }
            Read::Row(_) => None,
            // As long as the execution says how many steps were settled, one that is missing is noticed.
            Read::Gone | Read::Unreadable if settled && self.settled.get(&key) == SOUND.settled.get(&key) => {
                Some("its checkpoint is gone, and the execution's row tells")
            }
            Read::Gone | Read::Unreadable => None,
        }
    }
}

fn read<T>(row: rusqlite::Result<T>) -> Read<T> {
    match row {
        Ok(row) => Read::Row(row),
        Err(rusqlite::Error::QueryReturnedNoRows) => Read::Gone,
        Err(_) => Read::Unreadable,
    }
}
