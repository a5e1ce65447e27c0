//! `hydra demo`: orders that survive `kill -9`.

mod order;
mod summary;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hydra_engine::store::{SqliteOptions, Store, StoreOptions};
use hydra_engine::{Client, Started, Worker};

use order::{Order, order};
use world::World;

/// Runs orders, each of them four steps: a charge (keyed), a booking (transactional), a rest (timer), a mail (at most
/// once). The bank and the mail server live in a file of their own, as they would in another house.
#[derive(clap::Args)]
pub struct Demo {
    /// Where the orders and the outside world are kept.
    #[arg(default_value = "hydra-demo")]
    folder: PathBuf,
    /// How many orders.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    orders: u32,
    /// How long each body takes, in milliseconds, so that there is time to kill it.
    #[arg(long, default_value_t = 400, value_name = "MS")]
    pace: u64,
    /// How long a lease lasts, in milliseconds: how long a killed worker's orders wait.
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    lease: u64,
}

impl Demo {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        super::runtime()?.block_on(self.orders())
    }

    async fn orders(self) -> anyhow::Result<ExitCode> {
        let folder = self.folder.display();
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make the folder {folder}"))?;
        let file = self.folder.join("orders.sqlite");
        let sqlite = SqliteOptions { journal: true, ..SqliteOptions::at(&file) }.open(StoreOptions::default())?;
        sqlite
            .execute(&["create table if not exists bookings (order_id text not null, cents integer not null)"])
            .await?;
        let sqlite = Arc::new(sqlite);
        let store: Arc<dyn Store> = sqlite.clone();
        let world = World::open(&self.folder.join("world.sqlite"))?;
        let client = Client::new(store.clone());

        let mut before = 0;
        for number in 1..=self.orders {
            let input = Order { customer: format!("customer {number}"), cents: 1_000 + 7 * i64::from(number) };
            // The same call whether or not an earlier run has made it.
            if client.start("order", &id(number), &input).await? == Started::Before {
                before += 1;
            }
        }
        match before {
            0 => println!(
                "{} orders started. Kill this at any moment (kill -9 {}), and start it again.",
                self.orders,
                std::process::id()
            ),
            _ => println!(
                "{before} of {} orders were started by an earlier run; going on with what is left.",
                self.orders
            ),
        }
        println!();

        let pace = Duration::from_millis(self.pace);
        let bodies = world.clone();
        let worker = Worker::builder(store)
            .workflow("order", move |ctx, input| order(ctx, input, bodies.clone(), pace))
            .lease(Duration::from_millis(self.lease))
            .start()?;
        for number in 1..=self.orders {
            client.ended(&id(number)).await?;
        }
        worker.shutdown(Duration::from_secs(5)).await;

        let kept = summary::print(&client, &sqlite, &world, self.orders).await?;
        println!("\nLook inside: hydra executions {} show {}", file.display(), id(1));
        println!("Did the store keep to the rules? hydra conform {}", file.display());
        Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The id of an order: what makes starting it twice start it once.
fn id(number: u32) -> String {
    format!("order-{number}")
}
