//! What must be true of a store's file, given what the outside knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hydra_engine::protocol::{Ending, Kind, Outcome, Status, invariants};
use hydra_engine::store::{
    ExecutionId, ExecutionView, Inline, ListFilter, SqliteOptions, StepView, Store, StoreOptions, Synchronous,
};

use crate::process::outside::Note;
use crate::process::tour::{AT_MOST_ONCE, Done, KEYED, REST, TRANSACTIONAL};
use crate::stage::Verdict;

/// An execution as it is on record.
struct Recorded {
    view: ExecutionView,
    steps: BTreeMap<String, StepView>,
    /// Rows that transactional steps wrote, by step.
    bookings: BTreeMap<String, u32>,
}

impl Recorded {
    fn outcome(&self, step: &str) -> Option<Outcome> {
        Some(self.steps.get(step)?.step.row.settled()?.1)
    }
}

/// The engine opens the file, and no promise to the outside is broken: all that it was told is on record, and nothing
/// contradicts itself or is half done.
pub fn is_sound(file: &Path, notes: &[Note]) -> Verdict {
    let recorded = read(file)?;
    for (id, execution) in &recorded {
        for step in TRANSACTIONAL {
            let (rows, done) = (execution.bookings.get(step).copied().unwrap_or(0), execution.outcome(step));
            expect(&format!("{id}: rows that {step} wrote"), rows, u32::from(done == Some(Outcome::Succeeded)))?;
        }
    }
    let the = |id: &String| recorded.get(id).ok_or(format!("{id}: it was told that it is started, and is not there"));
    for note in notes {
        match note {
            Note::Started { id } => drop(the(id)?),
            Note::Effect { id, step, attempt, .. } => {
                let known = the(id)?.steps.get(step).map_or(0, |step| step.step.row.attempt);
                if known < *attempt {
                    return Err(format!("{id}: {step} had an effect in attempt {attempt}, and {known} are on record"));
                }
            }
            Note::Saw { id, step, what } => {
                let found = the(id)?.steps.get(step).and_then(|step| text(step.step.value.as_deref()));
                expect(&format!("{id}: what {step} told the workflow"), found.as_ref(), Some(what))?;
            }
            Note::Ended { id, output } => {
                let execution = the(id)?;
                expect(&format!("{id}: status"), execution.view.row.status, Status::Ended(Ending::Succeeded))?;
                let found = text(execution.view.output.as_deref());
                expect(&format!("{id}: what a client was told"), found.as_ref(), Some(output))?;
            }
            Note::Trouble { .. } => {}
        }
    }
    effects_are_right(&recorded, notes)
}

/// All is sound, and every execution has come to its end, as promised.
pub fn has_ended(file: &Path, notes: &[Note], ids: &[String]) -> Verdict {
    is_sound(file, notes)?;
    let recorded = read(file)?;
    let found: Vec<_> = recorded.keys().cloned().collect();
    let mut wanted = ids.to_vec();
    wanted.sort_unstable();
    expect("executions", &found, &wanted)?;
    for (id, execution) in &recorded {
        expect(&format!("{id}: status"), execution.view.row.status, Status::Ended(Ending::Succeeded))?;
        let done: Done = serde_json::from_slice(execution.view.output.as_deref().unwrap_or_default())
            .map_err(|error| format!("{id}: its output cannot be read: {error}"))?;
        let told = |step: &str| {
            notes.iter().any(|note| matches!(note, Note::Effect { id: of, step: by, .. } if of == id && by == step))
        };
        for step in KEYED {
            expect(&format!("{id}: {step} had its effect"), told(step), true)?;
        }
        for step in TRANSACTIONAL {
            expect(&format!("{id}: {step}"), execution.outcome(step), Some(Outcome::Succeeded))?;
        }
        match done.mailed {
            Some(mailed) => expect(&format!("{id}: mailed"), (mailed, told(AT_MOST_ONCE)), (true, true))?,
            None => expect(&format!("{id}: the mail"), execution.outcome(AT_MOST_ONCE), Some(Outcome::InDoubt))?,
        }
        let rest = &execution.steps["sleep"];
        let rested = rest.settled_at.unwrap_or_default().since(rest.begun_at).as_millis();
        if u128::from(rested) < REST.as_millis() {
            return Err(format!("{id}: slept for {rested} ms"));
        }
    }
    Ok(())
}

/// Effects outside, as each kind promises them.
fn effects_are_right(recorded: &BTreeMap<String, Recorded>, notes: &[Note]) -> Verdict {
    let (mut keys, mut attempts) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeSet::new());
    for note in notes {
        if let Note::Effect { id, step, attempt, key } = note {
            keys.entry((id, step)).or_default().insert(key);
            if !attempts.insert((id, step, attempt)) {
                return Err(format!("{id}: the body of {step} ran twice in attempt {attempt}"));
            }
            if step == AT_MOST_ONCE && attempts.range((id, step, &0)..=(id, step, &u32::MAX)).count() > 1 {
                return Err(format!("{id}: {step} was done twice"));
            }
        }
    }
    for ((id, step), keys) in &keys {
        expect(&format!("{id}: keys of {step}"), keys.len(), 1)?;
    }
    let all: Vec<_> = keys.values().flatten().collect();
    expect("keys of different steps", all.iter().collect::<BTreeSet<_>>().len(), all.len())?;
    // An effect that did not happen is never called done.
    for (id, execution) in recorded {
        for step in KEYED.into_iter().chain([AT_MOST_ONCE]) {
            let happened = keys.contains_key(&(id, &step.to_owned()));
            if execution.outcome(step) == Some(Outcome::Succeeded) && !happened {
                return Err(format!("{id}: {step} succeeded, and had no effect"));
            }
        }
    }
    Ok(())
}

/// Opens the file as an engine does, and reads everything in it. Rows that cannot be are an error.
fn read(file: &Path) -> Result<BTreeMap<String, Recorded>, String> {
    let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::at(file) };
    let backend = options.open_backend().map_err(|error| format!("the engine cannot open the file: {error}"))?;
    let store = Inline::over(backend, StoreOptions::default());
    let sql = rusqlite::Connection::open(file).map_err(|error| error.to_string())?;
    let health: String = sql
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| format!("the file is corrupt: {error}"))?;
    expect("integrity", health.as_str(), "ok")?;
    let orphans = sql.prepare("PRAGMA foreign_key_check").and_then(|mut check| check.exists([]));
    expect("rows without the row they belong to", orphans, Ok(false))?;
    futures::executor::block_on(async {
        let filter = ListFilter { limit: 100_000, ..ListFilter::default() };
        let views = store.list(filter).await.map_err(|error| error.to_string())?;
        let mut recorded = BTreeMap::new();
        for view in views {
            let ExecutionId { id, .. } = view.id.clone();
            let history = store.history(view.key).await.map_err(|error| error.to_string())?;
            let steps: BTreeMap<_, _> =
                history.steps.into_iter().map(|step| (step.step.name.to_string(), step)).collect();
            is_consistent(&view, &steps).map_err(|why| format!("{id}: {why}"))?;
            let bookings = bookings(&sql, &id).map_err(|error| error.to_string())?;
            recorded.insert(id, Recorded { view, steps, bookings });
        }
        Ok(recorded)
    })
}

/// The invariants of rows, over everything at once.
fn is_consistent(view: &ExecutionView, steps: &BTreeMap<String, StepView>) -> Verdict {
    let execution = &view.row;
    invariants::check_execution(execution).map_err(|broken| format!("{broken:?}"))?;
    let mut orders: Vec<_> = steps.values().filter_map(|step| Some(step.step.row.settled()?.0)).collect();
    orders.sort_unstable();
    invariants::check_orders(execution, orders.into_iter()).map_err(|broken| format!("{broken:?}"))?;
    for step in steps.values() {
        let row = &step.step.row;
        invariants::check_step(execution, row).map_err(|broken| format!("{broken:?}"))?;
        let has_value = step.step.value.is_some();
        let succeeded = row.settled().is_some_and(|(_, outcome)| outcome == Outcome::Succeeded);
        if has_value != succeeded && row.kind != Kind::Timer {
            return Err(format!("{} has a value: {has_value}, and has succeeded: {succeeded}", step.step.name));
        }
    }
    Ok(())
}

fn bookings(sql: &rusqlite::Connection, id: &str) -> rusqlite::Result<BTreeMap<String, u32>> {
    // Made by the process's first statement, so it may not be there yet.
    if !sql.table_exists(None, "bookings")? {
        return Ok(BTreeMap::new());
    }
    let mut count = sql.prepare("select step, count(*) from bookings where id = ?1 group by step")?;
    count.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    String::from_utf8(bytes?.to_vec()).ok()
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, right: T) -> Verdict {
    if seen == right { Ok(()) } else { Err(format!("{what}: {seen:?}, and not {right:?}")) }
}
