//! What a process holds of the machine, and whether that is flat.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// A look at the process.
#[derive(Clone, Copy)]
pub struct Sample {
    at: Duration,
    resident_bytes: u64,
    file_bytes: u64,
    log_bytes: u64,
    open_files: u64,
    ended: u64,
    faults: u64,
}

impl Sample {
    pub const HEADING: &'static str = "       s  executions  faults  resident MiB  file MiB  log MiB  open files";

    /// Looks at this process and at the store's file.
    pub fn take(at: Duration, file: &Path, ended: u64, faults: u64) -> Self {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Sample {
            at,
            resident_bytes: resident_bytes(),
            file_bytes: size(file),
            log_bytes: size(&file.with_extension("sqlite-wal")),
            open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            ended,
            faults,
        }
    }
}

/// What this process holds of the machine's memory; zero where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1_024)
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { at, resident_bytes, file_bytes, log_bytes, open_files, ended, faults } = self;
        let [resident, file, log] = [resident_bytes, file_bytes, log_bytes].map(|bytes| mib(*bytes));
        let seconds = at.as_secs();
        write!(f, "{seconds:>8}  {ended:>10}  {faults:>6}  {resident:>12.1}  {file:>8.1}  {log:>7.1}  {open_files:>10}")
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// All samples of a run.
#[derive(Default)]
pub struct Figures(Vec<Sample>);

/// One figure: its name, how to read it, its unit in so many, and how much more of it is no growth.
struct Figure {
    name: &'static str,
    of: fn(&Sample) -> u64,
    unit: (&'static str, f64),
    slack: u64,
}

const FIGURES: [Figure; 4] = [
    Figure { name: "memory", of: |sample| sample.resident_bytes, unit: ("MiB", 1_048_576.0), slack: 4 << 20 },
    Figure { name: "file", of: |sample| sample.file_bytes, unit: ("MiB", 1_048_576.0), slack: 1 << 20 },
    Figure { name: "log", of: |sample| sample.log_bytes, unit: ("MiB", 1_048_576.0), slack: 4 << 20 },
    Figure { name: "open files", of: |sample| sample.open_files, unit: ("", 1.0), slack: 4 },
];

impl Figures {
    pub fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// The highest in the second quarter of the run, and in the last. The first is for warming up.
    fn highest(&self, of: fn(&Sample) -> u64) -> Option<(u64, u64)> {
        let quarter = self.0.len() / 4;
        let highest = |samples: &[Sample]| samples.iter().map(of).max();
        Some((highest(self.0.get(quarter..2 * quarter)?)?, highest(self.0.get(3 * quarter..)?)?))
    }

    /// Flat: the highest of the last quarter is at most a tenth, and the slack, above the highest of the second.
    fn is_flat(&self, figure: &Figure) -> bool {
        self.highest(figure.of).is_some_and(|(early, late)| late <= early + early / 10 + figure.slack)
    }

    pub fn are_flat(&self) -> bool {
        FIGURES.iter().all(|figure| self.is_flat(figure))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nFlat: the highest of the last quarter is at most 10 % and a slack above that of the second.")?;
        for figure in &FIGURES {
            let Some((early, late)) = self.highest(figure.of) else {
                writeln!(f, "{:>10}: too few samples to say", figure.name)?;
                continue;
            };
            let (unit, size) = figure.unit;
            let verdict = if self.is_flat(figure) { "flat" } else { "GROWS" };
            let [early, late, slack] = [early, late, figure.slack].map(|count| count as f64 / size);
            writeln!(f, "{:>10}: {verdict}: {early:.1}, then {late:.1} {unit} (slack {slack:.0})", figure.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(resident_bytes: impl Fn(u64) -> u64) -> Figures {
        let sample = |at: u64| Sample {
            at: Duration::from_secs(at),
            resident_bytes: resident_bytes(at),
            file_bytes: 1,
            log_bytes: 1,
            open_files: 9,
            ended: at,
            faults: 0,
        };
        Figures((0..40).map(sample).collect())
    }

    #[test]
    fn growth_is_told_from_warming_up() {
        let mib = |mib: u64| mib << 20;
        assert!(figures(|at| mib(100 + at.min(8) * 10)).are_flat(), "it grows for a fifth of the time");
        assert!(!figures(|at| mib(100 + at * 2)).are_flat(), "it never stops growing");
        assert!(!Figures::default().are_flat(), "nobody has looked");
    }
}
