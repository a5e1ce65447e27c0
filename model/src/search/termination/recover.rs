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
        let text = if self.faults_help(lost)? {
            "only a fault could lead from here to done"
        } else {
            "no way leads from here to done"
        };
        let trace = self.replayer.path(&graph.path_to(lost as u32)).ok_or(Why::NotReproducible)?;
        Ok(Some((text.to_string(), trace)))
    }

    /// Whether some way leads from a state to done if faults may help. Their edges are not stored, so the states on the
    /// way are expanded again.
    fn faults_help(&self, lost: usize) -> Result<bool, Why> {
        let (graph, model) = (self.graph, self.replayer.model);
        self.may_go_on(graph.done.bytes())?;
        let mut seen = graph.done.with_words(vec![0; graph.done.words().len()]);
        let (mut todo, mut actions) = (vec![lost], Vec::new());
        while let Some(id) = todo.pop() {
            if graph.done.get(id) {
                return Ok(true);
            }
            self.may_go_on(0)?;
            let state = model.unpack(&graph.states.get(id));
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let target = model.next_state(&state, action).filter(|to| model.within_boundary(to));
                let target = target.and_then(|to| graph.table.find(&self.replayer.stored(&to), &graph.states));
                todo.extend(target.map(|target| target as usize).filter(|&target| seen.insert(target)));
            }
        }
        Ok(false)
    }
}
