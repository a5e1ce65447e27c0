//! Outcomes reach the workflow in order, whatever the order in which they become known.

use hydra_protocol::worker::delivery::Delivery;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn outcomes_are_handed_over_as_they_were_settled(known in Just((1..=20_u32).collect::<Vec<_>>()).prop_shuffle()) {
        let mut delivery = Delivery::default();
        let (mut waiting, mut handed) = (vec![], vec![]);
        for order in known {
            waiting.push(order);
            while let Some(at) = waiting.iter().position(|order| delivery.is_next(*order)) {
                handed.push(waiting.remove(at));
                delivery.handed_over();
                prop_assert_eq!(delivery.delivered() as usize, handed.len());
            }
        }
        prop_assert_eq!(handed, (1..=20).collect::<Vec<_>>());
    }
}
