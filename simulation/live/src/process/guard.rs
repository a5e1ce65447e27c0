//! Nothing is left behind, also when the auditor is killed.
//!
//! `hydra audit` starts itself a second time and watches: the first process is the guard, the second does the work. If
//! the second dies, the guard ends every process that carries the audit's mark and removes its folder. If the guard is
//! killed, the second is told by the kernel and does the same. If both are, the kernel ends the subjects' processes with
//! their keepers, and the next audit removes what remains.

use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The mark: the audit's folder, in the environment of every process of it.
const MARK: &str = "HYDRA_AUDIT_FOLDER";
/// How the folders of audits begin.
pub(crate) const PREFIX: &str = "hydra-audit-";
/// The exit code of work that was ended at once.
const ENDED: i32 = 2;

/// Runs `work` with a folder of its own, under guard; answers its exit code.
///
/// The flag is set by the first SIGINT or SIGTERM: the work is to come to an end. The second ends it at once.
pub fn guarded(work: impl FnOnce(&Path, Arc<AtomicBool>) -> u8) -> anyhow::Result<u8> {
    if let Some(folder) = std::env::var_os(MARK).map(PathBuf::from) {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, of, guard) = (stop.clone(), folder.clone(), parent_id());
        ctrlc::set_handler(move || {
            // Without its guard nobody else will clean up.
            if told.swap(true, Ordering::SeqCst) || parent_id() != guard {
                clean(&of);
                std::process::exit(ENDED);
            }
            eprintln!("stopping: what was done is still told; once more ends at once");
        })?;
        set_pdeathsig(Signal::SIGTERM)?;
        // A guard that was killed before this line is not told of: its name stands in the folder.
        let named = std::fs::read_to_string(folder.join("guard")).ok().and_then(|text| text.parse().ok());
        if named != Some(parent_id()) {
            clean(&folder);
            return Ok(u8::try_from(ENDED).unwrap_or(u8::MAX));
        }
        let code = work(&folder, stop);
        clean(&folder);
        return Ok(code);
    }
    sweep_old();
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?.keep();
    std::fs::write(folder.join("guard"), std::process::id().to_string())?;
    // A subject's processes may run as another user and must be able to reach their own folders in here.
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    // Before there is anything to tell: (1) the work begins, and says so; (2) it is interrupted; (3) nobody has asked to
    // be told of that yet, and whoever began all this had it ignored.
    let worker = Arc::new(Mutex::new(Worker::default()));
    let told = worker.clone();
    ctrlc::set_handler(move || lock(&told).interrupt())?;
    let child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg0("hydra-auditor")
        .env(MARK, &folder)
        .process_group(0)
        .spawn();
    let result = child.map_err(anyhow::Error::from).and_then(|mut child| {
        lock(&worker).began(Pid::from_raw(i32::try_from(child.id())?));
        let status = child.wait()?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2))
    });
    clean(&folder);
    result
}

/// The process that does the work, as soon as it is there, and how often it was to be interrupted.
#[derive(Default)]
struct Worker {
    pid: Option<Pid>,
    asked: u32,
}

impl Worker {
    fn began(&mut self, pid: Pid) {
        self.pid = Some(pid);
        if self.asked > 0 {
            _ = kill(pid, Signal::SIGTERM);
        }
    }

    /// The first signal asks for the report of what was done; the third does not ask.
    fn interrupt(&mut self) {
        let signal = if self.asked < 2 { Signal::SIGTERM } else { Signal::SIGKILL };
        self.asked += 1;
        if let Some(pid) = self.pid {
            _ = kill(pid, signal);
        }
    }
}

fn lock(worker: &Mutex<Worker>) -> MutexGuard<'_, Worker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends whatever still carries the mark, and removes the folder.
fn clean(folder: &Path) {
    for _ in 0..20 {
        let left = marked(folder);
        if left.is_empty() {
            break;
        }
        for pid in left {
            _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(std::fs::remove_dir_all(folder));
}

/// The processes of this audit but the two of its own.
fn marked(folder: &Path) -> Vec<i32> {
    let mark = format!("{MARK}={}", folder.display());
    let me = std::process::id();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != me)
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .filter_map(|pid| i32::try_from(pid).ok())
        .collect()
}

/// Removes the folders of audits whose guard is gone.
fn sweep_old() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let guard = std::fs::read_to_string(entry.path().join("guard")).ok().and_then(|text| text.parse().ok());
        if let Some(guard) = guard.filter(|_| is_ours)
            && !super::exists(guard)
        {
            clean(&entry.path());
        }
    }
}
