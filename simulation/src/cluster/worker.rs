//! One worker's process and its clock.

use hydra_protocol::{Span, Time};

use super::store::BEGINNING_MS;
use crate::clock::Clock;

/// Where in the life of a worker's process a fault may be placed; counted from 1 since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its request is sent.
    Request,
    /// Its request is committed, and the answer is not yet there.
    Commit,
    /// An answer is there, and nothing has come of it yet.
    Reply,
    /// A body was entered.
    Body,
    /// A body is done, its effect has happened, and nothing has come of it yet.
    Left,
}

impl Place {
    /// Every place.
    pub const ALL: [Place; 5] = [Place::Request, Place::Commit, Place::Reply, Place::Body, Place::Left];

    /// Its word in a schedule.
    pub const fn word(self) -> &'static str {
        match self {
            Place::Request => "request",
            Place::Commit => "commit",
            Place::Reply => "reply",
            Place::Body => "body",
            Place::Left => "left",
        }
    }
}

/// Faults that strike the next request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Armed {
    pub(crate) lose_request: u8,
    pub(crate) lose_reply: u8,
    pub(crate) late_reply: u8,
    pub(crate) duplicate: u8,
}

impl Armed {
    /// One of them, used up.
    pub(crate) fn fires(count: &mut u8) -> bool {
        let fires = *count > 0;
        *count = count.saturating_sub(1);
        fires
    }
}

/// One worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worker {
    pub(crate) up: bool,
    /// It shuts down: takes nothing new, and gives back what it has.
    pub(crate) stopping: bool,
    /// Counts its processes.
    pub(crate) incarnation: u32,
    pub(crate) paused_until_ms: u64,
    /// What it sends is lost.
    pub(crate) cut_out: bool,
    /// What is sent to it is lost.
    pub(crate) cut_in: bool,
    pub(crate) armed: Armed,
    /// How often each place was passed since the process began.
    pub(crate) passed: [u32; Place::ALL.len()],
    /// Strikes that wait for a place of this worker.
    pub(crate) awaited: u32,
    /// Executions it drives or has just been granted.
    pub(crate) drives: u32,
    /// When it polls next; `u64::MAX` if nothing makes it.
    pub(crate) poll_at_ms: u64,
    /// A poll is under way.
    pub(crate) polling: bool,
    clock: Clock,
    /// By how much the store's clock is ahead of this one's, by the latest answer, in milliseconds.
    store_ahead_ms: i64,
}

impl Default for Worker {
    fn default() -> Self {
        Worker {
            up: true,
            stopping: false,
            incarnation: 0,
            paused_until_ms: 0,
            cut_out: false,
            cut_in: false,
            armed: Armed::default(),
            passed: [0; Place::ALL.len()],
            awaited: 0,
            drives: 0,
            poll_at_ms: u64::MAX,
            polling: false,
            store_ahead_ms: 0,
            clock: Clock::starting_at(BEGINNING_MS),
        }
    }
}

impl Worker {
    /// What its clock shows.
    pub(crate) fn clock(&self, now_ms: u64) -> Time {
        Time::from_millis(self.clock.shows_ms(now_ms))
    }

    /// An answer tells the store's clock.
    pub(crate) fn store_shows(&mut self, now_ms: u64, shown: Time) {
        self.store_ahead_ms = shown.as_millis() as i64 - self.clock(now_ms).as_millis() as i64;
    }

    /// What it takes the store's clock to show.
    ///
    /// Due times are the store's. Held against a clock of the worker's own that lags by 17 s: (1) a backoff of 0.1 s is
    /// due; (2) the worker claims the execution, takes it for due in 17 s, and parks it until a time that has passed;
    /// (3) it claims it again, and so on for 17 s.
    pub(crate) fn store_clock(&self, now_ms: u64) -> Time {
        Time::from_millis(self.clock(now_ms).as_millis().saturating_add_signed(self.store_ahead_ms))
    }

    /// How long it takes until its clock shows `at`, in milliseconds.
    pub(crate) fn until_ms(&self, now_ms: u64, at: Time) -> u64 {
        self.lasts_ms(at.since(self.clock(now_ms)))
    }

    /// How long a span by its clock really lasts, in milliseconds.
    pub(crate) fn lasts_ms(&self, span: Span) -> u64 {
        self.clock.lasts_ms(span.as_millis())
    }

    /// The clock jumps.
    pub(crate) fn jump(&mut self, now_ms: u64, by_ms: i64) {
        self.clock.jump(now_ms, by_ms);
    }

    /// The clock changes its speed.
    pub(crate) fn drift(&mut self, now_ms: u64, ppm: i64) {
        self.clock.drift(now_ms, ppm);
    }

    /// The process ends.
    pub(crate) fn crash(&mut self) {
        self.up = false;
        self.stopping = false;
        self.incarnation += 1;
        self.paused_until_ms = 0;
        self.armed = Armed::default();
        self.passed = [0; Place::ALL.len()];
        self.drives = 0;
        self.poll_at_ms = u64::MAX;
        self.polling = false;
    }
}
