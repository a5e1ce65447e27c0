//! The way of a request to the store and of its answer back.

use hydra_engine::store::StoreError;

use super::cluster::{Cluster, Event};
use super::journal;
use super::server::Done;
use super::wire::{Ask, Message, Outcome, Told, lost};
use crate::cluster::{Place, goal};
use crate::history::{Gave, Journal, What};

impl Cluster {
    fn some_ms(&self, max_ms: u64) -> u64 {
        1 + self.shared.lock().random.below(max_ms.max(1))
    }

    fn way_ms(&self) -> u64 {
        let config = &self.plan.config;
        self.some_ms(config.network_ms_max) + self.some_ms(config.commit_ms_max) + self.store_slow_ms
    }

    /// A request sets out.
    pub fn send(&mut self, message: Message) {
        let sent_ms = message.sent_ms.max(self.now_ms);
        let way_ms = self.way_ms();
        if message.fate.twice {
            // The second copy may come long after the sender has gone on.
            let copy =
                Message { from: message.from, ask: message.ask.clone(), sent_ms, back: None, fate: message.fate };
            let later_ms = way_ms + self.some_ms(self.plan.config.timeout_ms * 2);
            self.push(sent_ms + later_ms, Event::Arrive(copy));
        }
        if message.fate.lose_request {
            return self.lose(message, sent_ms + way_ms);
        }
        self.push(sent_ms + way_ms, Event::Arrive(message));
    }

    /// No answer will come of it. A broken connection is noticed when the news arrives; silence only by waiting.
    fn lose(&mut self, message: Message, at_ms: u64) {
        self.never_committed(&message, at_ms);
        if message.fate.reset && message.back.is_some() {
            self.push(at_ms, Event::Reply(message, Err(lost("connection reset"))));
        } else {
            self.keep_silent(message);
        }
    }

    /// Nothing comes back. Whoever asked gives up in time; who was to hear late has no patience of its own, and is told
    /// then.
    fn keep_silent(&mut self, message: Message) {
        if !message.fate.late_reply {
            return self.silent.push(message);
        }
        let given_up_ms = self.now_ms.max(message.sent_ms + self.plan.config.timeout_ms);
        self.push(given_up_ms, Event::Reply(message, Err(lost("no answer in time"))));
    }

    /// A commit that never came to the store: its body is over, and nothing came of it.
    fn never_committed(&mut self, message: &Message, at_ms: u64) {
        if let Ask::Commit { tx, .. } = message.ask
            && let Some(body) = self.in_transaction.remove(&tx)
        {
            self.shared.lock().left_in_transaction(at_ms, message.from.process, body, Gave::Cancelled);
        }
    }

    /// A request is at the store.
    pub fn arrive(&mut self, message: Message) {
        if self.now_ms < self.store_back_ms {
            return self.lose(message, self.now_ms);
        }
        if let Ask::Execute { tx, params, .. } = &message.ask
            && let [hydra_engine::store::Value::Integer(body)] = params.as_slice()
        {
            self.in_transaction.insert(*tx, *body as u64);
        }
        self.server.take_up(message);
        self.serve();
    }

    /// The store does what it can by now.
    pub fn serve(&mut self) {
        for Done { message, outcome, writes } in self.server.run_to(self.now_ms) {
            {
                let mut world = self.shared.lock();
                let told = outcome.as_ref().ok();
                journal::tally(&mut world, &message.ask, told);
                self.teller.tell(&mut world, self.now_ms, message.from.process, &message.ask, &writes);
            }
            // Unless its effect was just seen to be committed.
            self.never_committed(&message, self.now_ms);
            if let Err(StoreError::Corrupt { row, what }) = &outcome {
                self.contradiction(&message.ask, format!("{row}: {what}"));
            }
            self.respond(message, outcome);
        }
    }

    fn contradiction(&mut self, ask: &Ask, what: String) {
        let execution = match ask {
            Ask::Command(request) | Ask::Transact(request) => self.teller.execution_of(&self.plan, &request.target),
            _ => None,
        };
        if let Some(execution) = execution {
            let execution = self.plan.id(execution).clone();
            let rows = Journal::Rows { execution, rows_per_step_max: 1, open_steps: 0, contradiction: Some(what) };
            self.note("store", What::Journal(rows));
        }
    }

    /// The store has committed or refused; the answer sets out.
    fn respond(&mut self, message: Message, outcome: Outcome) {
        let from = message.from;
        if message.back.is_none() {
            return self.unused(outcome);
        }
        let cut = {
            let mut world = self.shared.lock();
            let live = world.is_live(from);
            if live && world.processes[from.process].is_worker {
                world.pass(from, Place::Commit);
            }
            world.processes[from.process].cut_in
        };
        self.take_out();
        if cut || message.fate.lose_reply {
            self.unused(outcome);
            if message.fate.reset && !cut {
                let at_ms = self.now_ms + self.some_ms(self.plan.config.network_ms_max);
                self.push(at_ms, Event::Reply(message, Err(lost("connection reset"))));
            } else {
                self.keep_silent(message);
            }
            return;
        }
        let config = &self.plan.config;
        let mut at_ms = self.now_ms + self.some_ms(config.network_ms_max);
        if message.fate.late_reply {
            at_ms = at_ms.max(message.sent_ms + config.timeout_ms) + self.some_ms(config.timeout_ms);
        }
        self.push(at_ms, Event::Reply(message, outcome));
    }

    /// An answer that nobody uses. A transaction that was opened for it ends with its connection.
    fn unused(&mut self, outcome: Outcome) {
        if let Ok(Told::Opened(tx)) = outcome {
            let at_ms = self.now_ms + self.some_ms(self.plan.config.network_ms_max);
            self.push(at_ms, Event::Close(tx));
        }
    }

    /// An answer is there.
    pub fn reply(&mut self, message: Message, outcome: Outcome) {
        let from = message.from;
        let (live, paused, worker) = {
            let world = self.shared.lock();
            let process = &world.processes[from.process];
            (world.is_live(from), process.paused_until_ms.is_some(), process.is_worker)
        };
        if !live {
            return self.unused(outcome);
        }
        if paused {
            return self.waiting.push((from.process, Event::Reply(message, outcome)));
        }
        if worker {
            let stands = self.shared.lock().pass(from, Place::Reply);
            self.take_out();
            if stands {
                // The fault has struck the process in this very moment.
                return self.reply_again(message, outcome);
            }
        }
        self.hand_over(message, outcome);
    }

    fn reply_again(&mut self, message: Message, outcome: Outcome) {
        let from = message.from;
        let (live, paused) = {
            let world = self.shared.lock();
            (world.is_live(from), world.processes[from.process].paused_until_ms.is_some())
        };
        match (live, paused) {
            (false, _) => self.unused(outcome),
            (true, true) => self.waiting.push((from.process, Event::Reply(message, outcome))),
            (true, false) => self.hand_over(message, outcome),
        }
    }

    fn hand_over(&mut self, message: Message, outcome: Outcome) {
        let late = message.fate.late_reply;
        let Some(back) = message.back else { return };
        let used = match back.send(outcome) {
            Ok(()) => true,
            Err(outcome) => {
                self.unused(outcome);
                false
            }
        };
        let mut world = self.shared.lock();
        match (late, used) {
            (true, true) => world.tally.path(goal!("late-reply-used")),
            (_, false) => world.tally.path(goal!("late-reply-dropped")),
            (false, true) => {}
        }
    }
}
