//! Tier 3, *fair livelock*: a run that makes steps for ever, outside done, although the world lets it.
//!
//! Such a run ends up in a cycle of [`Role::Step`] edges: a cycle through the environment or a fault is the world's
//! doing. States from which every run of steps ends are peeled off; what remains holds all cycles.
//!
//! A cycle is no livelock if it neglects a weak-fairness class, one that is enabled in each of its states and never
//! taken. A whole strongly connected component is judged at once: the run that visits all of it is fair to every class
//! that any run inside is fair to.
//!
//! Among representatives a cycle is only a candidate, so it is executed round after round until a real state recurs
//! (the permutations are finite, so one does). Weak fairness is not judged there at all: permuting the parts may mix
//! the classes up.

use super::scc::Digraph;
use super::sweep::Joins;
use super::{Answer, Context};
use crate::search::bits::WORD;
use crate::search::checkable::{Checkable, Role};
use crate::search::edges::Block;
use crate::search::report::Why;
use crate::search::trace::Trace;

/// Rounds of a cycle among representatives before it is given up; permutations of interchangeable parts are far fewer.
const ROUNDS_MAX: usize = 100_000;
/// Bytes of the component search a state, and a state's edges, roughly.
const MEMBER_BYTES: usize = 96;

/// A step of a cycle: the stored state it leads to, and the fairness class it has to take, if it is there for that.
type Hop<P> = (P, Option<u8>);

/// The states that cycles can run through, and the steps among them.
struct Remains {
    /// State numbers, ascending; a node of `steps` is a place in here.
    members: Vec<u32>,
    steps: Digraph,
}

impl<M: Checkable> Context<'_, M> {
    pub(super) fn livelock(&self) -> Answer<M> {
        let ends = self.close(&self.graph.done, Joins::OnNone, |role, is_in| !is_in && role == Role::Step)?;
        let count = ends.zeros().count();
        if count == 0 {
            return Ok(None);
        }
        self.may_go_on(ends.bytes() + count * MEMBER_BYTES)?;
        let remains = self.remains(ends.zeros().map(|id| id as u32).collect());
        for component in remains.steps.cycles() {
            if let Some(tour) = self.fair_tour(&remains, &component)? {
                let entry = remains.members[component[0] as usize];
                let stem = self.replayer.path(&self.graph.path_to(entry)).ok_or(Why::NotReproducible)?;
                let trace = self.go_round(stem, &tour).ok_or(Why::NotReproducible)?;
                let length = trace.steps.len() - trace.cycle_start.unwrap_or(0);
                return Ok(Some((
                    format!("{length} steps lead back to the same state, and nothing forbids it"),
                    trace,
                )));
            }
        }
        Ok(None)
    }

    fn remains(&self, members: Vec<u32>) -> Remains {
        let mut steps = Digraph { starts: vec![0], targets: Vec::new() };
        let (mut block, mut loaded) = (Block::default(), None);
        for &id in &members {
            let at = id as usize / WORD;
            if loaded != Some(at) {
                self.graph.edges.read(at, &mut block);
                loaded = Some(at);
            }
            for &(target, role) in block.of(id as usize % WORD) {
                if role == Role::Step
                    && let Ok(node) = members.binary_search(&target)
                {
                    steps.targets.push(node as u32);
                }
            }
            steps.starts.push(steps.targets.len() as u32);
        }
        Remains { members, steps }
    }

    /// A cycle from the first state of the component that is fair to every class; `None` if none is.
    fn fair_tour(&self, remains: &Remains, component: &[u32]) -> Result<Option<Vec<Hop<M::Packed>>>, Why> {
        let classes = self.classes(remains, component);
        if classes.enabled_always != 0 || classes.disabled_at.iter().any(Option::is_some) {
            if self.options.symmetry {
                return Err(Why::FairnessUnderSymmetry);
            }
            if (0..64).any(|class| classes.enabled_always >> class & 1 == 1 && classes.taken[class].is_none()) {
                return Ok(None);
            }
        }
        let entry = component[0];
        let inside = |node: u32| component.binary_search(&node).is_ok();
        let stored = |node: u32| self.graph.states.get(remains.members[node as usize] as usize);
        let (mut here, mut hops) = (entry, Vec::new());
        let go = |here: &mut u32, to: u32, hops: &mut Vec<Hop<M::Packed>>| {
            let path = remains.steps.path(*here, to, inside).expect("a component is strongly connected");
            hops.extend(path.into_iter().map(|node| (stored(node), None)));
            *here = to;
        };
        for class in 0..64 {
            if classes.enabled_always >> class & 1 == 1 {
                let (from, to) = classes.taken[class].expect("checked above");
                if here != from {
                    go(&mut here, from, &mut hops);
                }
                hops.push((stored(to), Some(class as u8)));
                here = to;
            } else if let Some(node) = classes.disabled_at[class]
                && here != node
            {
                go(&mut here, node, &mut hops);
            }
        }
        if hops.is_empty() || here != entry {
            go(&mut here, entry, &mut hops);
        }
        Ok(Some(hops))
    }

    fn classes(&self, remains: &Remains, component: &[u32]) -> Classes {
        let mut classes = Classes { enabled_always: u64::MAX, disabled_at: vec![None; 64], taken: vec![None; 64] };
        let (mut actions, mut enabled_somewhere) = (Vec::new(), 0);
        let model = self.replayer.model;
        for &node in component {
            let state = model.unpack(&self.graph.states.get(remains.members[node as usize] as usize));
            let mut enabled = 0_u64;
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let (role, class) = (model.role(&action), model.fair_class(&action));
                let Some(class) = class.filter(|_| role != Role::Fault) else {
                    continue;
                };
                assert!(class < 64, "fairness classes are below 64");
                let Some(to) = model.next_state(&state, action) else {
                    continue;
                };
                enabled |= 1 << class;
                if role == Role::Step && classes.taken[class as usize].is_none() {
                    let target = self.graph.table.find(&self.replayer.stored(&to), &self.graph.states);
                    let target = target.and_then(|id| remains.members.binary_search(&id).ok());
                    let target = target.map(|at| at as u32).filter(|at| component.binary_search(at).is_ok());
                    classes.taken[class as usize] = target.map(|target| (node, target));
                }
            }
            enabled_somewhere |= enabled;
            classes.enabled_always &= enabled;
            for class in (0..64).filter(|class| enabled >> class & 1 == 0) {
                classes.disabled_at[class].get_or_insert(node);
            }
        }
        // A class that is enabled nowhere asks for nothing.
        for class in (0..64).filter(|class| enabled_somewhere >> class & 1 == 0) {
            classes.disabled_at[class] = None;
        }
        classes
    }

    /// Executes the cycle after the stem until a real state recurs.
    fn go_round(&self, stem: Trace<M>, tour: &[Hop<M::Packed>]) -> Option<Trace<M>> {
        let mut trace = stem;
        let first = trace.steps.len();
        for round in 0..ROUNDS_MAX {
            let starts = (0..round).map(|round| first + round * tour.len());
            if let Some(start) = starts.into_iter().find(|&start| trace.state(start) == trace.last()) {
                trace.cycle_start = Some(start);
                return Some(trace);
            }
            for (target, class) in tour {
                let step = self.replayer.step(trace.last(), |action, to| {
                    self.replayer.model.role(action) == Role::Step
                        && (class.is_none() || self.replayer.model.fair_class(action) == *class)
                        && self.replayer.stored(to) == *target
                })?;
                trace.steps.push(step);
            }
        }
        None
    }
}

/// What a component does with the fairness classes.
struct Classes {
    /// Bits of the classes that are enabled in every state.
    enabled_always: u64,
    /// A state in which the class is not enabled, for classes that are enabled elsewhere.
    disabled_at: Vec<Option<u32>>,
    /// A step of the class from one state of the component to another.
    taken: Vec<Option<(u32, u32)>>,
}
