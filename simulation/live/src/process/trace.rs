//! Seen from outside with ptrace: every system call that touches the outside, counted; a fault before the one named.
//!
//! All of a process's tracing happens on its keeper's thread, as the kernel demands. A call is stopped at its entry, so
//! a kill there leaves it undone, and a failure there is the call's own answer.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Shared;
use super::descriptor::Descriptors;
use super::request::{self, Requests};
use super::seen::{self, Moment, Seen};
use crate::boundary::{Site, call_name};
use crate::placed::{self, Act, Counts, NextTrigger};

/// How a process is to be traced.
pub struct Trace {
    /// Where the worker was last seen: a site's anchor.
    pub anchor: Box<dyn Fn() -> String + Send>,
    /// The port of the auditor's door: calls to it do not count.
    pub door: u16,
    /// The ports of its store.
    pub store: Vec<u16>,
    /// Whether its store speaks PostgreSQL's protocol, so that requests can be told apart.
    pub postgres: bool,
    /// What to do, and where: the next one is put here when the last has struck.
    pub trigger: NextTrigger,
    /// Where the calls are counted.
    pub counts: Counts,
    /// Sees every call that is counted, those that read files, and those that make, remove or rename them, before and
    /// after it is done.
    pub watch: Option<Watch>,
}

/// Looks at a call; before it is done, says what to do there.
pub type Watch = Box<dyn FnMut(&Seen) -> Option<Act> + Send>;

/// What `ptrace` says of a stop at a system call.
const ENTRY: u8 = 1;

struct Tracer<'a> {
    pid: Pid,
    shared: &'a Shared,
    trace: Trace,
    descriptors: Descriptors,
    /// Threads whose next exit from a call answers this error.
    failing: HashMap<Pid, Errno>,
    /// Threads inside of a call that is watched.
    watched: HashMap<Pid, Seen>,
    /// Threads that are known.
    threads: Vec<Pid>,
    requests: Requests,
}

/// Traces until the process has ended; answers how it did.
pub(super) fn follow(pid: Pid, trace: Trace, shared: &Shared) -> String {
    let descriptors = Descriptors::new(trace.door, trace.store.clone());
    let mut tracer = Tracer {
        pid,
        shared,
        trace,
        descriptors,
        failing: HashMap::new(),
        watched: HashMap::new(),
        threads: Vec::new(),
        requests: Requests::default(),
    };
    let seized = tracer.seize();
    let failed = seized.is_err();
    shared.change(|state| state.traced = Some(seized));
    if failed {
        return wait_untraced(pid);
    }
    tracer.run()
}

fn wait_untraced(pid: Pid) -> String {
    match waitpid(pid, None) {
        Ok(WaitStatus::Exited(_, code)) => format!("exit code {code}"),
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

impl Tracer<'_> {
    /// Seizes every thread; again until no new one is found, since threads may be born meanwhile.
    fn seize(&mut self) -> Result<(), String> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        loop {
            let before = self.threads.len();
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid))
                .map_err(|error| format!("its threads cannot be read: {error}"))?;
            for task in tasks.flatten() {
                let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else {
                    continue;
                };
                if self.threads.contains(&tid) {
                    continue;
                }
                match ptrace::seize(tid, options) {
                    Ok(()) => {
                        self.threads.push(tid);
                        _ = ptrace::interrupt(tid);
                    }
                    // Ended meanwhile, or traced already as the child of one that was seized.
                    Err(Errno::ESRCH) => {}
                    Err(Errno::EPERM) if before > 0 || !self.threads.is_empty() => self.threads.push(tid),
                    Err(error) => return Err(format!("this machine does not permit ptrace: {error}")),
                }
            }
            if self.threads.len() == before {
                return Ok(());
            }
        }
    }

    fn run(&mut self) -> String {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.pid => return format!("exit code {code}"),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.pid => return format!("killed by {signal}"),
                Ok(WaitStatus::PtraceSyscall(tid)) => self.call(tid),
                // A real signal: passed on.
                Ok(WaitStatus::Stopped(tid, signal)) => go_on(tid, (signal != Signal::SIGSTOP).then_some(signal)),
                // Births, interrupts and group stops.
                Ok(WaitStatus::PtraceEvent(tid, _, _)) => go_on(tid, None),
                Ok(_) | Err(Errno::EINTR) => {}
                // No child of this thread is left.
                Err(_) => return "gone".to_owned(),
            }
        }
    }

    /// A thread stands at the entry or the exit of a call.
    fn call(&mut self, tid: Pid) {
        let entry = ptrace::syscall_info(tid).is_ok_and(|info| info.op == ENTRY);
        if !entry {
            if let Some(error) = self.failing.remove(&tid) {
                answer(tid, error);
            }
            self.was_watched(tid);
            return go_on(tid, None);
        }
        let act = self.counted(tid);
        match act {
            None | Some(Act::Tell) => go_on(tid, None),
            Some(Act::Kill) => _ = kill(self.pid, Signal::SIGKILL),
            Some(Act::Fail(error)) => {
                if skip(tid) {
                    self.failing.insert(tid, error);
                }
                go_on(tid, None);
            }
            Some(Act::Hold) => self.hold(tid),
        }
    }

    /// Shows the call to who watches; what they say to do.
    fn watched(&mut self, tid: Pid, seen: impl FnOnce() -> Option<Seen>) -> Option<Act> {
        let watch = self.trace.watch.as_mut()?;
        let seen = seen()?;
        let act = watch(&seen);
        self.watched.insert(tid, seen);
        act
    }

    /// Shows the call again, now that it is done.
    fn was_watched(&mut self, tid: Pid) {
        if let Some(mut seen) = self.watched.remove(&tid)
            && let (Some(watch), Some(answer)) = (self.trace.watch.as_mut(), seen::answered(tid))
        {
            seen.moment = Moment::After(answer);
            _ = watch(&seen);
        }
    }

    /// Counts the call; what to do if this is the place.
    fn counted(&mut self, tid: Pid) -> Option<Act> {
        let (number, [descriptor, second, third]) = number_and_arguments(tid)?;
        let Some(call) = call_name(number) else {
            return self.watched(tid, || Seen::of_path(tid));
        };
        let (target, link) = self.descriptors.target(tid, descriptor)?;
        // Reading a file changes nothing outside, so it is no place; reading a connection takes an answer.
        if matches!(call, "read" | "readv" | "pread64") && !matches!(target, "store" | "net") {
            return self.watched(tid, || Seen::of_descriptor(tid, call, target));
        }
        let request = if call == "fcntl" {
            Some(request::lock(tid, second, third)?)
        } else if target == "store" && self.trace.postgres {
            match call {
                "read" | "readv" | "recvfrom" | "recvmsg" => self.requests.answered(&link),
                _ => self.requests.sent(&link, &request::outgoing(tid, call, second, third)),
            }
        } else {
            None
        };
        let site = Site { call, target, anchor: (self.trace.anchor)(), request };
        let nth = placed::count(&self.trace.counts, &site);
        if let Some(act) = self.watched(tid, || Seen::of_descriptor(tid, call, target)) {
            return Some(act);
        }
        let mut trigger = placed::take(&self.trace.trigger, &site, nth)?;
        (trigger.fired)();
        Some(trigger.act)
    }

    /// Stops every other thread too, waits to be told to go on, and lets all go.
    fn hold(&mut self, first: Pid) {
        let mut stopped = vec![(first, None)];
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        for task in tasks {
            let tid = task.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw);
            let Some(tid) = tid.filter(|tid| *tid != first) else { continue };
            if ptrace::interrupt(tid).is_err() {
                continue;
            }
            match waitpid(tid, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Stopped(_, signal)) => stopped.push((tid, Some(signal))),
                Ok(WaitStatus::PtraceSyscall(_)) => {
                    // At an entry or exit: it goes on there as if it had been stopped between two calls.
                    if let Some(error) = self.failing.remove(&tid) {
                        answer(tid, error);
                    }
                    stopped.push((tid, None));
                }
                Ok(_) => stopped.push((tid, None)),
                Err(_) => {}
            }
        }
        self.shared.change(|state| state.held = true);
        let mut state = self.shared.lock();
        while !state.resume {
            let waited = self.shared.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.resume = false;
        drop(state);
        for (tid, signal) in stopped {
            go_on(tid, signal);
        }
    }
}

/// On to the next call. A thread that has just been killed is no error.
fn go_on(tid: Pid, signal: Option<Signal>) {
    _ = ptrace::syscall(tid, signal);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn number_and_arguments(tid: Pid) -> Option<(u64, [u64; 3])> {
    let registers = ptrace::getregs(tid).ok()?;
    Some((registers.orig_rax, [registers.rdi, registers.rsi, registers.rdx]))
}

/// The call is not done: no call has this number.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn skip(tid: Pid) -> bool {
    let Ok(mut registers) = ptrace::getregs(tid) else { return false };
    registers.orig_rax = u64::MAX;
    ptrace::setregs(tid, registers).is_ok()
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn answer(tid: Pid, error: Errno) {
    if let Ok(mut registers) = ptrace::getregs(tid) {
        registers.rax = i64::from(-(error as i32)).cast_unsigned();
        _ = ptrace::setregs(tid, registers);
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn number_and_arguments(_: Pid) -> Option<(u64, [u64; 3])> {
    None
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn skip(_: Pid) -> bool {
    false
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn answer(_: Pid, _: Errno) {}
