//! Statements in a few words.

/// The longest readable part of a statement's name.
const WORDS_MAX: usize = 40;

/// A statement in a few words, and a number that tells it from others: `update-workflow_status-3fa2`. The end of a
/// transaction is named after what was done in it.
pub fn describe(sql: &[u8], before: Option<&str>) -> String {
    let sql = String::from_utf8_lossy(sql).to_lowercase();
    let words = || sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    // What a common table expression is for stands behind it.
    let does = words().find(|word| matches!(*word, "insert" | "update" | "delete"));
    let verb = match words().next().unwrap_or("nothing") {
        "with" => does.unwrap_or("select"),
        verb => verb,
    };
    if matches!(verb, "commit" | "rollback" | "end") {
        let last = before.map_or("", |before| before.rsplit('-').next().unwrap_or_default());
        return format!("{verb}-after-{last}");
    }
    let before_table = if verb == "insert" {
        "into"
    } else if verb == "update" {
        "update"
    } else {
        "from"
    };
    let behind = |bracket: &'static str| {
        let is_it = move |word: &&str| word.trim_start_matches(bracket) == before_table;
        sql.split_whitespace().skip_while(move |word| !is_it(word)).nth(1)
    };
    // The last part of `schema.table` is what tells.
    let parts =
        |name: &'_ str| name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect();
    let parts: Vec<String> = behind("").or_else(|| behind("(")).map(parts).unwrap_or_default();
    let table = parts.iter().rfind(|part| !part.is_empty());
    let named = table.map_or(verb.to_owned(), |table| format!("{verb}-{table}"));
    let named: String = named.chars().take(WORDS_MAX).collect();
    format!("{named}-{:04x}", number(&sql))
}

/// FNV-1a over the statement without its digits and quoted values, folded to 16 bits.
fn number(sql: &str) -> u16 {
    let mut quoted = false;
    let mut hash: u32 = 0x811c_9dc5;
    for byte in sql.bytes() {
        quoted ^= byte == b'\'';
        if !quoted && !byte.is_ascii_digit() {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    (hash ^ (hash >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn tables_are_named() {
        let begins = |sql: &str, name: &str| {
            let found = describe(sql.as_bytes(), None);
            assert!(found.starts_with(name), "{found}");
        };
        begins("SELECT a, b FROM \"openworkflow\".\"step_attempts\" WHERE x", "select-step_attempts-");
        begins("INSERT INTO dbos.operation_outputs (a) VALUES ($1)", "insert-operation_outputs-");
        begins("UPDATE dbos.workflow_status SET x=$1", "update-workflow_status-");
        begins("BEGIN", "begin-");
        begins("WITH a AS (SELECT 1 FROM b) INSERT INTO s.\"c\" (x) SELECT 1 FROM a", "insert-c-");
        begins("WITH a AS (UPDATE s.c SET x = 1 RETURNING 1) SELECT f() FROM a", "update-c-");
        begins("-- ping", "ping-");
    }
}
