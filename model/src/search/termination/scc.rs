//! Strongly connected components that contain a cycle (Tarjan's algorithm, without recursion).

/// A directed graph over `0..len`, all targets in one array.
pub(super) struct Digraph {
    /// Where the targets of each node start; one entry more than there are nodes.
    pub(super) starts: Vec<u32>,
    pub(super) targets: Vec<u32>,
}

impl Digraph {
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn of(&self, node: u32) -> &[u32] {
        &self.targets[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// Components with a cycle, each in ascending order, by their smallest node.
    pub(super) fn cycles(&self) -> Vec<Vec<u32>> {
        const NEW: u32 = u32::MAX;
        let mut index = vec![NEW; self.len()];
        let mut low = vec![0; self.len()];
        let mut is_on_stack = vec![false; self.len()];
        let (mut stack, mut calls, mut components) = (Vec::new(), Vec::new(), Vec::new());
        let mut visited = 0;
        for root in 0..self.len() as u32 {
            if index[root as usize] != NEW {
                continue;
            }
            calls.push((root, 0));
            while let Some((node, edge)) = calls.pop() {
                let at = node as usize;
                if edge == 0 {
                    index[at] = visited;
                    low[at] = visited;
                    visited += 1;
                    stack.push(node);
                    is_on_stack[at] = true;
                } else {
                    // Back from the child that edge `edge - 1` called.
                    low[at] = low[at].min(low[self.of(node)[edge - 1] as usize]);
                }
                let mut called = false;
                for (next, &target) in self.of(node).iter().enumerate().skip(edge) {
                    if index[target as usize] == NEW {
                        calls.push((node, next + 1));
                        calls.push((target, 0));
                        called = true;
                        break;
                    } else if is_on_stack[target as usize] {
                        low[at] = low[at].min(index[target as usize]);
                    }
                }
                if !called && low[at] == index[at] {
                    let start = stack.iter().rposition(|&member| member == node).expect("it is on the stack");
                    let mut component = stack.split_off(start);
                    component.iter().for_each(|&member| is_on_stack[member as usize] = false);
                    if component.len() > 1 || self.of(node).contains(&node) {
                        component.sort_unstable();
                        components.push(component);
                    }
                }
            }
        }
        components.sort_unstable_by_key(|component| component[0]);
        components
    }

    /// A shortest path of at least one edge from `from` to `to` whose nodes all satisfy `inside`; without `from`.
    pub(super) fn path(&self, from: u32, to: u32, inside: impl Fn(u32) -> bool) -> Option<Vec<u32>> {
        let mut parents = std::collections::HashMap::new();
        let mut queue = std::collections::VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for &target in self.of(node) {
                if !inside(target) || parents.contains_key(&target) {
                    continue;
                }
                parents.insert(target, node);
                if target == to {
                    let mut path = vec![to];
                    let mut at = node;
                    while at != from {
                        path.push(at);
                        at = parents[&at];
                    }
                    path.reverse();
                    return Some(path);
                }
                queue.push_back(target);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Digraph;

    #[test]
    fn finds_loops_and_components_but_no_trees() {
        // 0 -> 1 <-> 2, 0 -> 3 -> 4, 4 -> 4, 5 -> 0
        let graph = Digraph { starts: vec![0, 2, 3, 4, 5, 6, 7], targets: vec![1, 3, 2, 1, 4, 4, 0] };
        assert_eq!(graph.cycles(), [vec![1, 2], vec![4]]);
        assert_eq!(graph.path(1, 1, |_| true), Some(vec![2, 1]));
        assert_eq!(graph.path(0, 4, |_| true), Some(vec![3, 4]));
        assert_eq!(graph.path(4, 4, |_| true), Some(vec![4]));
        assert_eq!(graph.path(3, 1, |_| true), None);
    }
}
