use crate::world::World;
use crate::world::action::Action;
use crate::world::state::State;
use hydra_protocol::Protocol;
pub fn told<P: Protocol + ?Sized + Sync + 'static>(_world: &World<P>, _from: &State, action: &Action) -> String { format!("{action:?}") }
pub fn describe<P: Protocol + ?Sized + Sync + 'static>(_world: &World<P>, state: &State) -> String { format!("{state:?}") }
