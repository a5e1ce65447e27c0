//! One call of a traced process, to look into while it stands still: what it is done to, and with which bytes.

use std::os::unix::fs::FileExt;

use nix::sys::ptrace;
use nix::unistd::Pid;

/// Whether the call is about to be done or has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Not done yet.
    Before,
    /// Done, with this answer: a count, or an error's number, negative.
    After(i64),
}

/// A call that touches the outside, of a process that is being watched.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The call, as the kernel names it.
    pub call: &'static str,
    /// What it is done to, in a word: see [`crate::boundary::TARGETS`]. For calls that name a path: `path`.
    pub target: &'static str,
    /// The file, as `/proc` names it, or the path that the call names.
    pub path: String,
    /// Before or after.
    pub moment: Moment,
    thread: Pid,
    descriptor: u64,
    arguments: [u64; 3],
}

impl Seen {
    /// The call that the thread stands before; nothing if its registers cannot be read, or it is done to nothing that
    /// has a name.
    pub(super) fn of_descriptor(thread: Pid, call: &'static str, target: &'static str) -> Option<Self> {
        let [descriptor, second, third, fourth] = arguments(thread)?;
        let path = std::fs::read_link(format!("/proc/{thread}/fd/{descriptor}")).ok()?;
        let path = path.to_string_lossy().into_owned();
        let arguments = [second, third, fourth];
        Some(Seen { call, target, path, moment: Moment::Before, thread, descriptor, arguments })
    }

    /// The same, for a call that names a path: one that makes, removes or renames a file.
    pub(super) fn of_path(thread: Pid) -> Option<Self> {
        let number = number(thread)?;
        let &(call, _, at, flags_at) = PATH_CALLS.iter().find(|(_, of, ..)| *of == number)?;
        let all = arguments(thread)?;
        if flags_at.is_some_and(|at| all[at] & CREATES == 0) {
            return None;
        }
        let path = String::from_utf8(until_nul(thread, all[at])?).ok()?;
        let arguments = [all[1], all[2], all[3]];
        Some(Seen { call, target: "path", path, moment: Moment::Before, thread, descriptor: u64::MAX, arguments })
    }

    /// Where in its file a write begins, in bytes.
    pub fn offset(&self) -> Option<u64> {
        if self.call == "pwrite64" {
            return Some(self.arguments[2]);
        }
        let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{}", self.thread, self.descriptor)).ok()?;
        info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok())
    }

    /// The length that a truncation gives its file, in bytes.
    pub fn length(&self) -> u64 {
        self.arguments[0]
    }

    /// What `write`, `pwrite64` or `sendto` is given to write.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.arguments[1]).ok()?];
        memory(self.thread)?.read_exact_at(&mut bytes, self.arguments[0]).ok()?;
        Some(bytes)
    }
}

fn memory(thread: Pid) -> Option<std::fs::File> {
    std::fs::File::open(format!("/proc/{thread}/mem")).ok()
}

/// A text of the process's, up to its end or to the longest that a path may be.
fn until_nul(thread: Pid, address: u64) -> Option<Vec<u8>> {
    let (memory, mut text) = (memory(thread)?, Vec::new());
    // Byte by byte: the page behind its last one may not be there.
    while text.len() < 4_096 {
        let mut byte = [0];
        memory.read_exact_at(&mut byte, address + text.len() as u64).ok()?;
        if byte[0] == 0 {
            return Some(text);
        }
        text.push(byte[0]);
    }
    None
}

/// Calls that name a path: which of their arguments it is, and which holds flags that say whether the call makes a file.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const PATH_CALLS: [(&str, u64, usize, Option<usize>); 6] = {
    use nix::libc;
    [
        ("open", libc::SYS_open as u64, 0, Some(1)),
        ("openat", libc::SYS_openat as u64, 1, Some(2)),
        ("unlink", libc::SYS_unlink as u64, 0, None),
        ("unlinkat", libc::SYS_unlinkat as u64, 1, None),
        ("rename", libc::SYS_rename as u64, 0, None),
        ("renameat2", libc::SYS_renameat2 as u64, 1, None),
    ]
};
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
const PATH_CALLS: [(&str, u64, usize, Option<usize>); 0] = [];

const CREATES: u64 = nix::libc::O_CREAT as u64;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn number(thread: Pid) -> Option<u64> {
    Some(ptrace::getregs(thread).ok()?.orig_rax)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn arguments(thread: Pid) -> Option<[u64; 4]> {
    let registers = ptrace::getregs(thread).ok()?;
    Some([registers.rdi, registers.rsi, registers.rdx, registers.r10])
}

/// What the call that the thread has just done answered.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn answered(thread: Pid) -> Option<i64> {
    Some(ptrace::getregs(thread).ok()?.rax.cast_signed())
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn number(_: Pid) -> Option<u64> {
    None
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn arguments(_: Pid) -> Option<[u64; 4]> {
    None
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn answered(_: Pid) -> Option<i64> {
    None
}
