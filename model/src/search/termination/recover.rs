//! Tier 2, *cannot recover*: from every state some way leads to done (AG EF done), without the help of a fault.
//!
//! A fault may never happen, so a state that only a crash can lead out of is lost as well; the text tells the two apart.

use super::sweep::Joins;
use super::{Answer, Context};
use crate::search::checkable::{Checkable, Role};
use crate::search::report::Why;

impl<M: Checkable> Context<'_, M> {
    pub(super) fn recover(&self) -> Answer<M> {
        let graph = self.graph;
        let recovers = self.close(&graph.done, Joins::OnAny, |role, is_in| is_in && role != Role::Fault)?;
        // States are numbered breadth first, so the first that is left has the shortest path.
        let Some(lost) = recovers.zeros().next() else {
            return Ok(None);
        };
        let with_faults = self.close(&graph.done, Joins::OnAny, |_, is_in| is_in)?;
        let text = if with_faults.get(lost) {
            "only a fault could lead from here to done"
        } else {
            "no way leads from here to done"
        };
        let trace = self.replayer.path(&graph.path_to(lost as u32)).ok_or(Why::NotReproducible)?;
        Ok(Some((text.to_string(), trace)))
    }
}
