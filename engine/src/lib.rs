//! A durable workflow engine: embeddable, on SQLite or in memory.

pub mod store;
