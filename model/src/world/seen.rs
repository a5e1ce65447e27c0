//! What is noticed while one action happens: properties that broke and goals that were reached.

use super::goals::Goal;
use hydra_schedule::Property;

/// Two sets of bits, collected by whoever notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    broken: u32,
    goals: u128,
    /// The state lies outside of the model.
    pub(super) is_beyond: bool,
}

impl Seen {
    /// Nothing noticed.
    pub const NOTHING: Seen = Seen { broken: 0, goals: 0, is_beyond: false };

    /// Demands that `property` holds on this edge.
    #[inline]
    pub(crate) fn require(&mut self, property: Property, holds: bool) {
        self.broken |= u32::from(!holds) << property as u32;
    }

    #[inline]
    pub(crate) fn reach(&mut self, goal: Goal) {
        self.goals |= 1 << goal as u32;
    }

    /// The goals that were reached, a bit each.
    pub(crate) fn goals(&self) -> u128 {
        self.goals
    }

    /// Whether anything broke.
    #[inline]
    pub fn is_clean(&self) -> bool {
        self.broken == 0
    }

    /// The properties that broke.
    pub fn broken(&self) -> impl Iterator<Item = Property> + '_ {
        Property::ALL.iter().copied().filter(|property| self.broken >> *property as u32 & 1 == 1)
    }
}
