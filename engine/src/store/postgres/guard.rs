//! Statements of the user's own that may run in a step's transaction, by their text: they do not end it, do not change
//! its settings, and do not name the engine's schema.
//!
//! This keeps out mistakes. Whoever wants to can hide a name from it, in a function of the database for example; a role
//! without rights on the schema keeps that out as well: see [`super::PostgresOptions::body_role`].

use crate::store::StoreError;

/// What a statement may begin with.
const BEGINNINGS: &[&str] = &[
    "select", "insert", "update", "delete", "merge", "with", "values", "table", "create", "alter", "drop", "truncate",
    "comment",
];
/// Names that no statement may use: the engine's schema, and what changes settings.
const NAMES: &[&str] = &["hydra", "set_config"];

/// Whether the statement may run.
pub fn check(sql: &str) -> Result<(), StoreError> {
    let refused = |what: String| {
        Err(StoreError::Refused(format!(
            "a step's body may not end its transaction, change its settings or use schema `hydra`: {what}"
        )))
    };
    let mut words = Words { rest: sql };
    let first = words.next().map(|word| word.text).unwrap_or_default();
    if !BEGINNINGS.contains(&first.as_str()) {
        return refused(format!("a statement that begins with `{first}`"));
    }
    for word in words {
        if word.escaped {
            return refused("a name with escapes (U&)".into());
        }
        if NAMES.contains(&word.text.as_str()) {
            return refused(format!("`{}`", word.text));
        }
    }
    Ok(())
}

/// A name or a keyword, as PostgreSQL reads it: without quotes, and in lower case unless it had some.
struct Word {
    text: String,
    escaped: bool,
}

/// The words of a statement, without its literals and comments.
struct Words<'a> {
    rest: &'a str,
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        loop {
            let first = self.rest.chars().next()?;
            let lower = self.rest.get(..2).unwrap_or_default().to_ascii_lowercase();
            match (first, lower.as_str()) {
                (_, "--") => self.skip_past("\n"),
                (_, "/*") => self.skip_comment(),
                (_, "e'") => self.skip_quoted(2, '\'', true),
                ('\'', _) => self.skip_quoted(1, '\'', false),
                ('$', _) if self.skip_dollar_quoted() => {}
                ('"', _) => {
                    let name = self.quoted_name();
                    return Some(Word { text: name, escaped: false });
                }
                (_, "u&") if self.rest[2..].starts_with('"') => {
                    self.rest = &self.rest[2..];
                    let name = self.quoted_name();
                    return Some(Word { text: name, escaped: true });
                }
                _ if is_word_start(first) => {
                    let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                    let text = self.rest[..end].to_lowercase();
                    self.rest = &self.rest[end..];
                    return Some(Word { text, escaped: false });
                }
                // A number swallows the letters behind it, as the server's does not; they name nothing.
                _ => self.rest = &self.rest[first.len_utf8()..],
            }
        }
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

impl Words<'_> {
    fn skip_past(&mut self, end: &str) {
        self.rest = self.rest.find(end).map_or("", |at| &self.rest[at + end.len()..]);
    }

    /// Comments nest.
    fn skip_comment(&mut self) {
        let mut depth = 0;
        loop {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.rest = &self.rest[2..];
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.rest = &self.rest[2..];
            } else if let Some(c) = self.rest.chars().next() {
                self.rest = &self.rest[c.len_utf8()..];
            } else {
                return;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A literal whose quotes are doubled, or escaped by backslashes.
    fn skip_quoted(&mut self, open: usize, quote: char, backslashes: bool) {
        let mut chars = self.rest[open..].char_indices();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && backslashes {
                chars.next();
            } else if c == quote {
                // A doubled one begins the next literal, which is skipped as well.
                self.rest = &self.rest[open + at + quote.len_utf8()..];
                return;
            }
        }
        self.rest = "";
    }

    /// `$tag$ ... $tag$`. False if it is a parameter.
    fn skip_dollar_quoted(&mut self) -> bool {
        let Some(end) = self.rest[1..].find('$') else { return false };
        let tag = &self.rest[..end + 2];
        let inner = &tag[1..=end];
        if inner.starts_with(|c: char| c.is_ascii_digit()) || !inner.chars().all(|c| is_word(c) && c != '$') {
            return false;
        }
        let after = &self.rest[tag.len()..];
        self.rest = after.find(tag).map_or("", |at| &after[at + tag.len()..]);
        true
    }

    fn quoted_name(&mut self) -> String {
        let mut name = String::new();
        let mut chars = self.rest[1..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '"' {
                name.push(c);
            } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
                chars.next();
                name.push('"');
            } else {
                self.rest = &self.rest[at + 2..];
                return name;
            }
        }
        self.rest = "";
        name
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_ends_the_transaction_or_names_the_schema_is_refused() {
        for sql in [
            "",
            "COMMIT",
            "  /* a /* nested */ comment */ rollback",
            "-- select\nend",
            "set role x",
            "DO $$ BEGIN COMMIT; END $$",
            "call p()",
            "copy x to stdout",
            "SELECT * FROM hydra.steps",
            "select 1 from HYDRA . steps",
            "select 1 from \"hydra\".steps",
            "select 1 from U&\"\\0068ydra\".steps",
            "select 'it''s', * from hydra.steps",
            "select E'\\'', * from hydra.steps --'",
            "select $a$ ' $a$, * from hydra.steps",
            "select $1, * from hydra.steps where x = $2",
            "select set_config('search_path', 'x', false)",
            "with x as (delete from hydra.steps returning 1) select * from x",
            "create table x (y int) -- '\n; drop schema hydra",
        ] {
            assert!(check(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn what_is_the_users_own_may_run() {
        for sql in [
            "SELECT 'hydra.steps'",
            "select $$hydra$$, $1, $tag$ hydra $tag$",
            "insert into hydrant values ($1) -- hydra",
            "update account set \"hydra \" = 1 /* hydra */",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "select E'hydra \\' hydra', 'a''hydra'",
            "create index on mine (commit)",
        ] {
            assert_eq!(check(sql), Ok(()), "{sql}");
        }
    }
}
