//! The measure that falls on every step.

use super::World;
use super::state::State;
use hydra_protocol::Protocol;

impl<P: Protocol + ?Sized + Sync + 'static> World<P> {
    pub(super) fn measure(&self, _state: &State) -> Option<u64> {
        None
    }
}
