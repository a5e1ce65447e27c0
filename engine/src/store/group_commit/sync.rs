//! The primitives that [`super::queue`] is written over: loom's when loom explores it, the standard library's else.

#[cfg(loom)]
pub use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard};
