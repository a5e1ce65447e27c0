//! The law of the rows as the first schema wrote it, check by check, and as the engine's newest one has it.

use hydra_engine::store::PostgresStore;

use crate::harness::server::{database, sql};

const FIRST_SCHEMA: &str = include_str!("../../src/store/postgres/schema.sql");

/// Rows of a table: every value that its law tells apart, of every column, with every one of the others.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

const TABLES: [Table; 2] = [
    Table {
        name: "executions",
        columns: &[
            ("namespace", "'d'"),
            ("id", "'x'"),
            ("workflow", "'w'"),
            ("status", "'ready', 'leased', 'succeeded', 'failed', 'cancelled', 'gone'"),
            ("due_at", "NULL, -1, 0, 5"),
            ("epoch", "0, 1"),
            ("settled", "0, 1"),
            ("replays", "-1, 0, 1, 2"),
            ("replays_max", "1, 2"),
            ("deadline", "NULL, -1, 3, 5"),
            (
                "failure",
                "NULL, 'workflow', 'panicked', 'nondeterministic', 'undecodable', 'unencodable', 'deadline_exceeded', \
                 'replays_exhausted', 'gone'",
            ),
            ("ended_at", "NULL, 1"),
        ],
    },
    Table {
        name: "steps",
        columns: &[
            ("step", "1"),
            ("kind", "'transactional', 'keyed', 'at_most_once', 'timer', 'gone'"),
            ("epoch", "1"),
            ("attempt", "-1, 0, 1, 2"),
            ("attempts_max", "0, 1, 2"),
            (
                "state",
                "'running', 'waiting', 'sleeping', 'abandoned', 'succeeded', 'failed', 'unencodable', 'in_doubt', \
                 'fired', 'gone'",
            ),
            ("due_at", "NULL, -1, 0"),
            ("ord", "NULL, 0, 1"),
            ("cause", "NULL, 'final', 'exhausted', 'crashed', 'gone'"),
            ("settled_at", "NULL, 1"),
            ("output", "NULL, ''::bytea"),
        ],
    },
];

/// Values at the ends of what a column may hold: of the table by its number, in place of the column's own.
const ENDS: [(usize, &str, &str); 10] = [
    (0, "namespace", "''"),
    (0, "id", "''"),
    (0, "workflow", "''"),
    (0, "epoch", "-1, 4294967295, 4294967296"),
    (0, "settled", "-1, 4294967295, 4294967296"),
    (0, "replays_max", "-1, 0, 4294967295, 4294967296"),
    (1, "step", "-1, 0, 4294967295, 4294967296"),
    (1, "epoch", "0, 4294967295, 4294967296"),
    (1, "attempts_max", "4294967295, 4294967296"),
    (1, "ord", "4294967295, 4294967296"),
];

impl Table {
    /// The checks of the table as they stand.
    fn checks(&self, url: &str) -> Vec<String> {
        let checks = format!(
            "SELECT replace(pg_get_expr(conbin, conrelid), chr(10), ' ') FROM pg_constraint \
             WHERE contype = 'c' AND conrelid = 'hydra.{}'::regclass ORDER BY conname",
            self.name
        );
        sql(url, &[&checks]).lines().map(str::to_owned).collect()
    }

    /// All rows, or those with one column's values exchanged.
    fn rows(&self, exchanged: Option<(&str, &str)>) -> String {
        let columns = self.columns.iter().map(|(column, values)| {
            let values = exchanged.filter(|(name, _)| name == column).map_or(*values, |(_, values)| values);
            let values: Vec<_> = values.split(", ").map(|value| format!("({value})")).collect();
            format!("(VALUES {}) AS of_{column} ({column})", values.join(", "))
        });
        format!("SELECT * FROM {}", columns.collect::<Vec<_>>().join(" CROSS JOIN "))
    }
}

/// How many rows there are, how many keep the checks, on how many the two laws differ; and of each check, how many break
/// it and no other.
fn compare(url: &str, rows: &str, before: &[String], after: &[String]) -> (u64, u64, u64, Vec<u64>) {
    let join = |parts: Vec<String>, between: &str| parts.join(between);
    let broken = before.iter().enumerate().map(|(at, check)| format!("(({check}) IS FALSE)::int AS b{at}")).collect();
    let count = join((0..before.len()).map(|at| format!("b{at}")).collect(), " + ");
    let alone = (0..before.len()).map(|at| format!("count(*) FILTER (WHERE broken = 1 AND b{at} = 1)")).collect();
    let lawful = join(after.iter().map(|check| format!("({check}) IS NOT FALSE")).collect(), " AND ");
    let query = format!(
        "WITH judged AS MATERIALIZED (SELECT {}, {lawful} AS lawful FROM ({rows}) AS rows), \
         counted AS MATERIALIZED (SELECT *, {count} AS broken FROM judged) \
         SELECT count(*), count(*) FILTER (WHERE lawful), count(*) FILTER (WHERE lawful <> (broken = 0)), {} \
         FROM counted",
        join(broken, ", "),
        join(alone, ", ")
    );
    let counts = sql(url, &[&query]);
    let mut counts = counts.split('|').map(|count| count.parse::<u64>().unwrap());
    let [all, lawful, differ] = std::array::from_fn(|_| counts.next().unwrap());
    (all, lawful, differ, counts.collect())
}

#[test]
fn a_first_schema_is_brought_to_the_newest_and_its_law_stays_the_same() {
    let url = database();
    sql(&url, &["CREATE SCHEMA hydra", FIRST_SCHEMA, "CREATE TABLE hydra.meta AS SELECT 1::bigint AS version"]);
    let before = TABLES.each_ref().map(|table| table.checks(&url));
    let start = "INSERT INTO hydra.executions (namespace, id, workflow, status, due_at, epoch, settled, replays, \
                 replays_max, started_at) VALUES ('default', 'o-1', 'w', 'ready', 1, 0, 0, 0, 5, 1)";
    sql(&url, &[start]);
    drop(PostgresStore::open(&url).unwrap());
    assert_eq!(sql(&url, &["SELECT id FROM hydra.executions"]), "o-1");

    for (number, table) in TABLES.iter().enumerate() {
        let (before, after) = (&before[number], table.checks(&url));
        let (all, lawful, differ, mut alone) = compare(&url, &table.rows(None), before, &after);
        assert!(all > 20_000 && lawful > 20 && lawful < all / 2, "{}: {lawful} of {all}", table.name);
        assert_eq!(differ, 0, "{}", table.name);
        for (_, column, values) in ENDS.iter().filter(|(of, ..)| *of == number) {
            let (_, _, differ, more) = compare(&url, &table.rows(Some((column, values))), before, &after);
            assert_eq!(differ, 0, "{column}: {values}");
            alone.iter_mut().zip(more).for_each(|(alone, more)| *alone += more);
        }
        // A law that had lost any one of them would have been seen to differ.
        for (check, alone) in before.iter().zip(alone) {
            assert!(alone > 0, "no row breaks this and nothing else: {check}");
        }
    }
    // The tables do ask it.
    for broken in ["SET due_at = NULL", "SET settled = 1", "SET status = 'gone'"] {
        let refused = format!(
            "DO $$ BEGIN UPDATE hydra.executions {broken}; RAISE 'taken'; EXCEPTION WHEN check_violation THEN END $$"
        );
        sql(&url, &[&refused]);
    }
}
