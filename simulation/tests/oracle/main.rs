//! Every checker over histories written by hand: one that must be found, and near misses that must not.

mod bounds;
mod effects;
mod leases;
mod liveness;
mod merging;
mod status;
mod story;
mod timers;

pub(crate) const KEYED: &str = r#"{"step":{"id":"1","kind":"keyed"}}"#;
pub(crate) const TWO_KEYED: &str = r#"{"step":{"id":"1","kind":"keyed"}},{"step":{"id":"2","kind":"keyed"}}"#;
pub(crate) const ONCE: &str = r#"{"step":{"id":"1","kind":"at-most-once"}}"#;
pub(crate) const TRANSACTIONAL: &str = r#"{"step":{"id":"1","kind":"transactional"}}"#;
