//! Workers that look for work.

use hydra_protocol::worker::drive;
use hydra_protocol::worker::lease::Duty;
use hydra_protocol::{Command, Protocol, Reply, Span};

use super::calls::Asker;
use super::queue::Event;
use super::store::About;
use super::{Cluster, Who};

impl<P: Protocol + ?Sized> Cluster<'_, P> {
    /// An execution comes due: free workers look for work soon after.
    ///
    /// A real worker polls all the time. Polls that would find nothing are left out here: they change nothing, and
    /// a sleep of an hour would cost thousands of them.
    pub(crate) fn something_due(&mut self, due_ms: u64) {
        for worker in 0..self.workers.len() as u8 {
            let poll_ms = self.random.below(self.config.poll_ms.max(1));
            self.arm_poll(worker, due_ms.max(self.now_ms) + poll_ms);
        }
    }

    fn arm_poll(&mut self, worker: u8, at_ms: u64) {
        let there = &mut self.workers[worker as usize];
        if there.up && !there.stopping && !there.polling && at_ms < there.poll_at_ms {
            there.poll_at_ms = at_ms;
            self.queue.push(at_ms, Event::Poll { worker, incarnation: there.incarnation });
        }
    }

    /// The worker has room: it looks for work when something is due.
    pub(crate) fn look_for_work(&mut self, worker: u8) {
        if let Some(due_ms) = self.store.next_due_ms() {
            let poll_ms = self.some_ms(self.config.poll_ms);
            self.arm_poll(worker, due_ms.max(self.now_ms) + poll_ms);
        }
    }

    pub(crate) fn poll(&mut self, worker: u8) {
        let there = &mut self.workers[worker as usize];
        there.poll_at_ms = u64::MAX;
        if there.polling || there.stopping || there.drives >= self.config.capacity {
            return;
        }
        let nothing_due = self.store.next_due_ms().is_none_or(|due_ms| due_ms > self.now_ms);
        if nothing_due && !self.random.percent(25) {
            return self.look_for_work(worker);
        }
        self.send_poll(worker);
    }

    pub(crate) fn send_poll(&mut self, worker: u8) {
        self.workers[worker as usize].polling = true;
        let command = Command::Claim { lease: Span::from_millis(self.config.lease_ms), knows: true };
        let about = About { execution: 0, step: None, other_input: false, value: 0 };
        self.send(Asker::Poll { worker }, about, command, false);
    }

    /// One transaction of a poll: the query offers what is due and, since a query may offer too much, one row more;
    /// the core decides about each.
    pub(crate) fn claim_some(&mut self, call: u32, worker: u8) {
        if let Some(execution) = self.claim_only {
            self.claim_one(call, worker, execution);
            return;
        }
        let count = self.store.executions.len() as u32;
        let there = &self.workers[worker as usize];
        let mut room = self.config.capacity.saturating_sub(there.drives);
        let first = self.random.below(u64::from(count)) as u32;
        let extra = self.random.below(u64::from(count)) as u32;
        for at in 0..count {
            let execution = (first + at) % count;
            if room == 0 {
                break;
            }
            if (execution == extra || self.store.is_due(execution, self.now_ms))
                && self.claim_one(call, worker, execution)
            {
                room -= 1;
            }
        }
    }

    /// Whether the execution was granted.
    pub(crate) fn claim_one(&mut self, call: u32, worker: u8, execution: u32) -> bool {
        let lease = Span::from_millis(self.config.lease_ms);
        let knows = self.config.ignorant != Some(u32::from(worker)) || !execution.is_multiple_of(3);
        let about = About { execution, step: None, other_input: false, value: 0 };
        let done = self.transact(call, about, &Command::Claim { lease, knows });
        let Ok(Reply::Claimed { epoch, lease }) = done.answer else { return false };
        let drive = self.grant(worker, execution, epoch, lease);
        let generation = self.drives[drive].generation;
        self.calls[call].granted.push((drive, generation));
        true
    }

    /// The worker learns what it was granted. True if it takes anything up.
    pub(crate) fn take_granted(&mut self, call: u32, worker: u8, late: bool) -> bool {
        let mut taken = false;
        let sent_at = self.calls[call].sent_at;
        for at in 0..self.calls[call].granted.len() {
            let (drive, generation) = self.calls[call].granted[at];
            if !self.is_live(drive, generation) || self.drives[drive].known {
                continue;
            }
            let there = &self.drives[drive];
            let clock = self.rules.lease_clock(sent_at, there.lease);
            self.tally.steps += 1;
            // A late grant is taken up like any other if its lease, counted from the question, has not run out and
            // the worker has not got hold of the execution otherwise.
            if late
                && (clock.duty(self.workers[worker as usize].clock(self.now_ms)) == Duty::Stop
                    || self.drives_already(worker, drive))
            {
                continue;
            }
            taken = true;
            self.drives[drive].clock = clock;
            self.drives[drive].known = true;
            self.workers[worker as usize].drives += 1;
            self.let_go_of_older(worker, drive);
            self.plan_duty(drive);
        }
        for at in 0..self.calls[call].granted.len() {
            let (drive, generation) = self.calls[call].granted[at];
            let there = &self.drives[drive];
            if self.is_live(drive, generation) && there.known && !there.begun {
                self.begin_driving(drive);
            }
        }
        taken
    }

    /// What the worker drives already, and has now been granted again, it stops.
    ///
    /// (1) A begins a charge, and the answer takes long; (2) the store's clock jumps past the lease's end; (3) A claims
    /// the execution again, and settles the charge as crashed or runs it; (4) the answer to the first drive arrives, and
    /// it runs a charge that is settled.
    fn let_go_of_older(&mut self, worker: u8, drive: u32) {
        let execution = self.drives[drive].execution;
        for other in 0..self.drives.len() {
            let there = &self.drives[other];
            let is_older = there.live && there.known && there.worker == worker && there.execution == execution;
            if is_older && other != drive {
                self.feed_drive(other, drive::Event::LeaseLost);
            }
        }
    }

    fn drives_already(&self, worker: u8, drive: u32) -> bool {
        let execution = self.drives[drive].execution;
        (0..self.drives.len()).any(|other| {
            let there = &self.drives[other];
            other != drive && there.live && there.known && there.worker == worker && there.execution == execution
        })
    }

    /// A poll has come back, or never will.
    pub(crate) fn polled(&mut self, worker: u8, granted: bool) {
        self.workers[worker as usize].polling = false;
        if granted {
            // Where something was, there may be more.
            let poll_ms = self.some_ms(self.config.poll_ms);
            if self.store.next_due_ms().is_some_and(|due_ms| due_ms <= self.now_ms) {
                return self.arm_poll(worker, self.now_ms + poll_ms);
            }
        }
        self.look_for_work(worker);
    }

    /// The worker has shut down.
    pub(crate) fn stopped(&mut self, worker: u8) {
        self.workers[worker as usize].crash();
        self.note(Who::Worker(worker), super::note::Fact::Up(false));
        // Everything is well from the healing on: whoever was still shutting down then is started again.
        if self.healed {
            self.restart(worker);
        }
    }
}
