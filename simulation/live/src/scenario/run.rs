//! How a run goes: workers up, clients act, the fault strikes, the world is healed, everything must converge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hydra_schedule::Name;
use hydra_simulation::history::{Op, Status};
use hydra_simulation::oracle::Settings;
use hydra_simulation::workload::{Program, Workload};

use super::strike::{Course, Stadium};
use super::{Fault, Outcome, Scenario, Stage, Strike, World};
use crate::boundary::Site;
use crate::door::OpenDoor;
use crate::observer::Observer;
use crate::placed::{Counts, NextTrigger};
use crate::process::Process;

use crate::strain::stretched_ms;
use crate::talk::Client;

/// How often things are looked at.
const TICK: Duration = Duration::from_millis(10);
/// How often the status of open executions is asked.
const ASK_EVERY_MS: u64 = 120;
/// How long a run is watched after its last execution ended: a zombie may still speak.
const LINGER_MS: u64 = 300;
/// The longest that a run is watched, whatever the settings say. What is cut by it is incomplete, never lost.
const WATCH_MAX_MS: u64 = 150_000;
/// How many executions are asked once more after their end.
pub(super) const ASKED_AGAIN_MAX: usize = 5;
/// How often a worker that dies by itself is started again.
const LIVES_MAX: u32 = 5;

pub(super) struct Worker {
    pub(super) name: Name,
    pub(super) life: u32,
    pub(super) process: Option<Process>,
    /// Where the next fault of this process is put, if it is traced.
    pub(super) traced: Option<NextTrigger>,
    /// Where its next fault at a message is put, if those are heard.
    pub(super) heard: Option<NextTrigger>,
    /// It is to be started as soon as its network is back.
    pub(super) waits: bool,
}

pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) stage: Stage<'a>,
    pub(super) observer: Observer,
    pub(super) door: OpenDoor,
    pub(super) client: Client,
    pub(super) workers: Vec<Worker>,
    pub(super) courses: Vec<Course>,
    /// When the last fault was over.
    pub(super) healed_ms: Option<u64>,
    /// When a fault last struck or was over.
    pub(super) moved_ms: u64,
    pub(super) counts: Counts,
    /// What an idle worker does, once it has been given work.
    pub(super) idle: Option<BTreeMap<Site, u32>>,
    pub(super) statuses: BTreeMap<Name, Status>,
    /// How the end of each execution was first seen recorded.
    pub(super) stamps: BTreeMap<Name, String>,
    pub(super) deaths: Vec<String>,
    pub(super) cut: bool,
    pub(super) acts: Vec<ClientAct>,
    /// When the clients' time began.
    pub(super) began_ms: u64,
    pub(super) asked_ms: u64,
}

/// What a client does at a time.
pub(super) struct ClientAct {
    pub(super) at_ms: u64,
    pub(super) op: Op,
    pub(super) program: usize,
    pub(super) other_input: bool,
}

/// Runs a scenario. An error is the adapter's or the machine's; what the subject does wrong is in the history.
pub fn run(world: &World, scenario: &Scenario) -> anyhow::Result<Outcome> {
    let stage = Stage::new(world, scenario)?;
    let observer = Observer::new(scenario.workload.clone());
    let door = OpenDoor::open(world.runtime.handle(), observer.clone())?;
    let mut workers = Vec::new();
    for index in 0..scenario.workers {
        let name = Name::worker(index);
        observer.worker_starts(&name, 1);
        let process = stage.start_worker(&name, door.url(&name, 1))?;
        // One after the other: the first sets the store up.
        stage.await_worker(&name, &process).map_err(anyhow::Error::msg)?;
        observer.worker_up(&name, 1);
        workers.push(Worker { name, life: 1, process: Some(process), traced: None, heard: None, waits: false });
    }
    if !scenario.strikes.is_empty() && scenario.workers == 1 {
        // The heir is not up before it is needed: who drives the execution must not be left to chance.
        let name = Name::worker(1);
        observer.worker_down(&name);
        workers.push(Worker { name, life: 0, process: None, traced: None, heard: None, waits: false });
    }
    let course = |strike: &Strike| Course { strike: strike.clone(), fired: Arc::default(), stadium: Stadium::Next };
    let client = stage.client()?;
    let mut run = Run {
        scenario,
        stage,
        observer,
        door,
        client,
        workers,
        courses: scenario.strikes.iter().map(course).collect(),
        healed_ms: None,
        moved_ms: 0,
        counts: Counts::default(),
        idle: None,
        statuses: BTreeMap::new(),
        stamps: BTreeMap::new(),
        deaths: Vec::new(),
        cut: false,
        acts: acts(&scenario.workload),
        began_ms: 0,
        asked_ms: 0,
    };
    run.arm_first().map_err(anyhow::Error::msg)?;
    run.began_ms = run.observer.now_ms();
    run.moved_ms = run.began_ms;
    let result = run.go_on_to_the_end();
    let workers = run.workers.iter().map(|worker| worker.name.clone()).collect();
    for worker in &mut run.workers {
        if let Some(mut process) = worker.process.take() {
            process.kill();
        }
    }
    let history = run.observer.end(&world.adapter.subject(), workers);
    result.map_err(anyhow::Error::msg)?;
    let cut = run.cut;
    let struck = run.courses.iter().filter(|course| course.fired.load(Ordering::SeqCst)).count();
    let problems = run.observer.problems();
    run.client.close();
    let idle = run.idle.unwrap_or_default();
    Ok(Outcome { history, struck, counts: run.counts, idle, problems, cut, deaths: run.deaths })
}

fn acts(workload: &Workload) -> Vec<ClientAct> {
    let mut acts = Vec::new();
    for (program, of) in workload.programs.iter().enumerate() {
        acts.push(ClientAct { at_ms: of.start_at_ms, op: Op::Start, program, other_input: false });
        for again in &of.starts_again {
            let at_ms = again.at_ms;
            acts.push(ClientAct { at_ms, op: Op::Start, program, other_input: again.other_input });
        }
        if let Some(at_ms) = of.cancel_at_ms {
            acts.push(ClientAct { at_ms, op: Op::Cancel, program, other_input: false });
        }
    }
    // The next is the last.
    acts.sort_by_key(|act| std::cmp::Reverse(act.at_ms));
    acts
}

impl Run<'_> {
    pub(super) fn settings(&self) -> &Settings {
        &self.stage.world.adapter.contract.settings
    }

    pub(super) fn go_on_to_the_end(&mut self) -> Result<(), String> {
        let mut all_ended_ms = None;
        loop {
            self.observer.wait(TICK);
            self.clients_act()?;
            self.look_after_workers()?;
            self.faults()?;
            let now = self.observer.now_ms();
            if now >= self.asked_ms + ASK_EVERY_MS {
                self.ask_statuses()?;
                self.asked_ms = self.observer.now_ms();
            }
            // A place that was never reached will not be reached after the end.
            let open = |course: &Course| !matches!(course.stadium, Stadium::Over | Stadium::Waiting | Stadium::Next);
            let settled = !self.courses.iter().any(open);
            if self.has_ended() && settled {
                let since = *all_ended_ms.get_or_insert(now);
                if now >= since + LINGER_MS {
                    return self.ask_ended_again();
                }
            }
            let since = self.healed_ms.unwrap_or(self.moved_ms);
            let over = now >= since.saturating_add(stretched_ms(self.patience_ms())).min(WATCH_MAX_MS);
            // Where nobody works on anything for so long, nobody will.
            let quiet_since = self.observer.last_work_ms().max(since);
            let quiet = self.quiet_ms().is_some_and(|ms| now >= quiet_since + stretched_ms(ms));
            let over = over || (quiet && settled && self.acts.is_empty());
            self.cut = self.stage.world.is_stopping();
            if over || self.observer.is_full() || self.cut {
                return self.ask_statuses();
            }
        }
    }

    /// How long everything may take from the last fault on: what the oracle allows, and a little more.
    pub(super) fn patience_ms(&self) -> u64 {
        let settings = self.settings();
        let Some(recovery_ms) = settings.recovery_ms else { return self.stage.world.adapter.timing.plain_ms };
        let one = |program: &Program| {
            let sleeps = program.body.iter().map(|item| item.sleep().map_or(0, |sleep| sleep.ms));
            let each = settings.backoff_cap_ms.unwrap_or(0) + settings.slack_ms;
            let steps = program.steps().map(|step| {
                let attempts = u64::from(step.attempts_max.or(settings.attempts_max).unwrap_or(1));
                (step.lasts_ms + each).saturating_mul(attempts)
            });
            let longest = program.steps().map(|step| step.lasts_ms).max().unwrap_or(0);
            let last = program.starts_again.iter().map(|again| again.at_ms).chain([program.start_at_ms]).max();
            sleeps.chain(steps).chain([longest, each, last.unwrap_or(0)]).fold(0_u64, u64::saturating_add)
        };
        let longest = self.scenario.workload.programs.iter().map(one).max().unwrap_or(0);
        // Many executions share few workers.
        let crowd = self.scenario.workload.programs.len() as u64 * 100;
        longest.saturating_add(recovery_ms).saturating_add(crowd + 2 * ASK_EVERY_MS + 500)
    }

    /// How long the oracle lets all stand still before it calls that stuck, and a little more.
    fn quiet_ms(&self) -> Option<u64> {
        let settings = self.settings();
        let one = |program: &Program| {
            let longest = program.steps().map(|step| step.lasts_ms).max().unwrap_or(0);
            program.sleeps_ms().saturating_add(longest)
        };
        let longest = self.scenario.workload.programs.iter().map(one).max().unwrap_or(0);
        let parts =
            [settings.recovery_ms?, settings.backoff_cap_ms.unwrap_or(0), settings.slack_ms, ASK_EVERY_MS + 500];
        Some(parts.into_iter().fold(longest, u64::saturating_add))
    }

    pub(super) fn has_ended(&self) -> bool {
        let programs = &self.scenario.workload.programs;
        let ended = |program: &Program| self.statuses.get(&program.id).is_some_and(|status| status.is_terminal());
        self.acts.is_empty() && programs.iter().all(ended)
    }

    /// A worker that died by itself is started again, as its supervisor would.
    pub(super) fn look_after_workers(&mut self) -> Result<(), String> {
        for index in 0..self.workers.len() {
            if self.workers[index].waits {
                self.start(index)?;
            }
            let worker = &mut self.workers[index];
            let Some(how) = worker.process.as_ref().and_then(Process::exited) else { continue };
            let complaint = worker.process.as_ref().map(|process| process.output.complaint()).unwrap_or_default();
            worker.process = None;
            let (name, life) = (worker.name.clone(), worker.life);
            (worker.traced, worker.heard) = (None, None);
            let crashed = |course: &Course| {
                course.strike.fault == Fault::Crash
                    && course.strike.worker == index
                    && course.fired.load(Ordering::SeqCst)
                    && course.stadium == Stadium::Waiting
            };
            if self.courses.iter().any(crashed) {
                continue;
            }
            self.observer.worker_down(&name);
            if self.deaths.len() < 5 {
                self.deaths.push(format!("worker {name} ended by itself ({how}): {}", crate::cut(&complaint, 2_000)));
            }
            if life < LIVES_MAX {
                self.start(index)?;
            }
        }
        Ok(())
    }

    /// Starts a worker (again) and waits until it is ready; while its network is broken it waits for that first, as it
    /// does under a supervisor that tries again and again: 1. A loses its connection and dies of it. 2. It is started at
    /// once, cannot connect, and dies again. 3. It is said that it cannot be started, when nothing is wrong with it.
    pub(super) fn start(&mut self, index: usize) -> Result<(), String> {
        let cut_off = self.stage.is_cut_off(index);
        self.workers[index].waits = cut_off;
        if cut_off {
            return Ok(());
        }
        let worker = &mut self.workers[index];
        worker.life += 1;
        let (name, life) = (worker.name.clone(), worker.life);
        self.observer.worker_starts(&name, life);
        let process =
            self.stage.start_worker(&name, self.door.url(&name, life)).map_err(|error| format!("{error:#}"))?;
        self.stage.await_worker(&name, &process)?;
        self.observer.worker_up(&name, life);
        let worker = &mut self.workers[index];
        (worker.process, worker.traced, worker.heard) = (Some(process), None, None);
        Ok(())
    }
}
