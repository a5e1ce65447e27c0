//! What processes have used: CPU and memory, by the system's own account. Zero where it keeps none.

use std::collections::HashMap;

/// CPU of processes and all that they have started, in seconds.
pub fn cpu_s(roots: &[i32]) -> f64 {
    let all = processes();
    let ticks: u64 = tree(roots, &all).iter().filter_map(|pid| all.get(pid)).map(|process| process.ticks).sum();
    // The clock of /proc has had 100 ticks a second on every Linux of the last twenty years.
    ticks as f64 / 100.0
}

/// The most memory that each of them and of their children has held, added up, in MiB. What they share counts for each.
pub fn peak_mib(roots: &[i32]) -> f64 {
    let kib: f64 = tree(roots, &processes()).iter().map(|pid| status_kib(*pid, "VmHWM:")).sum();
    kib / 1_024.0
}

/// Forgets the most memory that this process has held until now.
pub fn forget_peak() {
    // Where the system has no such file, the peak is that of all that was measured so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// This process.
pub fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

fn status_kib(pid: i32, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0.0)
}

struct Process {
    parent: i32,
    /// Of itself, and of its children that have ended.
    ticks: u64,
}

fn processes() -> HashMap<i32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name before may hold spaces and brackets.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
            Some((pid, Process { parent: fields.get(1)?.parse().ok()?, ticks }))
        })
        .collect()
}

fn tree(roots: &[i32], all: &HashMap<i32, Process>) -> Vec<i32> {
    let mut found = roots.to_vec();
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = all.iter().filter(|(pid, process)| process.parent == parent && !found.contains(pid));
        let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        at += 1;
    }
    found
}
