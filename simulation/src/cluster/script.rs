//! Schedules that say everything: who does what next, action by action, as the model checker writes them.
//!
//! Nothing arrives by the clock here. Each line is matched with the event that it names (a request that is under way, a
//! body that runs, a timer that is due), and that event happens. A worker's lease guard sleeps meanwhile: the script says
//! who lets go. After the last line everything is healed and time runs as usual, so that a lack of progress shows too.

use hydra_protocol::worker::{drive, step};
use hydra_protocol::{Command, Protocol};
use hydra_schedule::{Action, Event as Line, Name, StepName, StepOutcome, WorkerAct};

use super::calls::Asker;
use super::program::Names;
use super::queue::Event;
use super::strike::{Strike, When, read_blow, worker_of};
use super::worker::Armed;
use super::{Cluster, Run};
use crate::workload::BodyEnd;

/// A line that cannot happen where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event}, \"{line}\": {why}")]
pub struct ScriptError {
    /// Which event of the schedule, from 1.
    pub event: usize,
    /// The line.
    pub line: String,
    /// Why not.
    pub why: String,
}

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// One run by a script. `run` has no strikes: the script's own lines are the faults.
    pub fn run_script(&mut self, run: Run<'_>, lines: &[Line]) -> Result<(), ScriptError> {
        let names = Names::of(run.workload);
        self.prepare(run);
        self.scripted = true;
        // Clients act when the script says so.
        while self.queue.take(|event| matches!(event, Event::Client(_) | Event::Heal)).is_some() {}
        self.acts_left = 0;
        for (index, line) in lines.iter().enumerate() {
            self.line(line, &lines[index + 1..], &names).map_err(|why| ScriptError {
                event: index + 1,
                line: line.to_string(),
                why,
            })?;
        }
        self.scripted = false;
        self.heal_all();
        for drive in 0..self.drives.len() {
            let there = &self.drives[drive];
            if there.live && there.begun && !there.ended {
                self.see_whether_idle(drive);
            }
        }
        while self.advance() {}
        Ok(())
    }

    fn line(&mut self, line: &Line, rest: &[Line], names: &Names) -> Result<(), String> {
        if let Some(at_ms) = line.at_ms {
            self.now_ms = self.now_ms.max(at_ms);
        }
        let count = self.workers.len() as u32;
        let execution = |name: &Name| names.execution(name).ok_or_else(|| format!("there is no execution {name}"));
        match &line.action {
            Action::Fault { .. } | Action::Client(_) => {
                let blow = read_blow(&line.action, names, count)?;
                let is_client = matches!(line.action, Action::Client(_));
                self.strikes.push(Strike { when: When::At(self.now_ms), blow });
                self.struck.push(false);
                self.acts_left += u32::from(is_client);
                self.strike(self.strikes.len() - 1);
                while let Some((_, Event::Client(act))) = self.queue.take(|event| matches!(event, Event::Client(_))) {
                    self.act(act as usize);
                }
                self.clients_are_answered();
                Ok(())
            }
            Action::TimePasses { execution: name } => {
                self.time_passes(execution(name)?);
                Ok(())
            }
            Action::StoreExpires { execution: name } => {
                let due = self.store.executions[execution(name)? as usize].and_then(|row| row.due_at());
                let due_ms = due.map_or(0, |due| self.store.when_ms(due));
                self.now_ms = self.now_ms.max(due_ms);
                Ok(())
            }
            Action::Worker { worker, act } => self.worker_acts(worker_of(worker, count)?, act, rest, names),
        }
    }

    /// Requests of clients are under way for no time.
    fn clients_are_answered(&mut self) {
        while let Some(event) =
            self.take_call(|cluster, call| matches!(cluster.calls[call].asker, Asker::Client { .. }))
        {
            self.happen(event);
        }
    }

    /// The next due time comes: of a step that a worker waits for, else of the execution.
    fn time_passes(&mut self, execution: u32) {
        let now = self.store.clock(self.now_ms);
        let steps = self.programs.programs[execution as usize].steps.clone();
        let waits = steps.filter_map(|step| self.store.steps[step as usize].row.and_then(|row| row.due_at()));
        let due = self.store.executions[execution as usize].and_then(|row| row.due_at());
        if let Some(next) = waits.filter(|due| *due > now).min().or(due) {
            self.now_ms = self.now_ms.max(self.store.when_ms(next));
        }
    }

    fn worker_acts(&mut self, worker: u8, act: &WorkerAct, rest: &[Line], names: &Names) -> Result<(), String> {
        let execution = |name: &Name| names.execution(name).ok_or_else(|| format!("there is no execution {name}"));
        let step_of = |name: &StepName| names.step(name).ok_or_else(|| format!("there is no step {name}"));
        match act {
            WorkerAct::Claims(name) => {
                let execution = execution(name)?;
                self.workers[usize::from(worker)].up = true;
                self.claim_only = Some(execution);
                self.send_poll(worker);
                self.delivered(|cluster, call| cluster.calls[call].asker == Asker::Poll { worker })?;
                self.claim_only = None;
                Ok(())
            }
            WorkerAct::Begins { step: name, .. } => {
                self.step_asks(worker, step_of(name)?, |command| matches!(command, Command::Begin { .. }))
            }
            WorkerAct::Settles { step: name, .. } => {
                self.step_asks(worker, step_of(name)?, |command| matches!(command, Command::Settle { .. }))
            }
            WorkerAct::Sleeps(name) => {
                self.step_asks(worker, step_of(name)?, |command| matches!(command, Command::Sleep { .. }))
            }
            WorkerAct::Fires(name) => {
                self.step_asks(worker, step_of(name)?, |command| matches!(command, Command::Fire { .. }))
            }
            WorkerAct::Runs(name) => self.body_runs(worker, step_of(name)?, ends(worker, name, rest)),
            // It follows from the claim.
            WorkerAct::Replays(_) => Ok(()),
            WorkerAct::Releases(name) => {
                let execution = execution(name)?;
                let asked = |command: &Command| matches!(command, Command::Release { .. });
                if self.drive_asks(worker, execution, asked).is_ok() {
                    return Ok(());
                }
                let drive = self.drive_of(worker, Some(execution)).ok_or("it does not drive that")?;
                let wakes = self.drives[drive].slots.iter().filter_map(|slot| match slot.phase {
                    step::Phase::Waiting { due_at, .. } => Some(due_at),
                    _ => None,
                });
                let wake = wakes.min().ok_or("it waits for nothing")?;
                self.feed_drive(drive, drive::Event::Blocked { wake });
                self.drive_asks(worker, execution, asked)
            }
            WorkerAct::Finishes { execution: name, .. } => {
                let execution = execution(name)?;
                self.drive_asks(worker, execution, |command| matches!(command, Command::Finish { .. }))
            }
            WorkerAct::Asks(name) => {
                let execution = execution(name)?;
                while let Some((_, event)) = self.take_event(|cluster, event| match event {
                    Event::Lost { call } => {
                        cluster.calls[call].worker == worker && cluster.calls[call].about.execution == execution
                    }
                    _ => false,
                }) {
                    self.happen(event);
                }
                Ok(())
            }
            WorkerAct::Abandons(name) => {
                let execution = execution(name)?;
                let drive = self.drive_of(worker, Some(execution)).ok_or("it does not drive that")?;
                self.feed_drive(drive, drive::Event::LeaseLost);
                Ok(())
            }
            WorkerAct::Beats => {
                for drive in 0..self.drives.len() {
                    let there = &self.drives[drive];
                    if there.live && there.known && there.worker == worker {
                        let generation = there.generation;
                        self.beat(drive);
                        self.delivered(|cluster, call| cluster.calls[call].asker == Asker::Beat { drive, generation })?;
                    }
                }
                Ok(())
            }
            WorkerAct::Stops => {
                self.shut_down(worker);
                Ok(())
            }
        }
    }

    fn drive_of(&self, worker: u8, execution: Option<u32>) -> Option<u32> {
        let ours = |drive: &u32| {
            let there = &self.drives[*drive];
            let meant = execution.is_none_or(|execution| there.execution == execution);
            there.live && there.known && there.worker == worker && meant
        };
        // Of two of one worker, the script means the one that it can still act for: the later.
        (0..self.drives.len()).filter(ours).max_by_key(|drive| self.drives[*drive].claim)
    }

    /// The request of a step's machine reaches the store, and its answer the machine.
    fn step_asks(&mut self, worker: u8, step: u32, wanted: fn(&Command) -> bool) -> Result<(), String> {
        let ours = move |cluster: &Self, call: u32| {
            let call = &cluster.calls[call];
            call.worker == worker && call.about.step == Some(step) && wanted(&call.command)
        };
        if self.delivered(ours).is_ok() {
            return Ok(());
        }
        // It waits for a time that has come, or that its clock takes for come.
        let due = self.take_event(|cluster, event| match event {
            Event::Due { drive, generation, slot } => {
                cluster.is_live(drive, generation)
                    && cluster.drives[drive].worker == worker
                    && cluster.step_of(drive, slot) == step
            }
            _ => false,
        });
        if let Some((at_ms, event)) = due {
            // A clock that runs ahead takes it for come already.
            if !self.is_taken_for_come(event) {
                self.now_ms = self.now_ms.max(at_ms);
            }
            self.happen(event);
        }
        self.delivered(ours)
    }

    fn is_taken_for_come(&self, event: Event) -> bool {
        let Event::Due { drive, slot, .. } = event else { return false };
        let there = &self.drives[drive];
        let shown = self.workers[usize::from(there.worker)].store_clock(self.now_ms);
        match there.slots[slot as usize].phase {
            step::Phase::Waiting { due_at, .. } => due_at <= shown,
            _ => false,
        }
    }

    fn drive_asks(&mut self, worker: u8, execution: u32, wanted: fn(&Command) -> bool) -> Result<(), String> {
        self.delivered(move |cluster, call| {
            let call = &cluster.calls[call];
            call.worker == worker && call.about.execution == execution && wanted(&call.command)
        })
    }

    fn body_runs(&mut self, worker: u8, step: u32, ends: Option<BodyEnd>) -> Result<(), String> {
        let ours = |cluster: &Self, event| match event {
            Event::Body { drive, generation, slot } => {
                cluster.is_live(drive, generation)
                    && cluster.drives[drive].worker == worker
                    && cluster.step_of(drive, slot) == step
            }
            _ => false,
        };
        let Some((at_ms, event)) = self.take_event(ours) else {
            return Err("it is not inside that body".to_owned());
        };
        // A result that cannot be encoded may be reported as anything, by rules that are wrong.
        let ends = ends.filter(|_| !self.encode_fails[step as usize]);
        if let (Event::Body { drive, slot, .. }, Some(ends)) = (event, ends) {
            self.drives[drive].slots[slot as usize].end = ends;
        }
        self.now_ms = self.now_ms.max(at_ms);
        self.happen(event);
        Ok(())
    }

    /// Takes an event out of turn.
    fn take_event(&mut self, wanted: impl Fn(&Self, Event) -> bool) -> Option<(u64, Event)> {
        let mut queue = std::mem::take(&mut self.queue);
        let taken = queue.take(|event| wanted(self, event));
        self.queue = queue;
        taken
    }

    fn take_call(&mut self, wanted: impl Fn(&Self, u32) -> bool) -> Option<Event> {
        let taken = self.take_event(|cluster, event| match event {
            Event::Arrive { call } | Event::Transacted { call } | Event::Reply { call } => wanted(cluster, call),
            _ => false,
        })?;
        Some(taken.1)
    }

    /// A request arrives, is decided, and its answer arrives, or is found to be lost.
    fn delivered(&mut self, wanted: impl Fn(&Self, u32) -> bool) -> Result<(), String> {
        let taken = self.take_event(|cluster, event| match event {
            Event::Arrive { call } | Event::Lost { call } => wanted(cluster, call),
            _ => false,
        });
        let Some((_, event)) = taken else {
            return Err("nothing of that kind is under way".to_owned());
        };
        let (Event::Arrive { call: this } | Event::Lost { call: this }) = event else { return Ok(()) };
        let serial = self.calls[this].serial;
        // A fault that the script told just before strikes this message, though it set out earlier.
        if let (Event::Arrive { .. }, true) = (event, self.calls[this].is_of_worker()) {
            let armed = &mut self.workers[usize::from(self.calls[this].worker)].armed;
            self.calls[this].lose_reply |= Armed::fires(&mut armed.lose_reply);
            self.calls[this].late_reply |= Armed::fires(&mut armed.late_reply);
            if Armed::fires(&mut armed.lose_request) {
                self.calls[this].hold(-1);
                self.abort(this);
                self.follow_up(this, serial);
                return Ok(());
            }
        }
        self.happen(event);
        self.follow_up(this, serial);
        Ok(())
    }

    /// What follows from a request that has arrived or was lost: it happens at once.
    fn follow_up(&mut self, this: u32, serial: u32) {
        while self.calls[this].serial == serial {
            let next = self.take_event(|_, event| match event {
                Event::Transacted { call } | Event::Reply { call } | Event::Lost { call } => call == this,
                _ => false,
            });
            let Some((_, event)) = next else { break };
            self.happen(event);
        }
    }
}

/// How the body ends, as the report that follows says.
fn ends(worker: u8, step: &StepName, rest: &[Line]) -> Option<BodyEnd> {
    rest.iter().find_map(|line| match &line.action {
        Action::Worker { worker: by, act: WorkerAct::Settles { step: of, outcome } }
            if of == step && *by == Name::worker(usize::from(worker)) =>
        {
            match outcome {
                StepOutcome::Failed => Some(BodyEnd::Fails),
                StepOutcome::Exhausted => Some(BodyEnd::FailsFinally),
                StepOutcome::Unencodable => Some(BodyEnd::Unencodable),
                StepOutcome::Succeeded => Some(BodyEnd::Returns),
                StepOutcome::InDoubt | StepOutcome::Cancelled => None,
            }
        }
        _ => None,
    })
}
