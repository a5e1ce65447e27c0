//! Backoff over the whole range of every number.

use hydra_protocol::{Backoff, Protocol, Reference, Span};
use proptest::prelude::*;

/// Numbers at both ends of their range as often as in between.
fn edges<N: Clone + std::fmt::Debug + 'static>(
    all: impl Strategy<Value = N> + 'static,
    ends: Vec<N>,
) -> impl Strategy<Value = N> {
    prop_oneof![all, prop::sample::select(ends)]
}

fn spans() -> impl Strategy<Value = Span> {
    let ends = vec![0, 1, 2, 999, i64::MAX as u64 - 1, i64::MAX as u64, u64::MAX];
    prop_oneof![edges(any::<u64>(), ends), 0..100_000_u64].prop_map(Span::from_millis)
}

pub fn backoffs() -> impl Strategy<Value = Backoff> {
    let percents = || edges(any::<u32>(), vec![0, 1, 99, 100, 101, 105, 150, 200, 1_000, u32::MAX]);
    (spans(), spans(), percents(), percents()).prop_map(|(initial, cap, factor_percent, jitter_percent)| Backoff {
        initial,
        cap,
        factor_percent,
        jitter_percent,
    })
}

fn attempts() -> impl Strategy<Value = u32> {
    prop_oneof![1..100_u32, edges(any::<u32>(), vec![0, 1, 2, 54, 63, 64, 65, 1_023, 1_024, 1_025, u32::MAX - 1])]
}

/// What must hold of the waits of one step: in the step's bounds, under the cap, and never falling.
pub fn waits_hold<P: Protocol>(rules: &P, backoff: &Backoff, attempt: u32, salt: u64) -> Result<(), String> {
    let wait = rules.backoff(backoff, attempt, salt);
    let next = rules.backoff(backoff, attempt.saturating_add(1), salt);
    let first = backoff.initial.min(backoff.cap);
    // By hand, not by the code under test: what chance may take of the first wait, and of any.
    let kept = u128::from(100 - backoff.jitter_percent.min(100));
    let least = u128::from(first.as_millis()) * kept / 100;
    let evidence = || format!("{backoff:?} attempt {attempt} salt {salt}: {wait:?}, then {next:?}");
    if wait > backoff.cap || u128::from(wait.as_millis()) < least {
        return Err(format!("out of bounds: {}", evidence()));
    }
    if next < wait {
        return Err(format!("falls: {}", evidence()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn waits_stay_in_bounds_and_never_fall(backoff in backoffs(), attempt in attempts(), salt: u64) {
        if let Err(why) = waits_hold(&Reference, &backoff, attempt, salt) {
            prop_assert!(false, "{why}");
        }
        let wait = backoff.wait(attempt, salt);
        prop_assert!(backoff.wait_min(attempt) <= wait && wait <= backoff.wait_max(attempt));
        prop_assert!(backoff.wait_max(attempt) <= backoff.cap);
    }

    #[test]
    fn without_jitter_the_waits_are_the_powers(initial in 1..1_000_u64, attempt in 1..40_u32, salt: u64) {
        let cap = Span::MAX;
        let backoff = Backoff { initial: Span::from_millis(initial), cap, factor_percent: 200, jitter_percent: 0 };
        prop_assert_eq!(backoff.wait(attempt, salt).as_millis(), initial << (attempt - 1));
    }

    #[test]
    fn the_jitter_takes_what_it_may(wait in 1_000..1_000_000_u64, jitter in 1..=100_u32) {
        let span = Span::from_millis(wait);
        let backoff = Backoff { initial: span, cap: span, factor_percent: 100, jitter_percent: jitter };
        let most = wait * u64::from(jitter) / 100;
        // All of it but a millionth part, and nothing: so chance has the whole share to choose from.
        let taken = wait - backoff.wait_min(1).as_millis();
        prop_assert!(taken <= most && taken >= most - most / 1_000 - 1);
        prop_assert_eq!(backoff.wait(1, 0).as_millis(), wait);
        let half = wait - backoff.wait(1, 1 << 63).as_millis();
        prop_assert!(half.abs_diff(most / 2) <= 1);
    }
}

#[test]
fn a_small_start_with_a_small_factor_grows_at_all() {
    let backoff = Backoff { initial: Span::from_millis(10), cap: Span::MAX, factor_percent: 105, jitter_percent: 0 };
    assert_eq!(backoff.wait(1, 0).as_millis(), 10);
    assert_eq!(backoff.wait(15, 0).as_millis(), 19);
    assert_eq!(backoff.wait(100, 0).as_millis(), 1_252);
    // The growth stops at an exponent that no step will see.
    let slow = Backoff { factor_percent: 101, ..backoff };
    assert!(slow.wait(1_023, 0) < slow.wait(1_024, 0));
    assert_eq!(slow.wait(1_024, 0), slow.wait(1_025, 0));
    assert_eq!(slow.wait(1_024, 0), slow.wait(u32::MAX, 0));
}
