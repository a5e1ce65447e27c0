//! Verdicts: promised or not, and over several histories.

use hydra_schedule::Property::*;
use hydra_simulation::history::{Gave, History};
use hydra_simulation::oracle::{Contract, Settings, Verdict, judge};

use crate::KEYED;
use crate::story::{Story, value_of};

fn twice() -> History {
    Story::of(KEYED).enters("A", "1").leaves("A", "1", Gave::Unencodable).at(9).enters("A", "1").judged().0
}

fn once() -> History {
    Story::of(KEYED).enters("A", "1").leaves("A", "1", value_of("v1")).judged().0
}

#[test]
fn what_is_not_promised_is_observed_all_the_same() {
    let silent = Contract { promises: Vec::new(), settings: Settings::default() };
    let judgements = judge(&twice(), &silent);
    let verdict = &judgements.of(SuccessNeverRerun).unwrap().verdict;
    assert!(matches!(verdict, Verdict::NotPromised { observed, .. } if observed.len() == 1), "{verdict:?}");
    assert_eq!(judgements.broken().count(), 0);
    assert_eq!(verdict.word(), "NOT PROMISED");
}

#[test]
fn a_finding_outweighs_every_other_verdict() {
    let contract = Contract::everything(Settings::default());
    let all = judge(&once(), &contract).merge(judge(&twice(), &contract)).merge(judge(&once(), &contract));
    let verdict = &all.of(SuccessNeverRerun).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Broken { over: 3, findings } if findings.len() == 1), "{verdict:?}");
    assert_eq!(all.histories, 3);
    assert_eq!(verdict.findings()[0].run, 1, "it was seen in the second history");
}

#[test]
fn an_incomplete_history_outweighs_a_kept_one_and_an_empty_one_nothing() {
    let contract = Contract::everything(Settings { recovery_ms: Some(60_000), ..Settings::default() });
    let open = judge(&once(), &contract);
    let verdict =
        |judgements: &hydra_simulation::oracle::Judgements| judgements.of(Terminates).unwrap().verdict.clone();
    assert!(matches!(verdict(&open), Verdict::NotTested { why } if why.starts_with("incomplete")));
    let ended = Story::of(KEYED).runs("A", "1", "v").status(hydra_simulation::history::Status::Succeeded).judged().0;
    let kept = judge(&ended, &contract);
    assert!(matches!(verdict(&kept), Verdict::Kept { over: 1 }));
    assert!(matches!(verdict(&kept.clone().merge(open)), Verdict::NotTested { .. }));
    let nothing = History { records: Vec::new(), ..ended };
    assert!(matches!(verdict(&judge(&nothing, &contract).merge(kept)), Verdict::Kept { over: 1 }));
}

#[test]
fn judgements_survive_json() {
    let judgements = judge(&twice(), &Contract::everything(Settings::default()));
    let json = serde_json::to_string(&judgements).unwrap();
    let back: hydra_simulation::oracle::Judgements = serde_json::from_str(&json).unwrap();
    assert_eq!(back, judgements);
}
