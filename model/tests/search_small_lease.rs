//! The worked example, right and wrong, and pinned counts that stateright and Spin agree with.

use hydra_model::search::small_lease::{Action, SmallLease};
use hydra_model::search::{Kind, Options, Outcome, Verdict, explore};
use stateright::{Checker, Model};

const RIGHT: SmallLease = SmallLease { workers: 2, executions: 2, steps: 2, attempts: 2, fence: true };

fn run(model: &SmallLease, options: &Options) -> Outcome<SmallLease> {
    explore(model, options, &mut |_| {})
}

#[test]
fn the_right_one_is_proved_with_and_without_symmetry() {
    for symmetry in [false, true] {
        let report = run(&RIGHT, &Options { symmetry, ..Options::default() }).report;
        assert_eq!(report.verdict, Verdict::ProvedInScope, "{report:#?}");
        assert!(report.passes.iter().all(|pass| pass.outcome == hydra_model::search::PassOutcome::Held));
    }
}

#[test]
fn without_the_fence_a_zombie_settles_by_the_shortest_schedule() {
    for symmetry in [false, true] {
        let model = SmallLease { fence: false, ..RIGHT };
        let outcome = run(&model, &Options { symmetry, ..Options::default() });
        assert_eq!(outcome.report.verdict, Verdict::Violated);
        let finding = &outcome.report.findings[0];
        assert_eq!((finding.property, finding.kind, finding.steps), ("no stale write", Kind::Edge, 5));
        let actions: Vec<_> = outcome.counterexamples[0].steps.iter().map(|(action, _)| *action).collect();
        use Action::*;
        assert!(
            matches!(actions[..], [Claim(w, e), Begin(b), Effect(f), Expire(x), Settle(s)]
            if w == b && w == f && w == s && e == x),
            "{actions:?}"
        );
    }
}

/// `model/spin/count.sh W X 2 2` prints the same counts: three implementations of the same transitions agree.
#[test]
fn counts_agree_with_stateright_and_with_what_spin_printed() {
    let spin = [((1, 1), 43), ((2, 1), 235), ((2, 2), 11_417), ((3, 2), 95_715)];
    for ((workers, executions), expected) in spin {
        let model = SmallLease { workers, executions, ..RIGHT };
        assert_eq!(run(&model, &Options::default()).report.distinct, expected);
        assert_eq!(model.checker().spawn_bfs().join().unique_state_count() as u64, expected);
        assert_eq!(model.checker().spawn_dfs().join().unique_state_count() as u64, expected);
    }
}
