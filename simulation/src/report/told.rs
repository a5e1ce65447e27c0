//! Records in a few words.

use crate::history::{Call, Effect, Gave, Op, Phase};

pub(super) fn told_call(call: &Call) -> String {
    let verb = match (call.op, call.other_input) {
        (Op::Start, true) => "starts with other input",
        (Op::Start, false) => "starts",
        (Op::Status, _) => "asks the status",
        (Op::Result, _) => "asks the result",
        (Op::Cancel, _) => "cancels",
        (Op::Retry, _) => "retries",
    };
    let answer = match (call.phase, call.status) {
        (Phase::Invoked, _) => "asked".to_owned(),
        (Phase::Ok, Some(status)) => status.word().to_owned(),
        (Phase::Ok, None) => "accepted".to_owned(),
        (Phase::Failed, _) => format!("refused: {}", call.error.as_deref().unwrap_or("no reason")),
        (Phase::Unknown, _) => "no answer".to_owned(),
    };
    format!("{verb}: {answer}")
}

pub(super) fn told_effect(effect: &Effect) -> String {
    let key = effect.key.as_ref().map(|key| format!(" with key {key}")).unwrap_or_default();
    if effect.applied {
        format!("effect of {}{key}", effect.step)
    } else {
        format!("effect of {}{key}: refused", effect.step)
    }
}

pub(super) fn told_end(step: &str, gave: &Gave) -> String {
    match gave {
        Gave::Value(value) => format!("leaves {step} with {value}"),
        Gave::Failure => format!("fails {step}"),
        Gave::FinalFailure => format!("fails {step} finally"),
        Gave::Unencodable => format!("leaves {step}, not encodable"),
        Gave::Cancelled => format!("is cancelled in {step}"),
    }
}
