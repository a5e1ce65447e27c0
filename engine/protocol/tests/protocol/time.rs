//! Points and lengths of time saturate, and never wrap.

use hydra_protocol::{Span, Time};
use proptest::prelude::*;

const LIMIT: u128 = i64::MAX as u128;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_differences_are_the_clamped_ones(
        a in prop_oneof![any::<u64>(), 0..1_000_u64, (i64::MAX as u64 - 5)..=(i64::MAX as u64 + 5)],
        b in prop_oneof![any::<u64>(), 0..1_000_u64, (i64::MAX as u64 - 5)..=(i64::MAX as u64 + 5)],
    ) {
        let clamped = |ms: u64| u128::from(ms).min(LIMIT);
        let (time, span, other) = (Time::from_millis(a), Span::from_millis(b), Time::from_millis(b));
        prop_assert_eq!(u128::from(time.as_millis()), clamped(a));
        prop_assert_eq!(u128::from(span.as_millis()), clamped(b));
        prop_assert_eq!(u128::from((time + span).as_millis()), (clamped(a) + clamped(b)).min(LIMIT));
        prop_assert_eq!(u128::from((time - span).as_millis()), clamped(a).saturating_sub(clamped(b)));
        prop_assert_eq!(u128::from(time.since(other).as_millis()), clamped(a).saturating_sub(clamped(b)));
        prop_assert!(time <= Time::MAX && span <= Span::MAX && Span::ZERO <= span);
    }
}
