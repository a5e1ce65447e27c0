//! What the kernel says of this process (Linux; nothing elsewhere).

/// The most memory it has held, in bytes.
pub(super) fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Processor time of all its threads, in seconds.
pub(super) fn cpu_seconds() -> Option<f64> {
    /// The unit of these fields, on every Linux.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in brackets, may hold anything; after it come the state and then numbers.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn memory_and_time_are_those_of_this_process() {
        let before = (super::peak_bytes().unwrap(), super::cpu_seconds().unwrap());
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(super::peak_bytes().unwrap() >= before.0.max(block.len() as u64));
        while super::cpu_seconds().unwrap() < before.1 + 0.02 {
            std::hint::black_box(block.iter().filter(|&&byte| byte == 1).count());
        }
    }
}
