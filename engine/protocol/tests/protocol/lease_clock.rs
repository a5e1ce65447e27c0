//! The worker's view of its lease ends before the store's, whatever the answers' delays.

use hydra_protocol::worker::lease::{Duty, LeaseClock};
use hydra_protocol::{Protocol, Reference, Span, Time};
use proptest::prelude::*;

fn milliseconds() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_000_u64, any::<u64>(), (u64::MAX - 10)..=u64::MAX]
}

/// Asked for at `sent`, granted by the store `delay` later: the holder must have stopped before that lease ends.
pub fn stops_in_time<P: Protocol>(rules: &P, sent: Time, span: Span, delay: Span) -> Result<(), String> {
    let clock = rules.lease_clock(sent, span);
    let (counted, store_end) = (sent + span, sent + delay + span);
    let evidence = format!("{clock:?} sent {sent:?} span {span:?} delay {delay:?}");
    if clock.stop_at > counted || clock.stop_at > store_end {
        return Err(format!("it goes on after its lease has ended: {evidence}"));
    }
    if span.as_millis() >= 10 && counted < Time::MAX && clock.stop_at >= counted {
        return Err(format!("no margin: {evidence}"));
    }
    if clock.beat_at < sent || clock.stop_at < sent {
        return Err(format!("it wrapped: {evidence}"));
    }
    // Time for two more heartbeats after the first, should that be lost.
    let (beat, stop) = (clock.beat_at.since(sent).as_millis(), clock.stop_at.since(sent).as_millis());
    if span.as_millis() >= 10 && counted < Time::MAX && beat > stop / 2 {
        return Err(format!("no time for a second heartbeat: {evidence}"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_holder_stops_before_its_lease_ends(sent in milliseconds(), span in milliseconds(), delay in milliseconds()) {
        let (sent, span, delay) = (Time::from_millis(sent), Span::from_millis(span), Span::from_millis(delay));
        if let Err(why) = stops_in_time(&Reference, sent, span, delay) {
            prop_assert!(false, "{why}");
        }
    }

    #[test]
    fn a_renewal_never_shortens_and_never_outlives_what_was_granted(
        grants in prop::collection::vec((0..10_000_u64, 0..10_000_u64), 1..8),
    ) {
        let (sent, span) = grants[0];
        let mut clock = LeaseClock::granted(Time::from_millis(sent), Span::from_millis(span));
        for (count, (sent, span)) in grants.iter().enumerate().skip(1) {
            let before = clock;
            clock.renewed(Time::from_millis(*sent), Span::from_millis(*span));
            prop_assert!(clock.stop_at >= before.stop_at);
            prop_assert_eq!(clock.beat_at, before.beat_at);
            let furthest = grants[..=count].iter().map(|(sent, span)| sent + span).max().unwrap();
            prop_assert!(clock.stop_at <= Time::from_millis(furthest));
        }
    }

    #[test]
    fn the_duty_is_to_hold_then_to_beat_then_to_stop(sent in milliseconds(), span in milliseconds(), at in milliseconds()) {
        let clock = LeaseClock::granted(Time::from_millis(sent), Span::from_millis(span));
        let at = Time::from_millis(at);
        let duty = if at >= clock.stop_at { Duty::Stop } else if at >= clock.beat_at { Duty::Beat } else { Duty::Hold };
        prop_assert_eq!(clock.duty(at), duty);
        prop_assert_eq!(clock.duty(clock.stop_at), Duty::Stop);
    }
}
