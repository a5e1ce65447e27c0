//! The vocabulary of evidence: properties, schedules, counterexamples.
