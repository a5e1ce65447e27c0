//! A worker's clock that can be made to jump: libfaketime, where it is installed, reads the offset from a file.

use std::path::{Path, PathBuf};

/// What to tell where it is missing.
pub const MISSING: &str = "not injected: libfaketime is not installed; on Debian and Ubuntu: apt-get install faketime";

/// libfaketime for programs with threads, if it is installed.
pub fn library() -> Option<PathBuf> {
    let system = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = system.chain(["/usr/lib", "/usr/local/lib"].map(PathBuf::from));
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file())
}

/// The environment of a process whose clock is offset by what `file` says. A monotonic clock never jumps.
pub fn environment(library: &Path, file: &Path) -> [(&'static str, String); 5] {
    [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Removes what libfaketime leaves in memory when its process is killed: a semaphore and a page, named after it, which its
/// children share.
pub(super) fn forget(pid: i32) {
    for name in left_in_memory(pid) {
        drop(std::fs::remove_file(name));
    }
}

fn left_in_memory(pid: i32) -> [String; 2] {
    [format!("/dev/shm/faketime_shm_{pid}"), format!("/dev/shm/sem.faketime_sem_{pid}")]
}

/// Sets the offset.
pub fn set(file: &Path, by_ms: i64) -> std::io::Result<()> {
    let sign = if by_ms < 0 { '-' } else { '+' };
    // Whole, or not at all: it is read at any moment.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{sign}{}.{:03}\n", by_ms.unsigned_abs() / 1_000, by_ms.unsigned_abs() % 1_000))?;
    std::fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_another_process_jumps() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock-A");
        let Some(library) = library() else {
            // Nothing to try it with; an audit says so in its report.
            return assert!(MISSING.contains("apt-get install"));
        };
        let seconds = || {
            let output = std::process::Command::new("date").arg("+%s").envs(environment(&library, &file)).output();
            String::from_utf8(output.unwrap().stdout).unwrap().trim().parse::<i64>().unwrap()
        };
        set(&file, 0).unwrap();
        let before = seconds();
        set(&file, 7_200_500).unwrap();
        assert!((7_000..7_900).contains(&(seconds() - before)));
        set(&file, -7_200_500).unwrap();
        assert!((-7_900..-7_000).contains(&(seconds() - before)));
    }
}
