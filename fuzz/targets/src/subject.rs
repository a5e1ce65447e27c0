//! Whose rules are under test.

use std::sync::LazyLock;

use hydra_model::museum;
use hydra_protocol::{Protocol, Reference};

/// The name in `HYDRA_SUBJECT`, if it is set.
pub static NAME: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("HYDRA_SUBJECT").ok());

static RULES: LazyLock<&'static dyn Protocol> = LazyLock::new(|| match NAME.as_deref() {
    None | Some("reference") => &Reference,
    Some(name) => named(name).unwrap_or_else(|| panic!("HYDRA_SUBJECT: the museum has no mutant {name}")),
});

/// The rules in `HYDRA_SUBJECT`, or the right ones.
pub fn rules() -> &'static dyn Protocol {
    *RULES
}

/// The rules of a mutant of the museum.
pub fn named(name: &str) -> Option<&'static dyn Protocol> {
    museum::find(name).map(|mutant| mutant.rules as _)
}
