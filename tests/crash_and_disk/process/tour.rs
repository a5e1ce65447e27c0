//! A workflow with a step of each kind, and with steps in parallel.

use std::sync::Arc;
use std::time::Duration;

use hydra_engine::{BoxError, Context, RetryPolicy, StepError};
use serde::{Deserialize, Serialize};

use super::outside::Outside;

pub const WORKFLOW: &str = "tour";
/// Where transactional steps write.
pub const TABLE: &str = "create table if not exists bookings (id text not null, step text not null)";
/// Steps with an effect outside, under a key.
pub const KEYED: [&str; 3] = ["charge", "left", "right"];
/// Steps that write a row into [`TABLE`].
pub const TRANSACTIONAL: [&str; 2] = ["book", "both"];
pub const AT_MOST_ONCE: &str = "mail";
pub const REST: Duration = Duration::from_millis(15);

/// What a tour returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub charge: Receipt,
    /// None: nobody knows.
    pub mailed: Option<bool>,
    pub left: Receipt,
    pub right: Receipt,
}

/// What the receiver of an effect answers: another one to each attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub attempt: u32,
    pub paper: String,
}

pub async fn tour(ctx: Context, paper_bytes: usize, outside: Arc<Outside>, pace: Duration) -> Result<Done, BoxError> {
    let id = ctx.execution().id.clone();
    // Enough for any number of crashes.
    let patient = RetryPolicy::attempts(100_000).initial(Duration::from_millis(2)).cap(Duration::from_millis(20));
    let keyed = |step: &'static str| {
        let outside = outside.clone();
        ctx.step(step).retry(patient).run(move |attempt| {
            let outside = outside.clone();
            async move {
                outside.effect(step, &attempt);
                take(pace).await;
                Ok(Receipt { attempt: attempt.number, paper: "x".repeat(paper_bytes) })
            }
        })
    };
    let transactional = |step: &'static str| {
        let id = id.clone();
        ctx.step(step).retry(patient).run_transactional(move |tx| {
            let row = [id.as_str().into(), step.into()];
            async move { Ok(tx.execute("insert into bookings values ($1, $2)", &row).await?) }
        })
    };

    let charge = keyed("charge").await?;
    outside.saw(&id, "charge", &charge);
    outside.saw(&id, "book", &transactional("book").await?);
    ctx.sleep(REST).await;
    let mail = ctx.step(AT_MOST_ONCE).run_at_most_once(|attempt| {
        let outside = outside.clone();
        async move {
            outside.effect(AT_MOST_ONCE, &attempt);
            take(pace).await;
            Ok(true)
        }
    });
    let mailed = match mail.await {
        Ok(mailed) => {
            outside.saw(&id, AT_MOST_ONCE, &mailed);
            Some(mailed)
        }
        Err(StepError::InDoubt { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let (left, right, both) = futures::join!(keyed("left"), keyed("right"), transactional("both"));
    let (left, right) = (left?, right?);
    outside.saw(&id, "left", &left);
    outside.saw(&id, "right", &right);
    outside.saw(&id, "both", &both?);
    Ok(Done { charge, mailed, left, right })
}

async fn take(pace: Duration) {
    if !pace.is_zero() {
        tokio::time::sleep(pace).await;
    }
}
