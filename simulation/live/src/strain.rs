//! How much slower than its own speed this machine runs the processes of an audit, because others want it too.
//!
//! The kernel accounts for each task the time that it ran and the time that it was ready to run and had to wait. The
//! load of the machine would not do: it counts the tasks of others that give way to ours.

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Waits are never stretched further than this.
const STRETCH_MAX: f64 = 4.0;
/// An audit alone makes its own processes wait for each other: about twice as long as they would take one by one.
const STRAINED: f64 = 4.0;
/// How often it is measured anew.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// Less than this since the last time says nothing, in nanoseconds.
const RAN_MIN_NS: u64 = 20_000_000;

static GAUGE: LazyLock<Mutex<Gauge>> = LazyLock::new(Mutex::default);

/// A wait for something that takes so long on a machine of our own, as long as it may take here and now. A wait that is
/// too short calls a slow machine a broken engine.
pub(crate) fn stretched_ms(ms: u64) -> u64 {
    stretch(ms, slowness())
}

/// The same as a duration.
pub(crate) fn stretched(ms: u64) -> Duration {
    Duration::from_millis(stretched_ms(ms))
}

/// Whether a healthy worker may be kept from its lease by others: what falls now may be the machine's doing.
pub(crate) fn is_strained() -> bool {
    slowness() > STRAINED
}

/// From now on this process is measured.
pub(crate) fn watch(pid: i32) {
    lock().processes.insert(pid);
}

/// It is gone.
pub(crate) fn watch_no_more(pid: i32) {
    lock().processes.remove(&pid);
}

fn lock() -> std::sync::MutexGuard<'static, Gauge> {
    GAUGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many times longer than alone the audit's processes take: 1 where they never wait.
pub(crate) fn slowness() -> f64 {
    let mut gauge = lock();
    if gauge.measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
        let processes = gauge.processes.clone();
        let now = processes.into_iter().flat_map(tasks).collect();
        gauge.measure(now);
        gauge.measured = Some(Instant::now());
    }
    gauge.slowness
}

/// Nanoseconds that a task ran, and that it waited to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Times {
    ran: u64,
    waited: u64,
}

struct Gauge {
    processes: BTreeSet<i32>,
    tasks: HashMap<i32, Times>,
    measured: Option<Instant>,
    slowness: f64,
}

impl Default for Gauge {
    fn default() -> Self {
        Gauge { processes: BTreeSet::new(), tasks: HashMap::new(), measured: None, slowness: 1.0 }
    }
}

impl Gauge {
    /// What the tasks ran and waited since the last time; what was measured before counts half.
    fn measure(&mut self, now: HashMap<i32, Times>) {
        let (mut ran, mut waited) = (0_u64, 0_u64);
        for (task, times) in &now {
            let before = self.tasks.get(task).copied().unwrap_or_default();
            ran += times.ran.saturating_sub(before.ran);
            waited += times.waited.saturating_sub(before.waited);
        }
        if ran < RAN_MIN_NS && waited < RAN_MIN_NS {
            return;
        }
        let slowness = (ran + waited) as f64 / ran.max(1) as f64;
        self.slowness = f64::midpoint(self.slowness, slowness.min(10.0 * STRETCH_MAX));
        self.tasks = now;
    }
}

/// The tasks of a process; none where the kernel keeps no account.
fn tasks(pid: i32) -> impl Iterator<Item = (i32, Times)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| {
        let id = task.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
        Some((id, Times { ran: numbers.next()??, waited: numbers.next()?? }))
    })
}

fn stretch(ms: u64, slowness: f64) -> u64 {
    let factor = slowness.clamp(1.0, STRETCH_MAX);
    (ms as f64 * factor) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_stretched_by_slowness_and_never_shortened() {
        assert_eq!(stretch(1_000, 0.1), 1_000);
        assert_eq!(stretch(1_000, 2.5), 2_500);
        assert_eq!(stretch(1_000, 100.0), 4_000);
    }

    #[test]
    fn slowness_is_the_share_of_waiting_since_the_last_time() {
        let times = |ran, waited| HashMap::from([(1, Times { ran, waited })]);
        let mut gauge = Gauge::default();
        gauge.measure(times(1_000_000_000, 0));
        assert_eq!(gauge.slowness, 1.0);
        // It ran for a second and waited for two.
        gauge.measure(times(2_000_000_000, 2_000_000_000));
        assert_eq!(gauge.slowness, 2.0);
        // Hardly anything since then.
        gauge.measure(times(2_000_001_000, 2_000_900_000));
        assert_eq!(gauge.slowness, 2.0);
    }

    #[test]
    fn this_process_is_accounted_for() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(tasks(me).count() > 0);
    }
}
