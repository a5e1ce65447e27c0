//! How much of the model's states simulated runs visit, on scopes that the model exhausts.

use hydra_simulation::coverage::{Until, measure, models};

/// Each has at least so much of a hundred after so few runs; more runs visit more (`hydra simulate --coverage`).
const PERCENT_MIN: f64 = 20.0;

#[test]
fn simulated_runs_visit_what_the_model_knows() {
    let models = models();
    assert!(models.len() >= 3, "only {} models of the small scope have workloads of the simulator", models.len());
    for model in models {
        let few = measure(&model, Until::Runs(50)).unwrap();
        let more = measure(&model, Until::Runs(2_000)).unwrap();
        assert!(
            more.visited > few.visited,
            "{}: {} states in 50 runs, {} in 2,000",
            model.name,
            few.visited,
            more.visited
        );
        assert!(more.percent() >= PERCENT_MIN, "{}: {:.1} % of {}", model.name, more.percent(), more.known);
        assert!(
            more.outside * 20 <= more.visited,
            "{}: {} states beside {} that the model has, such as {:?}",
            model.name,
            more.outside,
            more.visited,
            more.stranger
        );
    }
}
