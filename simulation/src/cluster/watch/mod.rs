//! A quick look at the notes of a run: is there anything that the oracle should see?
//!
//! The oracle judges histories in words, and putting a run into words costs ten times the run. Nearly all runs are
//! plainly right, and this look says so. It is no second oracle: it never calls a run broken, and it may call a right
//! run strange (a zombie, an operator's retry); then the oracle decides. What it must not do is to pass a run in which
//! the oracle finds something: tests compare the two over thousands of runs of right and of wrong rules, and a campaign
//! sends every thousandth plain run to the oracle all the same.

mod felt;
mod remembered;

use hydra_protocol::Kind;

use super::config::Config;
use super::note::{Fact, Gave, Note, Seen, Who};
use super::program::Programs;
use super::store::BEGINNING_MS;
use super::strike::Strike;
use crate::clock::Clock;
use crate::history::{Op, Phase, Status};
use remembered::{ExecutionSeen, StepSeen, WorkerSeen};

/// Looks at runs, one after the other.
#[derive(Debug)]
pub struct Watch {
    steps: Vec<StepSeen>,
    executions: Vec<ExecutionSeen>,
    workers: Vec<WorkerSeen>,
    /// The store's clock, by which due times are told. Not from zero: set back, it would stop there, and every due time
    /// that it tells from then on would look too early.
    store: Clock,
    /// How far it was set back.
    back_ms: u64,
}

impl Default for Watch {
    fn default() -> Self {
        let store = Clock::starting_at(BEGINNING_MS);
        Watch { steps: Vec::new(), executions: Vec::new(), workers: Vec::new(), store, back_ms: 0 }
    }
}

/// So often may an execution be claimed and given back with nothing done in between.
const FRUITLESS_MAX: u32 = 2;
/// Leases that a takeover may need after the last fault has been felt.
const TAKEOVER_LEASES_MAX: u64 = 2;

/// The first thing that is not plainly right.
type Strange = Option<&'static str>;

macro_rules! strange_if {
    ($condition:expr, $why:literal) => {
        if $condition {
            return Some($why);
        }
    };
}

impl Watch {
    /// Why the oracle should see this run, if it should.
    pub(super) fn look(&mut self, notes: &[Note], strikes: &[Strike], programs: &Programs, config: &Config) -> Strange {
        self.steps.clear();
        self.steps.resize(programs.steps.len(), StepSeen::default());
        self.executions.clear();
        self.executions.resize(programs.programs.len(), ExecutionSeen::default());
        self.workers.clear();
        self.workers.resize(config.workers as usize, WorkerSeen::default());
        (self.store, self.back_ms) = (Clock::starting_at(BEGINNING_MS), 0);
        for note in notes {
            let strange = self.note(note, strikes, programs, config);
            if strange.is_some() {
                return strange;
            }
        }
        let open = |seen: &ExecutionSeen| seen.status.is_some_and(|status| !status.is_terminal());
        self.executions.iter().any(open).then_some("an execution is open at the end")
    }

    fn note(&mut self, note: &Note, strikes: &[Strike], programs: &Programs, config: &Config) -> Strange {
        let at_ms = note.at_ms;
        let shown_ms = self.store.shows_ms(at_ms);
        let worker = match note.who {
            Who::Worker(worker) => worker,
            Who::Client | Who::Store | Who::Nemesis => 0,
        };
        match note.fact {
            Fact::Invoked { op, execution, .. } => {
                let seen = &mut self.executions[execution as usize];
                if op == Op::Start {
                    seen.started_ms.get_or_insert(shown_ms);
                }
                None
            }
            Fact::Answered { op, execution, other_input, phase, .. } => {
                let seen = &mut self.executions[execution as usize];
                seen.retried |= op == Op::Retry && phase == Phase::Ok;
                strange_if!(seen.retried, "an operator retried");
                if op == Op::Start && phase == Phase::Ok {
                    let accepted = *seen.accepted.get_or_insert(other_input);
                    strange_if!(accepted != other_input, "two inputs were accepted");
                }
                None
            }
            Fact::Handed { step, seen, .. } => {
                let there = &mut self.steps[step as usize];
                strange_if!(there.checkpoint != Some(seen), "an outcome that is not the checkpoint");
                strange_if!(there.handed.is_some_and(|before| before != seen), "two outcomes of one step");
                there.handed = Some(seen);
                None
            }
            Fact::Entered { step, body, other_input, .. } => {
                self.steps[step as usize].entered_ms = at_ms;
                self.entered(step, body, other_input, worker, programs, config)
            }
            Fact::Effect { step, key, applied, .. } => {
                let there = &mut self.steps[step as usize];
                strange_if!(there.key.is_some() && there.key != key, "two keys for one step");
                there.key = key;
                there.applied += u32::from(applied);
                strange_if!(there.applied > 1, "two effects of one step");
                None
            }
            Fact::Left { step, body, gave } => {
                let there = &mut self.steps[step as usize];
                match gave {
                    Gave::Value(value) => there.value = Some(value),
                    Gave::Failure => there.failed = true,
                    Gave::FinalFailure | Gave::Unencodable => {
                        (there.failed, there.finally) = (true, true);
                    }
                    Gave::Cancelled => there.died = true,
                }
                if there.inside.is_some_and(|(inside, _)| inside == body) {
                    there.inside = None;
                }
                None
            }
            Fact::Up(up) => {
                if !up {
                    self.felt(worker, at_ms);
                    for there in &mut self.steps {
                        if there.inside.is_some_and(|(_, inside)| inside == worker) {
                            (there.inside, there.died) = (None, true);
                        }
                    }
                }
                None
            }
            Fact::Struck(strike) => {
                self.struck(&strikes[strike as usize].blow, at_ms, programs);
                None
            }
            Fact::Healed => {
                for there in &mut self.workers {
                    there.felt_until_ms = at_ms;
                }
                self.store.drift(at_ms, 0);
                None
            }
            Fact::Ended => None,
            Fact::Claimed { execution, epoch, claim } => {
                let strange = self.sign(execution, at_ms, programs, config);
                let seen = &mut self.executions[execution as usize];
                strange_if!(seen.status.is_none_or(Status::is_terminal), "a claim of what is not open");
                strange_if!(epoch <= seen.epoch, "an epoch that did not rise");
                let felt_ms = self.workers[seen.owner as usize].felt_until_ms;
                let excused_ms = felt_ms.saturating_add(config.lease_ms * TAKEOVER_LEASES_MAX);
                strange_if!(seen.leased && at_ms > excused_ms, "a healthy worker was taken from");
                strange_if!(seen.leased && felt_ms == 0, "a worker without a fault was taken from");
                let robbed = seen.leased && {
                    let steps = programs.programs[execution as usize].steps.clone();
                    let inside = |there: &StepSeen| there.inside.is_some_and(|(_, inside)| inside == seen.owner);
                    let steps = &self.steps[steps.start as usize..steps.end as usize];
                    steps.iter().any(|there| inside(there) && there.entered_ms >= felt_ms)
                };
                strange_if!(robbed, "a worker was taken from that had felt nothing since its body began");
                (seen.epoch, seen.claim, seen.owner, seen.leased) = (epoch, claim, worker, true);
                seen.claimed = true;
                seen.status = Some(Status::Running);
                strange
            }
            Fact::Released { execution, claim } => {
                let before = self.executions[execution as usize];
                let strange = self.written(execution, claim, at_ms, programs, config);
                let seen = &mut self.executions[execution as usize];
                seen.leased = false;
                seen.fruitless = before.fruitless + u32::from(before.claimed);
                strange_if!(seen.fruitless > FRUITLESS_MAX, "claimed and given back over and over");
                strange
            }
            Fact::Began { step, attempt, claim } => {
                let there = &mut self.steps[step as usize];
                strange_if!(there.began > there.entries && there.began_by == claim, "two attempts and no body");
                (there.began, there.began_by) = (there.began + 1, claim);
                let most = attempts_max(step, programs, config);
                strange_if!(attempt > most || there.began > most, "too many attempts");
                strange_if!(there.checkpoint.is_some(), "an attempt of a settled step");
                strange_if!(shown_ms < there.waits_until_ms, "an attempt before its backoff was over");
                self.written(programs.steps[step as usize].execution, claim, at_ms, programs, config)
            }
            Fact::Checkpoint { step, seen, claim } => {
                let strange = self.checkpoint(step, seen, programs, config);
                strange.or(self.written(programs.steps[step as usize].execution, claim, at_ms, programs, config))
            }
            Fact::Waits { step, due_ms, .. } => {
                let due_ms = BEGINNING_MS + due_ms;
                let there = &mut self.steps[step as usize];
                let wait_ms = due_ms.saturating_sub(shown_ms);
                let backoff = config.backoff();
                let least_ms = backoff.wait_min(1).as_millis();
                strange_if!(wait_ms < least_ms || wait_ms > config.backoff_cap_ms, "a backoff out of bounds");
                strange_if!(wait_ms < there.wait_ms, "a backoff that fell");
                (there.wait_ms, there.waits_until_ms) = (wait_ms, due_ms);
                None
            }
            Fact::TimerSet { step, due_ms, claim } => {
                let due_ms = BEGINNING_MS + due_ms;
                let there = &mut self.steps[step as usize];
                strange_if!(there.timer_due_ms.is_some(), "a timer was set twice");
                let asked_ms = programs.steps[step as usize].lasts_ms;
                strange_if!(due_ms < shown_ms.saturating_add(asked_ms), "a timer was set too short");
                there.timer_due_ms = Some(due_ms);
                self.written(programs.steps[step as usize].execution, claim, at_ms, programs, config)
            }
            Fact::TimerFired { step, claim } => {
                let there = &mut self.steps[step as usize];
                strange_if!(there.timer_due_ms.is_none_or(|due_ms| shown_ms < due_ms), "a timer fired early");
                strange_if!(std::mem::replace(&mut there.fired, true), "a timer fired twice");
                self.written(programs.steps[step as usize].execution, claim, at_ms, programs, config)
            }
            Fact::Status { execution, status, claim } => self.status(execution, status, claim, note, programs, config),
            Fact::Broken { .. } => Some("an invariant of the rows does not hold"),
            Fact::SecondRow { .. } => Some("a second row of one step"),
        }
    }

    fn entered(
        &mut self,
        step: u32,
        body: u32,
        other_input: bool,
        worker: u8,
        programs: &Programs,
        config: &Config,
    ) -> Strange {
        let execution = &self.executions[programs.steps[step as usize].execution as usize];
        let there = &mut self.steps[step as usize];
        there.entries += 1;
        strange_if!(execution.status.is_none_or(Status::is_terminal), "a body of what is not open");
        strange_if!(execution.accepted.is_some_and(|accepted| accepted != other_input), "another input");
        strange_if!(there.entries > attempts_max(step, programs, config), "too many entries");
        strange_if!(there.checkpoint.is_some(), "a body of a settled step");
        strange_if!(there.inside.is_some(), "two bodies at once");
        strange_if!(there.value.is_some() || there.finally, "a body after a success");
        there.inside = Some((body, worker));
        None
    }

    fn checkpoint(&mut self, step: u32, seen: Seen, programs: &Programs, config: &Config) -> Strange {
        let kind = programs.steps[step as usize].kind;
        let there = &mut self.steps[step as usize];
        strange_if!(there.checkpoint.replace(seen).is_some(), "a second checkpoint");
        let used_up = there.began >= attempts_max(step, programs, config);
        match seen {
            Seen::Value(value) => strange_if!(there.value != Some(value), "a value that no body returned last"),
            Seen::Failed if kind == Kind::AtMostOnce => strange_if!(!there.failed, "in doubt, and called failed"),
            Seen::Failed => strange_if!(!there.finally && !used_up, "given up before its attempts were used"),
            Seen::InDoubt => strange_if!(kind != Kind::AtMostOnce || there.failed, "in doubt for no reason"),
        }
        None
    }

    fn status(
        &mut self,
        execution: u32,
        status: Status,
        claim: u32,
        note: &Note,
        programs: &Programs,
        config: &Config,
    ) -> Strange {
        let steps = programs.programs[execution as usize].steps.clone();
        let seen = &mut self.executions[execution as usize];
        strange_if!(seen.status.is_some_and(Status::is_terminal), "a status after the last");
        let before = seen.status.replace(status);
        match status {
            Status::Pending => {
                strange_if!(before.is_some(), "started twice");
                seen.last_ms = note.at_ms + programs.programs[execution as usize].delay_ms;
            }
            Status::Running | Status::Missing => return Some("a status that nobody writes"),
            Status::Cancelled => strange_if!(note.who != Who::Client, "cancelled by a worker"),
            Status::Succeeded | Status::Failed => {
                let decode = seen.decode;
                if note.who == Who::Store {
                    let deadline_ms = programs.programs[execution as usize].deadline_ms;
                    let since_ms = self.store.shows_ms(note.at_ms).saturating_sub(seen.started_ms.unwrap_or(u64::MAX));
                    strange_if!(deadline_ms.is_none_or(|deadline_ms| since_ms < deadline_ms), "ended by its rows");
                    return None;
                }
                let mut failed = false;
                let mut all = true;
                let program = &programs.programs[execution as usize];
                for group in &programs.groups[program.items.start as usize..program.items.end as usize] {
                    let mut any = false;
                    let mut each = true;
                    for step in steps.start + group.first..steps.start + group.first + group.count {
                        let plan = &programs.steps[step as usize];
                        let there = &self.steps[step as usize];
                        let settled = if plan.kind == Kind::Timer { there.fired } else { there.checkpoint.is_some() };
                        let value = plan.kind == Kind::Timer || matches!(there.checkpoint, Some(Seen::Value(_)));
                        any |= settled && (value || plan.caught);
                        each &= settled && (value || plan.caught);
                        failed |= settled && !value && !plan.caught;
                    }
                    all &= if group.is_race { any } else { each };
                }
                strange_if!(status == Status::Succeeded && !all, "succeeded, and not every step has");
                strange_if!(status == Status::Failed && !failed && !decode, "failed, and nothing has");
                let leased = self.written(execution, claim, note.at_ms, programs, config);
                strange_if!(leased.is_some(), "ended by another");
            }
        }
        None
    }

    /// A write is accepted from the latest claim alone.
    fn written(&mut self, execution: u32, claim: u32, at_ms: u64, programs: &Programs, config: &Config) -> Strange {
        let strange = self.sign(execution, at_ms, programs, config);
        let seen = &mut self.executions[execution as usize];
        (seen.claimed, seen.fruitless) = (false, 0);
        strange_if!(seen.claim != claim, "a write under an old claim");
        strange
    }

    /// Somebody works on the execution; nobody did for too long?
    fn sign(&mut self, execution: u32, at_ms: u64, programs: &Programs, config: &Config) -> Strange {
        let steps = programs.programs[execution as usize].steps.clone();
        let seen = &mut self.executions[execution as usize];
        let quiet_ms = at_ms.saturating_sub(std::mem::replace(&mut seen.last_ms, at_ms));
        if quiet_ms <= config.lease_ms * TAKEOVER_LEASES_MAX + self.back_ms {
            return None;
        }
        let longest_ms =
            programs.steps[steps.start as usize..steps.end as usize].iter().map(|step| step.lasts_ms).max();
        let most_ms = longest_ms.unwrap_or(0) + config.lease_ms * TAKEOVER_LEASES_MAX + self.back_ms;
        strange_if!(quiet_ms > most_ms, "quiet for long");
        None
    }
}

/// Attempts that the step was granted.
fn attempts_max(step: u32, programs: &Programs, config: &Config) -> u32 {
    let plan = &programs.steps[step as usize];
    match (plan.kind, plan.attempts_max) {
        (Kind::AtMostOnce, _) => 1,
        (_, 0) => config.attempts_max,
        (_, stated) => stated,
    }
}
