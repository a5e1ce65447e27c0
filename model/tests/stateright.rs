//! stateright's own checkers over the same models see the same states. They know no symmetry that ours could be held
//! against, so all searches go without.

use hydra_model::scopes::Scope;
use hydra_model::search::{Options, explore};
use hydra_model::world::World;
use hydra_protocol::Reference;
use stateright::{Checker, Model};

#[test]
fn stateright_counts_the_same_distinct_states() {
    for model in Scope::Smoke.models() {
        let world = || World::new(model.bounds.clone(), &Reference).unwrap();
        let ours = explore(&world(), &Options::default(), &mut |_| {}).report.distinct;
        let bfs = world().checker().spawn_bfs().join();
        assert_eq!(bfs.unique_state_count() as u64, ours, "{}, breadth first", model.name);
        let dfs = world().checker().spawn_dfs().join();
        assert_eq!(dfs.unique_state_count() as u64, ours, "{}, depth first", model.name);
        bfs.assert_properties();
    }
}
