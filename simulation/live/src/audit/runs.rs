//! Runs side by side: most of a run is waiting.

use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use hydra_simulation::oracle;

use super::budget::Lengths;
use super::pace::Room;
use super::progress::Progress;
use super::{Audited, judged};
use crate::scenario::{self, Scenario, World};
use crate::strain::is_strained;

/// Where so many runs in a row would not be over in time, the next will not be either.
const MISFITS_MAX: u32 = 1_000;

/// Where runs are made.
pub(super) struct Runs<'a> {
    pub(super) world: &'a World,
    pub(super) jobs: usize,
    pub(super) progress: &'a Progress,
    pub(super) lengths: &'a Lengths,
}

/// A run that was made.
struct Ran {
    index: usize,
    scenario: Scenario,
    outcome: anyhow::Result<scenario::Outcome>,
    took: Duration,
    /// Whether the machine kept it from running at its speed.
    strained: bool,
    /// Whether the audit's time was over before it was.
    over: bool,
}

/// What became of the runs of a phase.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// They came to their end.
    pub(super) whole: u64,
    /// They were under way when the time was over.
    pub(super) cut: u64,
}

impl Runs<'_> {
    /// Makes one run.
    fn one(&self, index: usize, scenario: Scenario) -> Ran {
        let began = Instant::now();
        let outcome = scenario::run(self.world, &scenario);
        Ran { index, scenario, outcome, took: began.elapsed(), strained: is_strained(), over: self.world.is_stopping() }
    }

    /// Makes runs side by side; none begins that would not be over by `until`.
    pub(super) fn side_by_side(
        &self,
        mut next: impl FnMut() -> Option<Scenario> + Send,
        until: Instant,
        audited: &mut Audited,
    ) -> Made {
        let adapter = &self.world.adapter;
        let fits = move || {
            let mut misfits = 0;
            while Instant::now() < until && !self.world.is_stopping() && misfits < MISFITS_MAX {
                let scenario = next()?;
                if self.lengths.fits(&scenario, adapter, until) {
                    return Some(scenario);
                }
                misfits += 1;
            }
            None
        };
        let queue = Mutex::new((0, fits));
        let take = || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let scenario = (queue.1)()?;
            queue.0 += 1;
            Some((queue.0, scenario))
        };
        let room = Room::new(self.jobs);
        let mut ran: Vec<Ran> = Vec::new();
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            for _ in 0..self.jobs {
                let (send, take, room) = (send.clone(), &take, &room);
                scope.spawn(move || {
                    loop {
                        let _place = room.enter();
                        let Some((index, scenario)) = take() else { break };
                        if send.send(self.one(index, scenario)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            for one in receive {
                if one.outcome.as_ref().is_ok_and(|outcome| !outcome.cut) {
                    self.lengths.took(&one.scenario, one.took);
                }
                self.progress.ran(&one.scenario.name, self.found(&one));
                ran.push(one);
            }
        });
        ran.sort_by_key(|one| one.index);
        let mut made = Made::default();
        for one in ran {
            if self.put(one, audited) {
                made.whole += 1;
            } else {
                made.cut += 1;
            }
        }
        made
    }

    fn found(&self, ran: &Ran) -> bool {
        let contract = &self.world.adapter.contract;
        ran.outcome.as_ref().is_ok_and(|outcome| {
            let found = oracle::findings(&outcome.history, &contract.settings);
            found.iter().any(|finding| contract.promise(finding.property).is_some())
        })
    }

    /// Judges a run, or says why it could not be made; false if it was cut short by us and so not watched to its end.
    fn put(&self, ran: Ran, audited: &mut Audited) -> bool {
        match ran.outcome {
            Ok(outcome) if outcome.cut => return false,
            // What was still awaited when the time was over did not fail.
            Err(_) if ran.over => return false,
            Ok(outcome) => {
                let run = (ran.scenario, ran.took, ran.strained);
                judged(audited, &self.world.adapter, run, outcome);
            }
            Err(error) => audited.failed.push((ran.scenario.name, format!("{error:#}"))),
        }
        true
    }
}
