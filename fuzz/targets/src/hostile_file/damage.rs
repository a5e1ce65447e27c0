//! What is done to the file.

use std::io;
use std::path::Path;

use arbitrary::{Result, Unstructured};
use rusqlite::Connection;

use super::base::BASE;

/// One thing that is done to the file.
#[derive(Clone, Debug)]
pub enum Damage {
    /// Bytes are overwritten.
    Bytes {
        /// Where, from the beginning; taken by the file's length.
        at: usize,
        /// With what.
        with: Vec<u8>,
    },
    /// A page is overwritten by another.
    Page {
        /// Which, from 0.
        from: usize,
        /// Which.
        to: usize,
    },
    /// All from here on is gone.
    Cut(usize),
    /// A program that knows SQLite writes a column, past every check.
    Column {
        /// Which column, of which table: see [`COLUMNS`].
        column: usize,
        /// Which row, in the order of the primary key.
        row: u32,
        /// What is written.
        value: Value,
    },
    /// The same deletes a row.
    Row {
        /// Of which table: see `TABLES`.
        table: usize,
        /// Which.
        row: u32,
    },
}

/// A value of a column.
#[derive(Clone, Debug)]
pub enum Value {
    /// Null.
    Null,
    /// A number.
    Integer(i64),
    /// A small number.
    Small(i8),
    /// A number with a fraction.
    Real(f64),
    /// A word that the engine knows: see `WORDS`.
    Word(u8),
    /// A text of any kind.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The engine's tables, with their primary keys.
const TABLES: [(&str, &str); 4] = [
    ("hydra_executions", "seq"),
    ("hydra_payloads", "execution"),
    ("hydra_steps", "execution, step"),
    ("hydra_leases", "execution, epoch"),
];

/// The columns of the engine's tables, with the table's place in `TABLES`.
pub const COLUMNS: [(usize, &str); 40] = [
    (0, "seq"),
    (0, "namespace"),
    (0, "id"),
    (0, "workflow"),
    (0, "status"),
    (0, "due_at"),
    (0, "epoch"),
    (0, "settled"),
    (0, "replays"),
    (0, "replays_max"),
    (0, "deadline"),
    (0, "failure"),
    (0, "worker"),
    (0, "started_at"),
    (0, "ended_at"),
    (1, "execution"),
    (1, "input"),
    (1, "output"),
    (1, "error"),
    (2, "execution"),
    (2, "step"),
    (2, "name"),
    (2, "kind"),
    (2, "epoch"),
    (2, "attempt"),
    (2, "attempts_max"),
    (2, "state"),
    (2, "due_at"),
    (2, "ord"),
    (2, "cause"),
    (2, "begun_at"),
    (2, "settled_at"),
    (2, "error"),
    (2, "input"),
    (2, "output"),
    (3, "execution"),
    (3, "epoch"),
    (3, "worker"),
    (3, "claimed_at"),
    (3, "ended_at"),
];

/// Words that columns of the engine hold.
const WORDS: [&str; 22] = [
    "ready",
    "leased",
    "succeeded",
    "failed",
    "cancelled",
    "running",
    "waiting",
    "sleeping",
    "abandoned",
    "unencodable",
    "in_doubt",
    "fired",
    "transactional",
    "keyed",
    "at_most_once",
    "timer",
    "final",
    "exhausted",
    "crashed",
    "workflow",
    "deadline_exceeded",
    "order",
];

const PAGE_BYTES: usize = 4_096;

/// A program that heeds no check and no type: it takes them out of the schema, and afterwards puts them back.
const LOOSEN: &str = "PRAGMA writable_schema = ON; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; \
    CREATE TEMP TABLE was AS SELECT rowid AS at, sql FROM main.sqlite_schema; \
    UPDATE main.sqlite_schema SET sql = replace(replace(replace(sql, 'TEXT NOT NULL', 'TEXT'), \
        'INTEGER NOT NULL', 'INTEGER'), 'BLOB NOT NULL', 'BLOB'); \
    UPDATE main.sqlite_schema SET sql = replace(replace(sql, ') STRICT, WITHOUT', ') WITHOUT'), ') STRICT', ')'); \
    PRAGMA writable_schema = RESET;";
const FASTEN: &str = "PRAGMA writable_schema = ON; \
    UPDATE main.sqlite_schema SET sql = (SELECT sql FROM temp.was WHERE at = sqlite_schema.rowid); \
    PRAGMA writable_schema = RESET;";

impl Damage {
    /// The damage that these bytes choose.
    pub fn choose(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let pages = BASE.file.len() / PAGE_BYTES;
        Ok(match bytes.int_in_range(0..=9_u8)? {
            0 | 1 => {
                let at = bytes.int_in_range(0..=BASE.file.len() - 1)?;
                let count = bytes.int_in_range(1..=8)?;
                Damage::Bytes { at, with: bytes.bytes(count)?.to_vec() }
            }
            2 => Damage::Page { from: bytes.choose_index(pages)?, to: bytes.choose_index(pages)? },
            3 => Damage::Cut(bytes.int_in_range(0..=BASE.file.len())?),
            4 => Damage::Row { table: bytes.choose_index(TABLES.len())?, row: bytes.int_in_range(0..=31)? },
            _ => Damage::Column {
                column: bytes.choose_index(COLUMNS.len())?,
                row: bytes.int_in_range(0..=31)?,
                value: Value::choose(bytes)?,
            },
        })
    }

    /// Does it. What SQLite refuses by itself is not done.
    pub(super) fn inflict(&self, path: &Path) -> io::Result<()> {
        match self {
            Damage::Bytes { at, with } => change(path, |file| {
                if file.is_empty() {
                    return;
                }
                let at = at % file.len();
                for (byte, new) in file[at..].iter_mut().zip(with) {
                    *byte = *new;
                }
            }),
            Damage::Page { from, to } => change(path, |file| {
                let page = file.chunks(PAGE_BYTES).nth(*from).map(<[u8]>::to_vec);
                if let (Some(page), Some(there)) = (page, file.chunks_mut(PAGE_BYTES).nth(*to))
                    && page.len() == there.len()
                {
                    there.copy_from_slice(&page);
                }
            }),
            Damage::Cut(at) => change(path, |file| file.truncate(*at)),
            Damage::Column { column, row, value } => {
                let (table, column) = COLUMNS[column % COLUMNS.len()];
                let (table, key) = TABLES[table];
                let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {}", nth(table, key, *row));
                forge(path, |connection| connection.execute(&sql, [value.sql()]))
            }
            Damage::Row { table, row } => {
                let (table, key) = TABLES[table % TABLES.len()];
                let sql = format!("DELETE FROM {table} WHERE {}", nth(table, key, *row));
                forge(path, |connection| connection.execute(&sql, []))
            }
        }
    }
}

fn nth(table: &str, key: &str, row: u32) -> String {
    format!("({key}) = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {row})")
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
    let mut file = std::fs::read(path)?;
    change(&mut file);
    std::fs::write(path, file)
}

fn forge(path: &Path, write: impl FnOnce(&Connection) -> rusqlite::Result<usize>) -> io::Result<()> {
    let forged = || -> rusqlite::Result<()> {
        let connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL")?;
        connection.execute_batch(LOOSEN)?;
        let written = write(&connection);
        connection.execute_batch(FASTEN)?;
        written.map(drop)
    };
    // A file that was damaged before may be past this.
    let _ = forged();
    Ok(())
}

impl Value {
    fn choose(bytes: &mut Unstructured<'_>) -> Result<Self> {
        Ok(match bytes.int_in_range(0..=8_u8)? {
            0 => Value::Null,
            1 => Value::Integer(bytes.arbitrary()?),
            2 | 3 => Value::Small(bytes.arbitrary()?),
            4 => Value::Real(bytes.arbitrary()?),
            5 | 6 => Value::Word(bytes.arbitrary()?),
            7 => Value::Text(bytes.arbitrary()?),
            _ => Value::Blob(bytes.arbitrary()?),
        })
    }

    fn sql(&self) -> rusqlite::types::Value {
        use rusqlite::types::Value as Sql;
        match self {
            Value::Null => Sql::Null,
            Value::Integer(number) => Sql::Integer(*number),
            Value::Small(number) => Sql::Integer((*number).into()),
            Value::Real(number) => Sql::Real(*number),
            Value::Word(word) => Sql::Text(WORDS[usize::from(*word) % WORDS.len()].to_owned()),
            Value::Text(text) => Sql::Text(text.clone()),
            Value::Blob(bytes) => Sql::Blob(bytes.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A forgery that SQLite refuses unnoticed would make every input an easy one.
    #[test]
    fn what_is_forged_stands_in_the_file_whatever_its_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        std::fs::write(&path, &BASE.file).unwrap();
        let schema = |connection: &Connection| -> Vec<String> {
            let mut sql = connection.prepare("SELECT coalesce(sql, '') FROM sqlite_schema").unwrap();
            sql.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let before = schema(&Connection::open(&path).unwrap());
        let forged = |column: &str, table| COLUMNS.iter().position(|known| *known == (table, column)).unwrap();
        let text = Value::Text("no number".into());
        let damages = [
            Damage::Column { column: forged("settled", 0), row: 3, value: text },
            Damage::Column { column: forged("status", 0), row: 4, value: Value::Null },
            Damage::Row { table: 2, row: 0 },
        ];
        let steps = |connection: &Connection| -> i64 {
            connection.query_row("SELECT count(*) FROM hydra_steps", [], |row| row.get(0)).unwrap()
        };
        let steps_before = steps(&Connection::open(&path).unwrap());
        for damage in damages {
            damage.inflict(&path).unwrap();
        }
        let connection = Connection::open(&path).unwrap();
        let read = |sql| connection.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap();
        assert_eq!(
            read("SELECT CAST(settled AS TEXT) FROM hydra_executions ORDER BY seq LIMIT 1 OFFSET 3").as_deref(),
            Some("no number")
        );
        assert_eq!(read("SELECT status FROM hydra_executions ORDER BY seq LIMIT 1 OFFSET 4"), None);
        assert_eq!(steps(&connection), steps_before - 1);
        assert_eq!(schema(&connection), before, "the schema is what it was");
    }
}
