//! The rows that the store keeps, what must hold of them, and how columns become rows.

pub mod decode;
pub mod execution;
pub mod invariants;
pub mod step;
