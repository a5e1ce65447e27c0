//! The contradiction, spelled out with the names at hand.

use crate::story;
use crate::world::World;
use crate::world::action::Action;
use crate::world::state::State;
use hydra_protocol::Protocol;
use hydra_schedule::Property;

/// Why `property` does not hold of this edge, in one or two sentences.
pub(crate) fn why<P: Protocol + ?Sized + Sync + 'static>(
    world: &World<P>,
    property: Property,
    from: &State,
    action: &Action,
    _to: &State,
) -> String {
    format!("{}: {}.", property.info().when_broken, story::told(world, from, action))
}
