//! A process whose wall clock is wrong: it tells the wrong time, and its waits are as long as they were meant.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use hydra_live::process::clock::Clocks;
use serde_json::Value;

const HOUR_S: f64 = 3_600.0;
/// What a wait of [`ASKED_S`] may take on a busy machine; an hour is far beyond it.
const WAITED_MAX_S: f64 = 60.0;
const ASKED_S: f64 = 0.05;

/// Asks for the time in every way, and waits in every way, for a moment by its own reckoning.
const PROGRAM: &str = r#"
import ctypes, datetime, json, select, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
class Timespec(ctypes.Structure): _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
class Timeval(ctypes.Structure): _fields_ = [("seconds", ctypes.c_long), ("microseconds", ctypes.c_long)]
WALL, MONOTONIC, ABSOLUTE, TIMED_OUT = 0, 1, 1, 110
libc.time.restype = ctypes.c_long

def of(fill, kind, *more):
    now = kind()
    fill(*more[:1], ctypes.byref(now), *more[1:])
    return now.seconds + getattr(now, "nanoseconds", 0) / 1e9 + getattr(now, "microseconds", 0) / 1e6

def timespec_get():
    now = Timespec()
    assert libc.timespec_get(ctypes.byref(now), 1) == 1 and libc.timespec_get(ctypes.byref(now), 9) == 0
    return now.seconds + now.nanoseconds / 1e9

def soon(clock):
    at = (time.time() if clock == WALL else time.monotonic()) + ASKED
    return ctypes.byref(Timespec(int(at), int(at % 1 * 1e9)))

def waits(wait, answer):
    began = time.monotonic()
    got = wait()
    if got == -1:
        got = ctypes.get_errno()
    return {"took": time.monotonic() - began, "right": got == answer}

def locked(make, lock):
    it = ctypes.create_string_buffer(256)
    make(it)
    # By another thread: whoever holds a lock is not made to wait for it.
    if lock:
        thread = threading.Thread(target=lock, args=(it,))
        thread.start()
        thread.join()
    return it

def condition(clock):
    about, it, mutex = (ctypes.create_string_buffer(256) for _ in range(3))
    libc.pthread_condattr_init(about)
    libc.pthread_condattr_setclock(about, clock)
    libc.pthread_cond_init(it, about)
    libc.pthread_mutex_init(mutex, None)
    libc.pthread_mutex_lock(mutex)
    return it, mutex

semaphore = locked(lambda it: libc.sem_init(it, 0, 0), None)
mutex = locked(lambda it: libc.pthread_mutex_init(it, None), libc.pthread_mutex_lock)
rwlock = locked(lambda it: libc.pthread_rwlock_init(it, None), libc.pthread_rwlock_wrlock)
told = {
    "clock_gettime": of(libc.clock_gettime, Timespec, WALL),
    "coarse": of(libc.clock_gettime, Timespec, 5),
    "gettimeofday": of(lambda now: libc.gettimeofday(now, None), Timeval),
    "time": float(libc.time(None)),
    "timespec_get": timespec_get(),
    "python": datetime.datetime.now().timestamp(),
}
after = {}
def wait(name, function, answer):
    after[name] = waits(function, answer)
wait("sleep", lambda: time.sleep(ASKED), None)
wait("event", lambda: threading.Event().wait(ASKED), False)
wait("select", lambda: select.select([], [], [], ASKED)[0], [])
pause = Timespec(0, int(ASKED * 1e9))
wait("sleeps a while", lambda: libc.clock_nanosleep(WALL, 0, ctypes.byref(pause), None), 0)
for clock in (WALL, MONOTONIC):
    wait(f"sleeps until {clock}", lambda: libc.clock_nanosleep(clock, ABSOLUTE, soon(clock), None), 0)
    for name, it in [("sem", semaphore), ("pthread_mutex", mutex), ("pthread_rwlock", rwlock)]:
        kinds = {"sem": ["wait"], "pthread_mutex": ["lock"], "pthread_rwlock": ["rdlock", "wrlock"]}[name]
        for kind in kinds:
            by = getattr(libc, f"{name}_clock{kind}")
            wait(f"{name} {kind} by {clock}", lambda: by(it, clock, soon(clock)), TIMED_OUT)
            if clock == WALL:
                timed = getattr(libc, f"{name}_timed{kind}")
                wait(f"{name} {kind}", lambda: timed(it, soon(clock)), TIMED_OUT)
    wait(f"condition of {clock}", lambda: libc.pthread_cond_timedwait(*condition(clock), soon(clock)), TIMED_OUT)
    wait(f"condition by {clock}", lambda: libc.pthread_cond_clockwait(*condition(WALL), clock, soon(clock)), TIMED_OUT)
print(json.dumps({"told": told, "monotonic": time.clock_gettime(MONOTONIC), "after": after}))
"#;

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What the program tells, its clock so far ahead.
fn told(by_s: f64) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clocks::new(folder.path()).unwrap().of("A", true).unwrap();
    assert!(!clock.is_looked_at());
    #[expect(clippy::cast_possible_truncation, reason = "whole hours")]
    clock.jump((by_s * 1_000.0) as i64).unwrap();
    // A wait until the wrong hour would be one for an hour.
    let mut program = Command::new("timeout");
    program.args(["100", "python3", "-c", &PROGRAM.replace("ASKED", &ASKED_S.to_string())]);
    program.env("LD_PRELOAD", clock.library()).envs([clock.file()]);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(clock.is_looked_at());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_time_of_day_is_wrong_and_no_wait_is() {
    for by_s in [0.0, -HOUR_S, -0.5, 1e-3, HOUR_S] {
        let before = now();
        let said = told(by_s);
        for (name, time) in said["told"].as_object().unwrap() {
            // Some of them know whole seconds, or those of the last tick.
            let wrong = before - 1.1 + by_s..now() + by_s + 1e-3;
            assert!(wrong.contains(&time.as_f64().unwrap()), "{by_s}: {name}: {time} is not in {wrong:?}");
        }
        let waits = said["after"].as_object().unwrap();
        assert_eq!(waits.len(), 22);
        for (name, wait) in waits {
            let took = wait["took"].as_f64().unwrap();
            // The monotonic clock and the wall clock go at speeds that differ by a little.
            assert!((ASKED_S * 0.9..WAITED_MAX_S).contains(&took), "{by_s}: {name} took {took} s");
            assert_eq!(wait["right"], true, "{by_s}: {name}");
        }
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!((said["monotonic"].as_f64().unwrap() - uptime).abs() < WAITED_MAX_S, "{said}");
    }
}

#[test]
fn a_process_without_its_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clocks::new(folder.path()).unwrap().of("A", true).unwrap();
    let mut program = Command::new("date");
    let missing = program.env("LD_PRELOAD", clock.library()).env("HYDRA_CLOCK", folder.path().join("none"));
    let output = missing.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("HYDRA_CLOCK names cannot be mapped"), "{said}");
}
