//! What every store can be told.

use std::sync::Arc;
use std::time::Duration;

use hydra_protocol::Reference;

use super::apply::Rules;
use super::{Clock, SystemClock};

/// What every store can be told, whatever it keeps its rows in.
#[derive(Clone)]
pub struct StoreOptions {
    /// The rules it goes by. Tests of the checkers put known-wrong ones here.
    pub rules: Rules,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// No input, output or error may be longer, in bytes. 16 MiB.
    pub payload_bytes_max: usize,
    /// A transactional body must have committed within this time; then its transaction is undone. 1 s.
    pub body_time_max: Duration,
    /// So many commands are committed together at most. 1,024.
    pub batch_commands_max: usize,
    /// So many commands wait for the writer at most; who comes then waits for a place. 4,096.
    pub queue_commands_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            rules: &Reference,
            clock: Arc::new(SystemClock),
            payload_bytes_max: 16 << 20,
            body_time_max: Duration::from_secs(1),
            batch_commands_max: 1_024,
            queue_commands_max: 4_096,
        }
    }
}
