//! Symmetry changes counts and nothing else; a symmetry that is none is reported, not believed.

mod search_support;

use hydra_model::search::{Checkable, Judge, Kind, Options, Outcome, Passes, Role, Verdict, Why, explore};
use search_support::Random;
use stateright::Model;

const PARTS: usize = 3;
const LOCALS: u8 = 3;
const SHARED: u8 = 3;

/// Interchangeable parts around a shared value, with rules drawn at random: a rule looks at the shared value and one
/// part, and changes both.
#[derive(Clone, Debug)]
struct Parts {
    rules: Vec<Rule>,
    initial: [u8; PARTS],
    /// Shared values that are done.
    done: Vec<bool>,
    /// Whether `canonical` sorts, or does something that is no symmetry.
    is_broken: bool,
    has_class: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    from: (u8, u8),
    to: (u8, u8),
    role: Role,
}

type State = (u8, [u8; PARTS]);

impl Parts {
    fn random(random: &mut Random) -> Parts {
        let pair = |random: &mut Random| (random.below(SHARED.into()) as u8, random.below(LOCALS.into()) as u8);
        let rules = (0..3 + random.below(6)).map(|_| Rule {
            from: pair(random),
            to: pair(random),
            role: [Role::Step, Role::Step, Role::Step, Role::Environment, Role::Fault][random.below(5)],
        });
        let rules = rules.collect();
        let done = (0..SHARED).map(|_| random.below(3) == 0).collect();
        Parts { initial: [0; PARTS], rules, done, is_broken: false, has_class: false }
    }
}

impl Model for Parts {
    type State = State;
    /// The part that moves, and how.
    type Action = (usize, Rule);

    fn init_states(&self) -> Vec<State> {
        vec![(0, self.initial)]
    }

    fn actions(&self, (shared, locals): &State, actions: &mut Vec<Self::Action>) {
        for (part, local) in locals.iter().enumerate() {
            let applies = |rule: &&Rule| rule.from == (*shared, *local);
            actions.extend(self.rules.iter().filter(applies).map(|rule| (part, *rule)));
        }
    }

    fn next_state(&self, (_, locals): &State, (part, rule): Self::Action) -> Option<State> {
        let mut locals = *locals;
        locals[part] = rule.to.1;
        Some((rule.to.0, locals))
    }
}

impl Checkable for Parts {
    type Packed = u64;

    fn pack(&self, (shared, [a, b, c]): &State) -> u64 {
        u64::from(u32::from_le_bytes([*shared, *a, *b, *c]))
    }

    fn unpack(&self, packed: &u64) -> State {
        let [shared, a, b, c] = (*packed as u32).to_le_bytes();
        (shared, [a, b, c])
    }

    fn canonical(&self, (shared, mut locals): State) -> State {
        if self.is_broken && locals == [0, 0, 1] {
            // Takes two different states for one another.
            return (shared, [0, 0, 2]);
        }
        locals.sort_unstable();
        (shared, locals)
    }

    fn check_state(&self, (_, locals): &State, judge: &mut Judge) {
        judge.require("never all in 2", *locals != [2; PARTS], || format!("{locals:?}"));
    }

    fn check_edge(&self, from: &State, _: &Self::Action, to: &State, judge: &mut Judge) {
        judge.require("never from 2 to 0", (from.0, to.0) != (2, 0), || format!("{from:?} -> {to:?}"));
    }

    fn is_done(&self, (shared, _): &State) -> bool {
        self.done[usize::from(*shared)]
    }

    fn role(&self, (_, rule): &Self::Action) -> Role {
        rule.role
    }

    fn fair_class(&self, (part, _): &Self::Action) -> Option<u8> {
        self.has_class.then_some(*part as u8)
    }
}

fn run(parts: &Parts, symmetry: bool) -> Outcome<Parts> {
    explore(parts, &Options { symmetry, keep_going: true, ..Options::default() }, &mut |_| {})
}

#[test]
fn findings_and_distances_are_the_same_with_and_without() {
    let (mut findings, mut livelocks, mut fewer) = (0, 0, 0);
    for seed in 0..2_000 {
        let parts = Parts::random(&mut Random(seed));
        let (plain, quotient) = (run(&parts, false), run(&parts, true));
        assert_eq!(plain.report.verdict, quotient.report.verdict, "seed {seed}");
        let summary = |outcome: &Outcome<Parts>| {
            let mut summary: Vec<_> =
                outcome.report.findings.iter().map(|f| (f.property, f.kind as u8, f.steps)).collect();
            summary.sort_unstable();
            summary
        };
        let (plain_summary, quotient_summary) = (summary(&plain), summary(&quotient));
        for (left, right) in plain_summary.iter().zip(&quotient_summary) {
            // The cycle is unrolled until a real state recurs, so it may begin some rounds later.
            assert_eq!((left.0, left.1), (right.0, right.1), "seed {seed}");
            assert!(left.2 <= right.2 && (left.1 == Kind::FairLivelock as u8 || left.2 == right.2), "seed {seed}");
        }
        assert_eq!(plain_summary.len(), quotient_summary.len(), "seed {seed}");
        findings += plain_summary.len();
        fewer += u32::from(quotient.report.distinct < plain.report.distinct);
        for trace in &quotient.counterexamples {
            for (at, ((part, rule), to)) in trace.steps.iter().enumerate() {
                let from = trace.state(at);
                assert_eq!((from.0, from.1[*part]), rule.from, "seed {seed}");
                assert_eq!((to.0, to.1[*part]), rule.to, "seed {seed}");
                assert!((0..PARTS).all(|other| other == *part || from.1[other] == to.1[other]), "seed {seed}");
            }
            if let Some(start) = trace.cycle_start {
                livelocks += 1;
                assert_eq!(trace.state(start), trace.last(), "seed {seed}");
                assert!(trace.steps[start..].iter().all(|((_, rule), _)| rule.role == Role::Step), "seed {seed}");
            }
        }
    }
    assert!(findings > 1_000 && livelocks > 100 && fewer > 500, "{findings} {livelocks} {fewer}");
}

/// The cycle has three steps among representatives, after which the parts have changed places: it closes later.
#[test]
fn a_cycle_that_closes_only_among_representatives_is_executed_until_it_closes() {
    let rule = |from, to| Rule { from, to, role: Role::Step };
    let rules = vec![rule((0, 0), (1, 1)), rule((1, 2), (2, 0)), rule((2, 1), (0, 2))];
    let parts = Parts { initial: [0, 1, 2], rules, done: vec![false; 3], is_broken: false, has_class: false };
    let outcome = run(&parts, true);
    let at = outcome.report.findings.iter().position(|finding| finding.kind == Kind::FairLivelock).unwrap();
    let trace = &outcome.counterexamples[at];
    let start = trace.cycle_start.unwrap();
    assert_eq!(outcome.report.distinct, 3);
    assert!(trace.steps.len() - start > 3, "{trace:?}");
    assert_ne!(trace.state(start + 3), trace.state(start));
    assert_eq!(trace.state(start), trace.last());
}

#[test]
fn a_symmetry_that_is_none_is_not_believed() {
    let rule = |from, to| Rule { from, to, role: Role::Step };
    // The first part that moves to 1 is taken for one that moved to 2, and only a part in 2 can do harm.
    let rules = vec![rule((0, 0), (1, 1)), rule((1, 2), (2, 2)), rule((2, 2), (0, 2))];
    let parts = Parts { initial: [0; PARTS], rules, done: vec![false, true, true], is_broken: true, has_class: false };
    let report = run(&parts, true).report;
    assert_eq!(report.verdict, Verdict::Incomplete(Why::NotReproducible));
    let safety = Options { symmetry: true, passes: Passes::NONE, ..Options::default() };
    let report = explore(&parts, &safety, &mut |_| {}).report;
    assert_eq!((report.verdict, report.findings), (Verdict::Incomplete(Why::NotReproducible), vec![]));
    assert_eq!(run(&parts, false).report.verdict, Verdict::ProvedInScope);
}

#[test]
fn weak_fairness_is_not_judged_among_representatives() {
    // Each part goes round for ever; each is a class of its own, so going round with one part neglects the others.
    let rule = |from, to| Rule { from, to, role: Role::Step };
    let rules = vec![rule((0, 0), (0, 1)), rule((0, 1), (0, 0)), rule((0, 0), (1, 0)), rule((0, 1), (1, 0))];
    let mut parts =
        Parts { initial: [0; PARTS], rules, done: vec![false, true, true], is_broken: false, has_class: false };
    assert_eq!(run(&parts, true).report.findings[0].kind, Kind::FairLivelock);
    parts.has_class = true;
    assert_eq!(run(&parts, true).report.verdict, Verdict::Incomplete(Why::FairnessUnderSymmetry));
    assert_eq!(run(&parts, false).report.findings[0].kind, Kind::FairLivelock);
}
