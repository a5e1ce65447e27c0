//! What is taken back is as it was, indexes and all.

use std::collections::BTreeMap;
use std::sync::Arc;

use hydra_protocol::{Ending, Epoch, Execution, Kind, Status, Step, StepState, Time};

use super::{ExecutionRecord, StepRecord, Tables};
use crate::store::{ExecutionId, LeaseView};

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn execution(id: &str, status: Status) -> ExecutionRecord {
    ExecutionRecord {
        id: ExecutionId { namespace: "default".into(), id: id.into() },
        workflow: "w".into(),
        row: Execution { status, epoch: Epoch(0), settled: 0, replays: 0, replays_max: 3, deadline: Some(ms(900)) },
        worker: None,
        input: Arc::from(*b"1"),
        output: None,
        error: None,
        started_at: ms(1),
        ended_at: None,
    }
}

fn ready(at: u64) -> Status {
    Status::Ready { due_at: ms(at) }
}

fn step(attempt: u32) -> StepRecord {
    let row = Step { kind: Kind::Keyed, epoch: Epoch(1), attempt, attempts_max: 3, state: StepState::Running };
    StepRecord { name: "s".into(), row, input: None, output: None, error: None, begun_at: ms(1), settled_at: None }
}

fn lease() -> LeaseView {
    LeaseView { epoch: Epoch(1), worker: "a".into(), claimed_at: ms(1), ended_at: None }
}

/// All that can be read.
fn look(tables: &Tables) -> String {
    let ids: BTreeMap<_, _> = tables.ids().iter().map(|(id, key)| (id.to_string(), key)).collect();
    let rows = (tables.executions(), tables.steps(), tables.leases());
    format!("{rows:?} {ids:?} {:?} {:?} {:?}", tables.due(), tables.deadlines(), tables.journal())
}

#[test]
fn what_was_written_since_is_taken_back_and_what_was_before_stays() {
    let mut tables = Tables::default();
    tables.keep_journal(b"origin".to_vec());
    tables.put_execution(1, execution("a", ready(10)));
    tables.put_step((1, 1), step(1));
    tables.forget_undo();
    let at_first = look(&tables);

    tables.put_execution(1, execution("a", ready(20)));
    tables.put_execution(2, execution("b", ready(30)));
    tables.put_step((1, 1), step(2));
    tables.put_step((1, 2), step(1));
    tables.put_lease((1, 1), lease());
    tables.put_entry(b"entry".to_vec());
    let (mark, at_mark) = (tables.mark(), look(&tables));

    tables.put_execution(3, execution("c", ready(40)));
    tables.put_execution(2, execution("b", Status::Ended(Ending::Cancelled)));
    tables.put_lease((1, 1), LeaseView { ended_at: Some(ms(9)), ..lease() });
    tables.put_entry(b"another".to_vec());
    tables.remove_execution(1);
    assert_ne!(look(&tables), at_mark);
    tables.undo_to(mark);
    assert_eq!(look(&tables), at_mark);
    tables.undo_to(0);
    assert_eq!(look(&tables), at_first);
}

#[test]
fn the_indexes_hold_what_is_open_and_nothing_else() {
    let mut tables = Tables::default();
    tables.put_execution(1, execution("a", ready(10)));
    tables.put_execution(1, execution("a", ready(20)));
    assert_eq!(tables.due().iter().map(|(_, _, due_at, key)| (*due_at, *key)).collect::<Vec<_>>(), [(ms(20), 1)]);
    let deadline = ("default".to_owned(), ms(900), 1);
    assert_eq!(tables.deadlines().iter().collect::<Vec<_>>(), [&deadline]);
    tables.put_execution(1, execution("a", Status::Ended(Ending::Cancelled)));
    assert!(tables.due().is_empty() && tables.deadlines().is_empty(), "{}", look(&tables));
    assert_eq!(tables.ids().len(), 1);
}
