//! Notes put into words: the history that the oracle judges.

use std::collections::BTreeMap;

use hydra_protocol::Protocol;
use hydra_schedule::Name;

use super::Cluster;
use super::note::{Fact, Gave, Note, Seen, Who};
use super::program::Names;
use super::strike::write_strike;
use crate::history::{self, Call, Effect, Entered, Header, History, Journal, Op, Phase, Record, What};
use crate::workload::Workload;

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// The history of the last run.
    pub fn history(&self, subject: &str, seed: u64, workload: &Workload) -> History {
        let names = Names::of(workload);
        let workers = self.workers.len() as u32;
        let mut teller = Teller { names: &names, saw: BTreeMap::new() };
        let mut records = Vec::with_capacity(self.notes.len());
        for note in &self.notes {
            let what = match note.fact {
                Fact::Struck(index) => {
                    let mut event = write_strike(&self.strikes[index as usize], &names, workers);
                    event.at_ms = None;
                    Some(What::Fault { event })
                }
                fact => teller.tell(fact),
            };
            records.extend(what.map(|what| Record { at_ms: note.at_ms, who: who(note), what }));
        }
        let workers = (0..self.workers.len()).map(Name::worker).collect();
        let header = Header { subject: subject.to_owned(), seed: Some(seed), workers, workload: workload.clone() };
        History { header, records }
    }
}

fn who(note: &Note) -> String {
    match note.who {
        Who::Client => "client".to_owned(),
        Who::Store => "store".to_owned(),
        Who::Nemesis => "nemesis".to_owned(),
        Who::Worker(worker) => Name::worker(usize::from(worker)).to_string(),
    }
}

struct Teller<'a> {
    names: &'a Names,
    /// What the workflow of each claim had so far.
    saw: BTreeMap<u32, BTreeMap<Name, history::Seen>>,
}

impl Teller<'_> {
    fn tell(&mut self, fact: Fact) -> Option<What> {
        let execution = |index: u32| self.names.executions[index as usize].clone();
        let step = |index: u32| self.names.steps[index as usize].clone();
        Some(match fact {
            Fact::Invoked { call, op, execution: of, other_input } => {
                What::Call(Call { other_input, ..Call::invoked(u64::from(call), op, &execution(of)) })
            }
            Fact::Answered { call, op, execution: of, other_input, phase, status, claim } => {
                let invoked = Call { other_input, ..Call::invoked(u64::from(call), op, &execution(of)) };
                let saw = match op {
                    Op::Result => self.saw.get(&claim).cloned().unwrap_or_default(),
                    Op::Start | Op::Status | Op::Cancel | Op::Retry => BTreeMap::new(),
                };
                let error = (phase == Phase::Failed).then(|| "refused".to_owned());
                What::Call(Call { status, saw, error, ..invoked.answered(phase) })
            }
            Fact::Handed { claim, step: of, seen } => {
                self.saw.entry(claim).or_default().insert(step(of).step, told(seen));
                return None;
            }
            Fact::Entered { step: of, body, attempt, claim, other_input } => What::Entered(Entered {
                step: step(of),
                body: u64::from(body),
                attempt: Some(attempt),
                other_input,
                saw: self.saw.get(&claim).cloned().unwrap_or_default(),
            }),
            Fact::Effect { step: of, body, key, epoch, applied } => What::Effect(Effect {
                step: step(of),
                body: u64::from(body),
                key: key.map(|key| format!("{}:{key}", step(of).execution)),
                epoch: Some(u64::from(epoch)),
                applied,
            }),
            Fact::Left { step: of, body, gave } => What::Left {
                step: step(of),
                body: u64::from(body),
                gave: match gave {
                    Gave::Value(value) => history::Gave::Value(value_of(value)),
                    Gave::Failure => history::Gave::Failure,
                    Gave::FinalFailure => history::Gave::FinalFailure,
                    Gave::Unencodable => history::Gave::Unencodable,
                    Gave::Cancelled => history::Gave::Cancelled,
                },
            },
            Fact::Up(up) => What::Worker { up },
            // The lines of the schedule are told by the caller, who has them.
            Fact::Struck(_) | Fact::Waits { .. } => return None,
            Fact::Healed => What::Healed,
            Fact::Ended => What::Ended,
            Fact::Claimed { execution: of, epoch, .. } => {
                What::Journal(Journal::Claimed { execution: execution(of), epoch: Some(u64::from(epoch)) })
            }
            Fact::Released { execution: of, .. } => What::Journal(Journal::Released { execution: execution(of) }),
            Fact::Began { step: of, attempt, .. } => What::Journal(Journal::Began { step: step(of), attempt }),
            Fact::Checkpoint { step: of, seen, .. } => {
                What::Journal(Journal::Checkpoint { step: step(of), seen: told(seen) })
            }
            Fact::TimerSet { step: of, due_ms, .. } => What::Journal(Journal::TimerSet { step: step(of), due_ms }),
            Fact::TimerFired { step: of, .. } => What::Journal(Journal::TimerFired { step: step(of) }),
            Fact::Status { execution: of, status, .. } => {
                What::Journal(Journal::Status { execution: execution(of), status })
            }
            Fact::Broken { execution: of, broken } => What::Journal(Journal::Rows {
                execution: execution(of),
                rows_per_step_max: 1,
                open_steps: 0,
                contradiction: Some(broken.to_string()),
            }),
            Fact::SecondRow { execution: of } => What::Journal(Journal::Rows {
                execution: execution(of),
                rows_per_step_max: 2,
                open_steps: 0,
                contradiction: None,
            }),
        })
    }
}

fn told(seen: Seen) -> history::Seen {
    match seen {
        Seen::Value(value) => history::Seen::Value(value_of(value)),
        Seen::Failed => history::Seen::Failed,
        Seen::InDoubt => history::Seen::InDoubt,
    }
}

fn value_of(value: u64) -> String {
    format!("v{value}")
}
