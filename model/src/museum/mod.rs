//! The museum: engines that are known to be wrong, each by one rule.
//!
//! A mutant is a type that overrides one method of [`Protocol`]; nothing else changes. Where what is wrong lies outside
//! of the core, in the database or in the way bodies are run, it is a [`Defects`] flag of the model's world.

mod audit;
mod beyond;
mod rules;
mod tour;

use crate::world::bounds::Defects;
use hydra_protocol::Protocol;
use hydra_schedule::Property;

pub use tour::{Exhibit, Kill, Limits, visit};

/// Where a mutant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A finding of the audit, by its number.
    Finding(u8),
    /// Every finding of the audit at once.
    All,
    /// Seen in other engines.
    Beyond,
}

/// One engine that is known to be wrong.
#[derive(Clone, Copy)]
pub struct Mutant {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// The rule that it overrides: a method of [`Protocol`].
    pub rule: &'static str,
    /// What is wrong with it.
    pub defect: &'static str,
    /// What a user sees of it.
    pub seen: &'static str,
    /// Properties that must fall.
    pub breaks: &'static [Property],
    /// Its rules. The simulator runs the same.
    pub rules: &'static (dyn Protocol + Sync),
    /// What is wrong around the core, if anything.
    pub defects: Defects,
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[allow(clippy::too_many_arguments)]
const fn mutant(
    name: &'static str,
    source: Source,
    rule: &'static str,
    defect: &'static str,
    seen: &'static str,
    breaks: &'static [Property],
    rules: &'static (dyn Protocol + Sync),
    defects: Defects,
) -> Mutant {
    Mutant { name, source, rule, defect, seen, breaks, rules, defects }
}

/// Every mutant: the audit's findings, what lies beyond it, and Hydra as audited.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    audit::FINDINGS.iter().chain(beyond::OTHERS).chain([&audit::AS_AUDITED])
}

/// The mutant of this name.
pub fn find(name: &str) -> Option<&'static Mutant> {
    mutants().find(|mutant| mutant.name == name)
}
