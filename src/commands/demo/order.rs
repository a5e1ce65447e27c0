//! The workflow.

use std::time::Duration;

use hydra_engine::{BoxError, Context, RetryPolicy, StepError};
use serde::{Deserialize, Serialize};

use super::world::World;

/// What a customer ordered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub customer: String,
    pub cents: i64,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub receipt: i64,
    pub mailed: bool,
}

/// Charges, books, rests, mails.
pub async fn order(ctx: Context, order: Order, world: World, pace: Duration) -> Result<Done, BoxError> {
    let id = ctx.execution().id.clone();
    let say = |what: &str| println!("{id:>9}: {what}");

    // Keyed: the body may run again after a crash. The bank honours the key, so the customer is charged once.
    let receipt: i64 = ctx
        .step("charge")
        .input(&order)
        .retry(RetryPolicy::attempts(100).initial(Duration::from_millis(100)))
        .run(|attempt| {
            let (world, say, cents) = (world.clone(), &say, order.cents);
            async move {
                say(&format!("charging {cents} cents (attempt {})", attempt.number));
                tokio::time::sleep(pace).await;
                Ok(world.charge(&attempt.idempotency_key, cents)?)
            }
        })
        .await?;

    // Transactional: the row and the step's checkpoint are committed together.
    let (order_id, cents) = (id.clone(), order.cents);
    ctx.step("book")
        .retry(RetryPolicy::attempts(100).initial(Duration::from_millis(100)))
        .run_transactional(|tx| {
            let (order_id, say) = (order_id.clone(), &say);
            async move {
                say("booking");
                let row = [order_id.into(), cents.into()];
                Ok(tx.execute("insert into bookings (order_id, cents) values ($1, $2)", &row).await?)
            }
        })
        .await?;

    // A timer: needs nobody to be up while it runs.
    ctx.sleep(pace).await;

    // At most once: nobody likes two mails. If a worker dies in it, the step is in doubt, and so the workflow asks.
    let sent = ctx
        .step("mail")
        .run_at_most_once(|_| {
            let (world, say, id) = (world.clone(), &say, id.clone());
            async move {
                say("mailing");
                tokio::time::sleep(pace / 2).await;
                world.mail(&id)?;
                tokio::time::sleep(pace / 2).await;
                Ok(())
            }
        })
        .await;
    let mailed = match sent {
        Ok(()) => true,
        Err(StepError::InDoubt { .. }) => {
            say("the mail is in doubt; asking the mail server");
            let (world, id) = (world.clone(), id.clone());
            ctx.step("ask the mail server").run(|_| std::future::ready(world.mails(&id).map_err(Into::into))).await? > 0
        }
        Err(error) => return Err(error.into()),
    };
    say("done");
    Ok(Done { receipt, mailed })
}
