//! Workloads: whatever is read reads back, as JSON and as the `program` lines of a schedule.

use hydra_simulation::workload::Workload;

use crate::Judged;
use crate::text::round_trip;

/// Judges the reader and the writer.
pub fn judge(bytes: &[u8]) -> Judged {
    judge_writer(bytes, |workload| workload.to_lines().join("\n"))
}

/// The same with this writer of `program` lines.
pub fn judge_writer(bytes: &[u8], write: impl Fn(&Workload) -> String) -> Judged {
    let text = String::from_utf8_lossy(bytes);
    let lines = |text: &str| Workload::from_lines(&text.lines().collect::<Vec<_>>());
    round_trip(&text, lines, &write)?;
    if let Ok(workload) = Workload::from_json(&text) {
        match lines(&write(&workload)) {
            Ok(back) if back == workload => {}
            other => return Err(format!("{workload:#?}\nreads back as {other:#?}")),
        }
        for program in &workload.programs {
            // A driver asks for these of every program.
            let _ = (program.lasts_ms(), program.steps().count());
        }
    }
    Ok(())
}
