//! How an audit stands: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Elsewhere than on a terminal, a line each so often.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Tells how an audit stands.
pub(super) struct Progress {
    bar: ProgressBar,
    time: Duration,
    started: Instant,
    told: Mutex<Instant>,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(subject: &str, time: Duration) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} runs  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(subject.to_owned());
        let now = Instant::now();
        Progress { bar, time, started: now, told: Mutex::new(now), terminal }
    }

    pub(super) fn total(&self, runs: u64) {
        self.bar.set_length(runs);
    }

    pub(super) fn ran(&self, name: &str, findings: u64) {
        self.bar.inc(1);
        let left = self.time.saturating_sub(self.started.elapsed()).as_secs();
        let message = format!("{findings} with findings, at most {left} s left: {name}");
        self.bar.set_message(message.clone());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.terminal && told.elapsed() >= LINE_EVERY {
            *told = Instant::now();
            eprintln!("{}/{} runs, {message}", self.bar.position(), self.bar.length().unwrap_or(0));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
