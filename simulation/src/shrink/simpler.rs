//! Simpler forms of one event and of one program. Each is strictly smaller than what it comes from.

use hydra_schedule::{Action, Boundary, ClientAct, Direction, Event, Fault, Name, Target, WorkerAct};

use crate::workload::{Ends, Item, Program, Race, Sleep, Step, StepKind};

/// The execution that an event names.
pub(super) fn execution(event: &Event) -> Option<&Name> {
    match &event.action {
        Action::Worker { act, .. } => match act {
            WorkerAct::Claims(execution)
            | WorkerAct::Releases(execution)
            | WorkerAct::Finishes { execution, .. }
            | WorkerAct::Asks(execution)
            | WorkerAct::Abandons(execution) => Some(execution),
            WorkerAct::Begins { step, .. }
            | WorkerAct::Runs(step)
            | WorkerAct::Settles { step, .. }
            | WorkerAct::Replays(step)
            | WorkerAct::Sleeps(step)
            | WorkerAct::Fires(step) => Some(&step.execution),
            WorkerAct::Beats | WorkerAct::Stops => None,
        },
        Action::Client(act) => Some(match act {
            ClientAct::Starts { execution, .. }
            | ClientAct::Cancels(execution)
            | ClientAct::Retries(execution)
            | ClientAct::Looks(execution)
            | ClientAct::Awaits(execution) => execution,
        }),
        Action::TimePasses { execution } | Action::StoreExpires { execution } => Some(execution),
        Action::Fault { fault: Fault::Encode(step) | Fault::Decode(step), .. } => Some(&step.execution),
        Action::Fault { .. } => None,
    }
}

/// Numbers up to this are counted down one by one.
const SMALL: u64 = 16;

/// Numbers that are tried in place of one: small ones first, so that few tries suffice.
fn smaller(value: u64) -> Vec<u64> {
    let mut all = vec![0, value / 8, value / 2, value.saturating_sub(1).min(SMALL)];
    all.retain(|candidate| *candidate < value);
    all.sort_unstable();
    all.dedup();
    all
}

/// Simpler forms of an event, the simplest first.
pub(super) fn events(event: &Event) -> Vec<Event> {
    let mut all = Vec::new();
    // The sooner it comes, the less has happened before it.
    let sooner = smaller(event.at_ms.unwrap_or(0)).into_iter();
    all.extend(sooner.map(|at_ms| Event { at_ms: Some(at_ms), ..event.clone() }));
    let Action::Fault { fault, on } = &event.action else {
        return all;
    };
    if let Some(boundary) = on {
        for nth in smaller(u64::from(boundary.nth)).into_iter().filter(|nth| *nth > 0) {
            let on = Some(Boundary { nth: nth as u32, ..boundary.clone() });
            all.push(Event { action: Action::Fault { fault: fault.clone(), on }, ..event.clone() });
        }
    }
    let mut form = |fault: Fault| all.push(Event { action: Action::Fault { fault, on: on.clone() }, ..event.clone() });
    match fault {
        Fault::Pause { worker, for_ms } => {
            for for_ms in smaller(*for_ms) {
                form(Fault::Pause { worker: worker.clone(), for_ms });
            }
        }
        Fault::Clock { worker, by_ms } => {
            for size in smaller(by_ms.unsigned_abs()) {
                let by_ms = by_ms.signum() * i64::try_from(size).unwrap_or(0);
                form(Fault::Clock { worker: worker.clone(), by_ms });
            }
        }
        Fault::StoreClock { by_ms } => {
            for size in smaller(by_ms.unsigned_abs()) {
                form(Fault::StoreClock { by_ms: by_ms.signum() * i64::try_from(size).unwrap_or(0) });
            }
        }
        Fault::SlowStore { by_ms } => {
            for by_ms in smaller(*by_ms) {
                form(Fault::SlowStore { by_ms });
            }
        }
        Fault::Partition { target, direction } => {
            if let Target::Workers(workers) = target
                && workers.len() > 1
            {
                for worker in workers {
                    form(Fault::Partition { target: Target::Workers(vec![worker.clone()]), direction: *direction });
                }
            }
            // A one-way partition is the subtler one: the plain one is tried in its place.
            if *direction != Direction::Both {
                form(Fault::Partition { target: target.clone(), direction: Direction::Both });
            }
        }
        Fault::Crash(_)
        | Fault::Restart(_)
        | Fault::DisconnectBefore(_)
        | Fault::ReplyLost(_)
        | Fault::ReplyLate(_)
        | Fault::Duplicate(_)
        | Fault::Heal(_)
        | Fault::Resume(_)
        | Fault::Drift { .. }
        | Fault::StoreDrift { .. }
        | Fault::StoreRestart
        | Fault::Encode(_)
        | Fault::Decode(_)
        | Fault::CallFails { .. } => {}
    }
    all
}

/// Simpler forms of a program, the largest cuts first.
pub(super) fn programs(program: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    if program.body.len() > 1 {
        for index in (0..program.body.len()).rev() {
            let mut simpler = program.clone();
            simpler.body.remove(index);
            all.push(simpler);
        }
    }
    for (index, item) in program.body.iter().enumerate() {
        for simpler_item in items(item) {
            let mut simpler = program.clone();
            simpler.body[index] = simpler_item;
            all.push(simpler);
        }
    }
    if !program.starts_again.is_empty() {
        all.push(Program { starts_again: program.starts_again[1..].to_vec(), ..program.clone() });
    }
    if program.cancel_at_ms.is_some() {
        all.push(Program { cancel_at_ms: None, ..program.clone() });
    }
    if program.deadline_ms.is_some() {
        all.push(Program { deadline_ms: None, ..program.clone() });
    }
    all.extend(smaller(program.delay_ms).into_iter().map(|delay_ms| Program { delay_ms, ..program.clone() }));
    all.extend(smaller(program.start_at_ms).into_iter().map(|start_at_ms| Program { start_at_ms, ..program.clone() }));
    all
}

fn items(item: &Item) -> Vec<Item> {
    match item {
        Item::Sleep(sleep) => {
            let shorter = |ms| Item::Sleep(Sleep { ms, ..sleep.clone() });
            smaller(sleep.ms).into_iter().map(shorter).collect()
        }
        Item::Step(step) => steps(step).into_iter().map(Item::Step).collect(),
        Item::Parallel(group) => {
            let mut all: Vec<Item> = group.iter().cloned().map(Item::Step).collect();
            for (index, step) in group.iter().enumerate() {
                if group.len() > 2 {
                    let mut fewer = group.clone();
                    fewer.remove(index);
                    all.push(Item::Parallel(fewer));
                }
                for simpler in steps(step) {
                    let mut changed = group.clone();
                    changed[index] = simpler;
                    all.push(Item::Parallel(changed));
                }
            }
            all
        }
        Item::Race(race) => races(race),
    }
}

/// One of its runners alone, then all of them with none racing, then one less, then simpler ones.
fn races(race: &Race) -> Vec<Item> {
    let mut all: Vec<Item> = race.steps.iter().cloned().map(Item::Step).collect();
    all.extend(race.sleep.clone().map(Item::Sleep));
    if race.steps.len() > 1 {
        all.push(Item::Parallel(race.steps.clone()));
        all.extend(race.sleep.is_some().then(|| Item::Race(Race { sleep: None, ..race.clone() })));
    }
    for (index, step) in race.steps.iter().enumerate() {
        if race.steps.len() > 1 {
            let mut fewer = race.clone();
            fewer.steps.remove(index);
            all.push(Item::Race(fewer));
        }
        for simpler in steps(step) {
            let mut changed = race.clone();
            changed.steps[index] = simpler;
            all.push(Item::Race(changed));
        }
    }
    if let Some(sleep) = &race.sleep {
        let shorter = |ms| Item::Race(Race { sleep: Some(Sleep { ms, ..sleep.clone() }), ..race.clone() });
        all.extend(smaller(sleep.ms).into_iter().map(shorter));
    }
    all
}

fn steps(step: &Step) -> Vec<Step> {
    let mut all = Vec::new();
    if step.ends != Ends::Succeeds {
        all.push(Step { ends: Ends::Succeeds, ..step.clone() });
    }
    if let Ends::Fails { times } = step.ends
        && times > 1
    {
        all.push(Step { ends: Ends::Fails { times: times - 1 }, ..step.clone() });
    }
    if step.caught {
        all.push(Step { caught: false, ..step.clone() });
    }
    if step.kind != StepKind::Keyed {
        all.push(Step { kind: StepKind::Keyed, ..step.clone() });
    }
    let attempts_max = step.attempts_max.map_or(0, u64::from);
    all.extend(
        smaller(attempts_max)
            .into_iter()
            .filter(|fewer| *fewer > 0)
            .map(|fewer| Step { attempts_max: Some(fewer as u32), ..step.clone() }),
    );
    all.extend(smaller(step.lasts_ms).into_iter().map(|lasts_ms| Step { lasts_ms, ..step.clone() }));
    all
}
