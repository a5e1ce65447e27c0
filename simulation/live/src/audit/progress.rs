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
    terminal: bool,
    now: Mutex<Now>,
}

struct Now {
    phase: &'static str,
    /// No new run of this phase after it.
    until: Instant,
    findings: u64,
    told: Instant,
}

impl Progress {
    pub(super) fn new(subject: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} runs  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(subject.to_owned());
        let started = Instant::now();
        let now = Mutex::new(Now { phase: "a run without faults", until: started, findings: 0, told: started });
        Progress { bar, terminal, now }
    }

    /// A new kind of run begins: so many are planned (0: as many as there is time for), until then.
    pub(super) fn phase(&self, phase: &'static str, runs: u64, until: Instant) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        (now.phase, now.until) = (phase, until);
        self.bar.set_position(0);
        self.bar.set_length(runs);
        self.tell(&mut now, "");
    }

    pub(super) fn ran(&self, name: &str, found: bool) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.findings += u64::from(found);
        self.bar.inc(1);
        self.tell(&mut now, name);
    }

    fn tell(&self, now: &mut Now, name: &str) {
        let left = now.until.saturating_duration_since(Instant::now()).as_secs();
        let message = format!("{}: {} runs with findings, at most {left} s left  {name}", now.phase, now.findings);
        self.bar.set_message(message.clone());
        if !self.terminal && (name.is_empty() || now.told.elapsed() >= LINE_EVERY) {
            now.told = Instant::now();
            eprintln!("{}/{} {message}", self.bar.position(), self.bar.length().unwrap_or(0));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
