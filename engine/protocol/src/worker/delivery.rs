//! In which order outcomes reach the workflow.

/// Hands outcomes to the workflow in the order in which their steps were settled, one at a time.
///
/// Live and replayed runs do the same, so a workflow that races two steps sees the same winner for ever:
/// (1) a timer and a charge race; the charge settles first, and W goes on as "paid"; (2) its worker dies; (3) when W is
/// replayed the timer is due as well: handed over first, W would go on as "not paid".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Delivery {
    delivered: u32,
}

impl Delivery {
    /// Whether the outcome of this order is the next.
    pub fn is_next(&self, order: u32) -> bool {
        self.delivered.checked_add(1) == Some(order)
    }

    /// The next outcome was handed over, and the workflow has done all it could with it.
    pub fn handed_over(&mut self) {
        self.delivered = self.delivered.saturating_add(1);
    }

    /// Outcomes handed over so far.
    pub fn delivered(&self) -> u32 {
        self.delivered
    }
}
