//! How much slower than its own speed this machine is, because others want it too.

use std::time::Duration;

/// Waits are never stretched further than this.
const STRETCH_MAX: f64 = 4.0;
/// An audit alone brings about two tasks for each processor.
const STRAINED: f64 = 4.0;

/// A wait for something that takes so long on a machine of our own, as long as it may take here and now: by the tasks
/// that want to run for each processor. A wait that is too short calls a slow machine a broken engine.
pub(crate) fn stretched_ms(ms: u64) -> u64 {
    stretch(ms, tasks_per_processor())
}

/// Whether a healthy worker may be kept from its lease by others: what falls now may be the machine's doing.
pub(crate) fn is_strained() -> bool {
    tasks_per_processor() > STRAINED
}

fn tasks_per_processor() -> f64 {
    let processors = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0);
    load / f64::from(processors)
}

/// The same as a duration.
pub(crate) fn stretched(ms: u64) -> Duration {
    Duration::from_millis(stretched_ms(ms))
}

fn stretch(ms: u64, tasks_per_processor: f64) -> u64 {
    let factor = tasks_per_processor.clamp(1.0, STRETCH_MAX);
    (ms as f64 * factor) as u64
}

#[cfg(test)]
mod tests {
    use super::stretch;

    #[test]
    fn a_wait_is_stretched_by_load_and_never_shortened() {
        assert_eq!(stretch(1_000, 0.1), 1_000);
        assert_eq!(stretch(1_000, 2.5), 2_500);
        assert_eq!(stretch(1_000, 100.0), 4_000);
    }
}
