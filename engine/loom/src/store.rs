//! The store's signals, with a key that stands in for the store's own.

#[path = "../../src/store/signals.rs"]
pub mod signals;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExecutionKey(pub i64);
