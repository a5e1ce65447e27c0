//! Foreign processes: started, watched, stopped, and never left behind.
//!
//! Each process has a keeper: the thread that starts it, waits for it and, where asked, traces it. The kernel kills the
//! process when its keeper's thread dies ([`launch`]), and the guard ends what is left when the whole auditor dies.

pub mod clock;
mod descriptor;
pub mod guard;
pub mod launch;
mod output;
mod request;
pub mod seen;
pub mod trace;

use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

pub use output::{FLOOD_MAX_BYTES, Line, Output};
use trace::Trace;

use crate::strain;

/// How a process is started.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Environment variables beside the inherited ones.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub folder: std::path::PathBuf,
    /// As which user and group, if not as ours.
    pub user: Option<(u32, u32)>,
}

/// A process that is killed when this is dropped.
pub struct Process {
    shared: Arc<Shared>,
    pid: Pid,
    keeper: Option<JoinHandle<()>>,
    /// Its standard input, until it is closed.
    pub stdin: Option<ChildStdin>,
    /// What it prints.
    pub output: Output,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    exit: Option<String>,
    trace: Option<Trace>,
    traced: Option<Result<(), String>>,
    held: bool,
    resume: bool,
}

/// How long it may take until every thread of a process is traced, in milliseconds.
const TRACED_MS: u64 = 5_000;
/// How often a keeper that does not trace looks whether its process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Process {
    /// Starts it, in a process group of its own.
    pub fn start(program: &Program, stderr: Option<&Path>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let (tell, told) = mpsc::channel();
        let (program, kept) = (program.clone(), shared.clone());
        let name = program.command.first().cloned().unwrap_or_default();
        let keeper = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            let mut command = launch::command(&program);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            match command.spawn() {
                Err(error) => drop(tell.send(Err(error))),
                Ok(mut child) => {
                    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
                    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
                    drop(tell.send(Ok((pid, pipes))));
                    keep(pid, &kept);
                }
            }
        })?;
        let started = told.recv().unwrap_or_else(|_| Err(std::io::Error::other("its keeper died")));
        let (pid, (stdin, stdout, errors)) = started
            .map_err(|error| std::io::Error::new(error.kind(), format!("{name:?} cannot be started: {error}")))?;
        let output = Output::read(stdout, errors, stderr)?;
        strain::watch(pid.as_raw());
        Ok(Process { shared, pid, keeper: Some(keeper), stdin, output })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<String> {
        self.shared.lock().exit.clone()
    }

    /// Sends a signal to its whole group, while it lives.
    pub fn signal(&self, signal: Signal) {
        // Under the lock: the keeper takes it before the process id can mean another process.
        let state = self.shared.lock();
        if state.exit.is_none() {
            _ = killpg(self.pid, signal);
        }
    }

    /// Kills its group and waits until it is gone.
    pub fn kill(&mut self) {
        strain::watch_no_more(self.pid.as_raw());
        self.signal(Signal::SIGKILL);
        self.shared.change(|state| state.resume = true);
        if let Some(keeper) = self.keeper.take() {
            drop(keeper.join());
        }
        // Descendants that outlived it: the group exists as long as one of them does.
        _ = killpg(self.pid, Signal::SIGKILL);
    }

    /// Asks it to end, waits, then kills it.
    pub fn stop(&mut self, grace: Duration) {
        self.stdin = None;
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + grace;
        while self.exited().is_none() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
        self.kill();
    }

    /// Traces it from now on; answers once every thread of it is traced.
    pub fn trace(&self, trace: Trace) -> Result<(), String> {
        self.shared.change(|state| state.trace = Some(trace));
        let within = strain::stretched(TRACED_MS);
        let until = Instant::now() + within;
        let mut state = self.shared.lock();
        loop {
            if let Some(result) = state.traced.take() {
                return result;
            }
            if let Some(how) = &state.exit {
                return Err(format!("it ended before it could be traced: {how}"));
            }
            if Instant::now() >= until {
                return Err(format!("it could not be traced within {within:?}"));
            }
            let waited = self.shared.changed.wait_timeout(state, Duration::from_millis(20));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it stands still at the place where its tracer was told to hold it.
    pub fn is_held(&self) -> bool {
        self.shared.lock().held
    }

    /// Lets it go on from where its tracer holds it.
    pub fn resume(&self) {
        self.shared.change(|state| state.resume = true);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the process; traces it once told to.
fn keep(pid: Pid, shared: &Shared) {
    loop {
        let trace = shared.lock().trace.take();
        if let Some(trace) = trace {
            let how = trace::follow(pid, trace, shared);
            shared.change(|state| state.exit = Some(how));
            return;
        }
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => {
                return shared.change(|state| state.exit = Some(format!("exit code {code}")));
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                return shared.change(|state| state.exit = Some(format!("killed by {signal}")));
            }
            Err(error) => return shared.change(|state| state.exit = Some(error.to_string())),
            Ok(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Whether a process of this id exists.
pub fn exists(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}
