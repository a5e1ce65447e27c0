//! Time on the processor: what else runs on the machine is no affair of ours.

use std::time::Duration;

/// A moment of this thread's time on the processor.
#[derive(Clone, Copy, Debug)]
pub struct Cpu(Duration);

impl Cpu {
    /// The time that this thread has had so far: by the kernel's count; elsewhere than on Linux, by the clock.
    pub fn now() -> Self {
        let kernel = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let spent = kernel.and_then(|text| text.split_whitespace().next()?.parse().ok());
        let clock = || std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Cpu(spent.map_or_else(clock, Duration::from_nanos))
    }

    /// What it has had since.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}
