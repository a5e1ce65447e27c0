//! Values to bytes and back: JSON, so that a person can read a journal.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value; the error says why it cannot be. A value's own code may panic: that is an error too.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    match catch_unwind(AssertUnwindSafe(|| serde_json::to_vec(value))) {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(format!("encoding panicked: {}", panic_text(&panic))),
    }
}

/// Decodes a value; the error says why it cannot be.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(|| serde_json::from_slice(bytes))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(format!("decoding panicked: {}", panic_text(&panic))),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "(no message)".to_owned(),
    }
}

/// A span of the core from a duration: one longer than 292 million years lasts for ever.
pub(crate) fn span(duration: std::time::Duration) -> hydra_protocol::Span {
    hydra_protocol::Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Longest error text that is kept, in bytes: enough for a person, and no burden on the journal.
const ERROR_BYTES_MAX: usize = 4_096;

/// An error's text as every store keeps it, for the live run is told what a replay will be told: cut if it is too long,
/// and without the character that PostgreSQL takes in no text.
pub(crate) fn error_text(text: String) -> String {
    let mut text = if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text };
    if text.len() > ERROR_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
        text.push_str(" ... (cut)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_text_is_cut_where_it_is_longer_than_what_is_kept() {
        let fits = "x".repeat(ERROR_BYTES_MAX);
        assert_eq!(error_text(fits.clone()), fits);
        assert_eq!(error_text(fits.clone() + "y"), fits + " ... (cut)");
        // Not in the middle of a character.
        let odd = "x".to_owned() + &"\u{e9}".repeat(ERROR_BYTES_MAX / 2);
        assert_eq!(error_text(odd.clone()), odd[..ERROR_BYTES_MAX - 1].to_owned() + " ... (cut)");
    }
}
