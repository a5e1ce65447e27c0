//! Loaded into a worker before its own libraries (`LD_PRELOAD`): the wall clock is wrong by what a file says, at any
//! moment, and nothing else is: no monotonic clock, no wait for a while.
//!
//! Where a program waits until a time of day, it has reckoned that with the wrong clock; the kernel is told what that
//! means by the right one. A wait that has begun before a jump is not cut short or drawn out by it. A program that does
//! not ask the C library for the time, as a static one does not, is not reached; the file says whether one did.

#![no_std]

use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

/// Names the file: two native 64-bit integers, the offset in nanoseconds, and 1 as soon as somebody has asked for
/// the time.
const FILE: &CStr = c"HYDRA_CLOCK";
const BYTES: usize = 16;
const NS: i64 = 1_000_000_000;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: c_long,
}

#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: c_long,
}

#[link(name = "c")]
unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn close(file: c_int) -> c_int;
    fn mmap(at: *mut c_void, bytes: usize, may: c_int, flags: c_int, file: c_int, from: i64) -> *mut c_void;
    fn write(file: c_int, bytes: *const c_void, count: usize) -> isize;
    fn _exit(code: c_int) -> !;
}

const NEXT: *mut c_void = -1_isize as *mut c_void;
const READ_WRITE: c_int = 0o2;
const CLOSE_ON_EXEC: c_int = 0o2_000_000;
const MAY_READ_AND_WRITE: c_int = 1 | 2;
const SHARED: c_int = 1;
const FAILED: *mut c_void = -1_isize as *mut c_void;

/// Where the offset stands, once it is known.
static OFFSET: AtomicPtr<AtomicI64> = AtomicPtr::new(null_mut());

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: unsafe extern "C" fn() = look;

unsafe extern "C" fn look() {
    let name = unsafe { getenv(FILE.as_ptr()) };
    if name.is_null() {
        return;
    }
    let file = unsafe { open(name, READ_WRITE | CLOSE_ON_EXEC) };
    let found = unsafe { mmap(null_mut(), BYTES, MAY_READ_AND_WRITE, SHARED, file, 0) };
    if file < 0 || found == FAILED {
        stop(c"the file that HYDRA_CLOCK names cannot be mapped\n");
    }
    unsafe { close(file) };
    let offset = found.cast::<AtomicI64>();
    OFFSET.store(offset, Ordering::Relaxed);
}

fn stop(why: &CStr) -> ! {
    unsafe {
        write(2, why.as_ptr().cast(), why.count_bytes());
        _exit(127)
    }
}

/// How far the wall clock is ahead, in nanoseconds.
fn ahead() -> i64 {
    let offset = OFFSET.load(Ordering::Relaxed);
    if offset.is_null() {
        return 0;
    }
    unsafe { &*offset.add(1) }.store(1, Ordering::Relaxed);
    unsafe { &*offset }.load(Ordering::Relaxed)
}

impl Timespec {
    fn later(self, by_ns: i64) -> Self {
        let nanoseconds = self.nanoseconds as i64 + by_ns % NS;
        let seconds = self.seconds + by_ns / NS + nanoseconds.div_euclid(NS);
        // There is no time before 1970 to wait for, or to tell.
        if seconds < 0 {
            return Timespec { seconds: 0, nanoseconds: 0 };
        }
        Timespec { seconds, nanoseconds: nanoseconds.rem_euclid(NS) as c_long }
    }
}

/// Whether a clock shows the time of day.
fn is_wall(clock: c_int) -> bool {
    const REALTIME: c_int = 0;
    const REALTIME_COARSE: c_int = 5;
    const REALTIME_ALARM: c_int = 8;
    const TAI: c_int = 11;
    matches!(clock, REALTIME | REALTIME_COARSE | REALTIME_ALARM | TAI)
}

/// The library's own function of this name, behind ours.
fn behind(name: &CStr, known: &AtomicPtr<c_void>) -> *mut c_void {
    let mut found = known.load(Ordering::Relaxed);
    if found.is_null() {
        found = unsafe { dlsym(NEXT, name.as_ptr()) };
        if found.is_null() {
            stop(c"this C library is too old to have its clock changed: glibc 2.30 or newer is wanted\n");
        }
        known.store(found, Ordering::Relaxed);
    }
    found
}

macro_rules! behind {
    ($name:literal as $kind:ty) => {{
        static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
        unsafe { transmute::<*mut c_void, $kind>(behind($name, &KNOWN)) }
    }};
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, now: *mut Timespec) -> c_int {
    let real = behind!(c"clock_gettime" as unsafe extern "C" fn(c_int, *mut Timespec) -> c_int);
    let result = unsafe { real(clock, now) };
    if result == 0 && is_wall(clock) {
        unsafe { *now = (*now).later(ahead()) };
    }
    result
}

fn wall() -> Timespec {
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(0, &mut now) };
    now
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(now: *mut Timeval, _zone: *mut c_void) -> c_int {
    let Timespec { seconds, nanoseconds } = wall();
    if !now.is_null() {
        unsafe { *now = Timeval { seconds, microseconds: nanoseconds / 1_000 } };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(at: *mut i64) -> i64 {
    let seconds = wall().seconds;
    if !at.is_null() {
        unsafe { *at = seconds };
    }
    seconds
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn timespec_get(now: *mut Timespec, base: c_int) -> c_int {
    const UTC: c_int = 1;
    if base != UTC {
        return 0;
    }
    unsafe { *now = wall() };
    base
}

/// A time of day by the right clock, that a program has reckoned with the wrong one.
unsafe fn rightly(clock: c_int, until: *const Timespec) -> Timespec {
    let until = unsafe { *until };
    if is_wall(clock) { until.later(-ahead()) } else { until }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: c_int,
    flags: c_int,
    time: *const Timespec,
    left: *mut Timespec,
) -> c_int {
    const ABSOLUTE: c_int = 1;
    type Real = unsafe extern "C" fn(c_int, c_int, *const Timespec, *mut Timespec) -> c_int;
    let real = behind!(c"clock_nanosleep" as Real);
    if flags & ABSOLUTE == 0 || time.is_null() {
        return unsafe { real(clock, flags, time, left) };
    }
    unsafe { real(clock, flags, &rightly(clock, time), left) }
}

/// A wait of the C library for `what` until a time by `clock`.
macro_rules! wait_by {
    ($name:ident, $own:literal) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(what: *mut c_void, clock: c_int, until: *const Timespec) -> c_int {
            let real = behind!($own as unsafe extern "C" fn(*mut c_void, c_int, *const Timespec) -> c_int);
            unsafe { real(what, clock, &rightly(clock, until)) }
        }
    };
}

/// The same, until a time of day.
macro_rules! wait {
    ($name:ident, $own:literal) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(what: *mut c_void, until: *const Timespec) -> c_int {
            let real = behind!($own as unsafe extern "C" fn(*mut c_void, *const Timespec) -> c_int);
            unsafe { real(what, &rightly(0, until)) }
        }
    };
}

wait!(sem_timedwait, c"sem_timedwait");
wait!(pthread_mutex_timedlock, c"pthread_mutex_timedlock");
wait!(pthread_rwlock_timedrdlock, c"pthread_rwlock_timedrdlock");
wait!(pthread_rwlock_timedwrlock, c"pthread_rwlock_timedwrlock");
wait_by!(sem_clockwait, c"sem_clockwait");
wait_by!(pthread_mutex_clocklock, c"pthread_mutex_clocklock");
wait_by!(pthread_rwlock_clockrdlock, c"pthread_rwlock_clockrdlock");
wait_by!(pthread_rwlock_clockwrlock, c"pthread_rwlock_clockwrlock");

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_clockwait(
    condition: *mut c_void,
    mutex: *mut c_void,
    clock: c_int,
    until: *const Timespec,
) -> c_int {
    type Real = unsafe extern "C" fn(*mut c_void, *mut c_void, c_int, *const Timespec) -> c_int;
    let real = behind!(c"pthread_cond_clockwait" as Real);
    unsafe { real(condition, mutex, clock, &rightly(clock, until)) }
}

/// It waits by the clock that the condition was made with, which cannot be asked. No machine has been up for thirty
/// years: what is that far from zero is a time of day.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cond_timedwait(
    condition: *mut c_void,
    mutex: *mut c_void,
    until: *const Timespec,
) -> c_int {
    const WALL: c_int = 0;
    const MONOTONIC: c_int = 1;
    const UPTIME_MAX_S: i64 = 30 * 365 * 24 * 3_600;
    // Not the function of the same name behind ours: glibc has two, of which the older one would be found.
    let clock = if unsafe { (*until).seconds } > UPTIME_MAX_S { WALL } else { MONOTONIC };
    unsafe { pthread_cond_clockwait(condition, mutex, clock, until) }
}

/// Nothing here panics; the language wants to know all the same.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    stop(c"HYDRA_CLOCK: a bug in the preloaded clock\n")
}
