//! The judge of the core's own property tests, as it stands there: ghosts that remember what every sender was told.

#[path = "../../../engine/protocol/tests/protocol/property.rs"]
#[allow(dead_code, reason = "the lossy network's are not needed here")]
pub mod property;
#[path = "../../../engine/protocol/tests/protocol/schedule.rs"]
#[expect(dead_code, reason = "moves are chosen by bytes here, not by proptest")]
pub mod schedule;
#[path = "../../../engine/protocol/tests/protocol/store.rs"]
#[expect(dead_code, reason = "only part of it is needed here")]
pub mod store;
#[path = "../../../engine/protocol/tests/protocol/watch.rs"]
pub mod watch;
