//! The run: processes, network and store brought forward together, from one event to the next.
//!
//! Each worker is a process of its own: a runtime with a clock of its own that only moves when it is told to. So a
//! pause is a process that is not run at all, a crash is a runtime that is dropped, and a clock that is wrong is wrong
//! for everything in its process. Processes hear of each other through the store alone, and every message takes at
//! least a millisecond: up to the next event each may therefore be run by itself, and what they were seen to do is put
//! into the order of time afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use hydra_engine::protocol::Protocol;
use hydra_schedule::Event as Line;

use super::clients::{self, Act};
use super::journal::Teller;
use super::plan::Plan;
use super::process::Life;
use super::server::Server;
use super::wire::{Message, Outcome};
use super::world::{Shared, World};
use crate::cluster::{Blow, Run, Strike, Tally, When, write_strikes};
use crate::history::What;

/// What is still to come.
#[expect(clippy::large_enum_variant, reason = "most are requests and answers, and few are under way at a time")]
pub(super) enum Event {
    Strike(usize),
    Client(Act),
    /// A request is at the store.
    Arrive(Message),
    /// An answer is at the asker.
    Reply(Message, Outcome),
    /// A pause is over, unless it was made longer.
    Resume(usize),
    /// The connection of a process that has ended closes.
    Close(u64),
    Heal,
    End,
}

/// One run.
pub(super) struct Cluster {
    pub plan: Arc<Plan>,
    pub rules: &'static (dyn Protocol + Sync),
    pub shared: Shared,
    /// The life that each process leads; none while it is down.
    pub lives: Vec<Option<Life>>,
    pub server: Server,
    pub teller: Teller,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    pub now_ms: u64,
    /// The lines of the schedule, as a history tells them.
    pub lines: Vec<Line>,
    /// What clients have still to do.
    pub acts_left: u32,
    pub calls: u64,
    /// What waits for a worker that stands still.
    pub waiting: Vec<(usize, Event)>,
    /// Answers that never come, and whose askers do not know it.
    pub silent: Vec<Message>,
    /// The body in each transaction.
    pub in_transaction: BTreeMap<u64, u64>,
    pub store_back_ms: u64,
    pub store_slow_ms: u64,
    /// How far the store's clock was set back, all in all.
    pub store_back_by_ms: u64,
    closing: bool,
    over: bool,
}

impl Cluster {
    pub fn new(run: Run<'_>, server: Server, rules: &'static (dyn Protocol + Sync), tally: Tally) -> Self {
        let plan = Arc::new(Plan::new(run.workload, run.config));
        let mut world = World::new(plan.clone(), run.strikes, run.seed, tally);
        world.tally.runs += 1;
        let acts = clients::acts(run.workload, || world.random.percent(25));
        let processes = world.processes.len();
        let mut cluster = Cluster {
            rules,
            shared: Shared::new(world),
            lives: (0..processes).map(|_| None).collect(),
            server,
            teller: Teller::default(),
            queue: BTreeMap::new(),
            sequence: 0,
            now_ms: 0,
            lines: lines(run.strikes, &plan),
            acts_left: acts.len() as u32,
            calls: 0,
            waiting: Vec::new(),
            silent: Vec::new(),
            in_transaction: BTreeMap::new(),
            store_back_ms: 0,
            store_slow_ms: 0,
            store_back_by_ms: 0,
            closing: false,
            over: false,
            plan,
        };
        for process in 0..processes {
            cluster.come_up(process);
        }
        for (at_ms, act) in acts {
            cluster.push(at_ms, Event::Client(act));
        }
        for (index, strike) in run.strikes.iter().enumerate() {
            cluster.plan_strike(index, strike);
        }
        cluster.push(cluster.plan.config.faults_for_ms, Event::Heal);
        cluster
    }

    fn plan_strike(&mut self, index: usize, strike: &Strike) {
        if let When::At(at_ms) = strike.when {
            self.acts_left += u32::from(matches!(strike.blow, Blow::Client { .. }));
            self.push(at_ms, Event::Strike(index));
        }
    }

    /// A fault strikes now, beside those of the schedule.
    pub fn inject(&mut self, blow: Blow) {
        let strike = Strike { when: When::At(self.now_ms), blow };
        let index = self.shared.lock().plan_strike(strike);
        self.lines.extend(lines(&[strike], &self.plan));
        self.plan_strike(index, &strike);
    }

    pub fn push(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.sequence), event);
    }

    /// Whatever was observed by somebody outside of the processes.
    pub fn note(&mut self, who: &str, what: What) {
        self.shared.lock().record(self.now_ms, who, what);
    }

    /// The next thing that happens; false when the run is over and clients have had their last look.
    pub fn advance(&mut self) -> bool {
        if self.over {
            return false;
        }
        while let Some(((at_ms, _), _)) = self.queue.first_key_value() {
            // Whoever waits at the store may be let in at any moment.
            let until_ms = if self.server.is_busy() { (*at_ms).min(self.now_ms + 1) } else { *at_ms };
            if self.run_processes(until_ms) {
                continue;
            }
            self.now_ms = self.now_ms.max(until_ms);
            if self.server.is_busy() {
                self.serve();
            }
            if until_ms < *self.queue.first_key_value().map_or(&u64::MAX, |((at_ms, _), _)| at_ms) {
                continue;
            }
            let Some((_, event)) = self.queue.pop_first() else { break };
            if matches!(event, Event::End) {
                break;
            }
            self.happen(event);
            self.close_if_idle();
            return true;
        }
        self.over = true;
        self.last_look();
        false
    }

    /// Everything has ended and nobody acts any more. What still runs for a lease's time may only show that it is
    /// harmless.
    fn close_if_idle(&mut self) {
        if self.teller.open == 0 && self.acts_left == 0 && !self.closing {
            self.closing = true;
            self.push(self.now_ms + self.plan.config.lease_ms, Event::End);
        }
    }

    /// Runs each process until `until_ms`, or until something comes out of one of them: then true.
    fn run_processes(&mut self, until_ms: u64) -> bool {
        for process in 0..self.lives.len() {
            let Some(life) = &mut self.lives[process] else { continue };
            if self.shared.lock().processes[process].paused_until_ms.is_some() {
                continue;
            }
            if life.run_to(&self.shared, until_ms) {
                self.take_out();
                return true;
            }
        }
        false
    }

    /// What came out of a process: messages, faults that it ran into, ends of calls and of shutdowns.
    pub fn take_out(&mut self) {
        let (sent, triggered, done, stopped) = {
            let mut world = self.shared.lock();
            let done = std::mem::take(&mut world.client_done);
            let stopped = std::mem::take(&mut world.stopped);
            (std::mem::take(&mut world.outbox), std::mem::take(&mut world.triggered), done, stopped)
        };
        for message in sent {
            self.send(message);
        }
        for strike in triggered {
            self.strike(strike);
        }
        for again in done {
            match again {
                Some((act, in_ms)) => {
                    let at_ms = self.reached(self.lives.len() - 1);
                    self.push(at_ms + in_ms, Event::Client(act));
                }
                None => self.acts_left -= 1,
            }
        }
        for asker in stopped {
            if self.shared.lock().is_live(asker) {
                self.stopped(asker.process);
            }
        }
        self.close_if_idle();
    }

    /// The observer's time that a process has come to, which may be ahead.
    pub fn reached(&self, process: usize) -> u64 {
        self.shared.lock().processes[process].clock.at_ms.max(self.now_ms)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Strike(strike) => self.strike(strike),
            Event::Client(act) => self.act(act),
            Event::Arrive(message) => self.arrive(message),
            Event::Reply(message, outcome) => self.reply(message, outcome),
            Event::Resume(process) => self.resume(process, false),
            Event::Close(tx) => {
                self.server.close(tx);
                self.serve();
            }
            Event::Heal => self.heal_all(),
            Event::End => {}
        }
    }

    fn act(&mut self, act: Act) {
        self.calls += 1;
        let client = self.lives.len() - 1;
        if let Some(life) = &self.lives[client] {
            life.perform(act, self.calls);
        }
    }
}

/// The lines of strikes, without their times: a history tells them when they fall.
fn lines(strikes: &[Strike], plan: &Plan) -> Vec<Line> {
    let mut lines = write_strikes(strikes, &plan.workload, plan.config.workers);
    for line in &mut lines {
        line.at_ms = None;
    }
    lines
}
