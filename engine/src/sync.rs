//! The primitives that whatever threads and tasks share is written over: loom's when loom explores it (`engine/loom`),
//! the standard library's else.

#[cfg(loom)]
pub use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard};
