//! Connections: how they are made, what each transaction begins with, and when one is given up.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::try_join;
use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresOptions;
use super::fault::{self, Fault};
use crate::store::StoreError;

/// Between attempts to connect: doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// For each transaction, not for the session: behind a pooler the next one may be on another. A commit that is answered
/// is on the disk, even where the database's default says that it need not be.
///
/// Plans are made once, for any parameters, and by index: each statement is about the rows of one batch, whose number
/// does not grow with the tables. Left to itself, the planner sees a table that is nearly empty when the first batch
/// comes, reads all of it, and goes on so until somebody analyzes it: (1) a server is set up; (2) the first steps are
/// written, and the plan is kept; (3) a minute later each batch reads a hundred thousand steps.
const SETTINGS: &str = "\
    SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true), \
           set_config('idle_in_transaction_session_timeout', $3, true), \
           set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' \
                                            ELSE current_setting('synchronous_commit') END, true), \
           set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true), \
           set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), \
           set_config('jit', 'off', true)";

/// The planner as the user has set it up: for the statements of bodies.
pub const USERS_PLANS: &str = "SET LOCAL plan_cache_mode TO DEFAULT; SET LOCAL enable_seqscan TO DEFAULT; \
    SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL jit TO DEFAULT";

/// Makes connections.
pub struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// Statement, lock and idle timeouts, in milliseconds.
    limits: [String; 3],
}

impl Connector {
    /// Reads the URL and the roots. Connects to nothing yet.
    pub fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        let config = options.url.parse::<Config>();
        let mut config = config.map_err(|error| StoreError::Refused(format!("the URL: {}", fault::text(&error))))?;
        config.application_name("hydra");
        config.connect_timeout(options.connect_timeout);
        // A partition is noticed: by what is sent and not acknowledged, and by silence.
        config.tcp_user_timeout(options.answer_timeout / 2);
        config.keepalives_idle(Duration::from_secs(15));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(MakeRustlsConnect::new(super::tls::config(options.tls_roots.as_deref())?)),
            _ => {
                config.ssl_mode(SslMode::Disable);
                None
            }
        };
        let limits = [options.statement_timeout, options.lock_timeout, options.idle_in_transaction_timeout];
        let limits = limits.map(|limit| limit.as_millis().max(1).to_string());
        Ok(Connector { config, tls, limits })
    }

    /// How long to wait for a connection.
    pub fn connect_timeout(&self) -> Duration {
        self.config.get_connect_timeout().copied().unwrap_or_default()
    }

    /// A new connection.
    pub async fn connect(self: &Arc<Self>) -> Result<Connection, Fault> {
        self.connect_telling(|_| {}).await
    }

    /// A new connection that hands on what the server says unasked.
    pub async fn connect_telling(
        self: &Arc<Self>,
        tell: impl Fn(AsyncMessage) + Send + 'static,
    ) -> Result<Connection, Fault> {
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(no_connection)?;
                (client, tokio::spawn(drive(connection, tell)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(no_connection)?;
                (client, tokio::spawn(drive(connection, tell)))
            }
        };
        Ok(Connection {
            client,
            driver,
            statements: HashMap::new(),
            connector: Arc::clone(self),
            begun: AtomicBool::new(false),
        })
    }
}

/// An error while connecting: a wrong password or database will not mend itself, anything else may.
fn no_connection(error: tokio_postgres::Error) -> Fault {
    let why = format!("no connection to the server: {}", fault::text(&error));
    match error.code().map(|code| &code.code()[..2]) {
        Some("28" | "3D" | "42") => Fault { error: StoreError::Refused(why), ..Fault::connection("") },
        _ => Fault::connection(why),
    }
}

async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, tell: impl Fn(AsyncMessage))
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(message) => tell(message),
            Err(error) => {
                tracing::debug!(error = fault::text(&error), "a connection to PostgreSQL ended");
                return;
            }
        }
    }
}

/// One connection, with the statements that are prepared on it. Dropped, it is closed, and the server undoes what was
/// open on it.
pub struct Connection {
    pub client: Client,
    driver: JoinHandle<()>,
    statements: HashMap<&'static str, Statement>,
    connector: Arc<Connector>,
    /// Whether a transaction was begun early, and nothing asked in it yet.
    begun: AtomicBool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// A statement of the engine's, prepared once.
    pub async fn prepare(&mut self, sql: &'static str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// One that was prepared before.
    pub fn prepared(&self, sql: &'static str) -> Result<&Statement, Fault> {
        self.statements.get(sql).ok_or_else(|| StoreError::Refused(format!("not prepared: {sql}")).into())
    }

    /// Returns once the connection has ended.
    pub async fn ended(&mut self) {
        let _ = (&mut self.driver).await;
    }

    /// Begins a transaction before it is known what will be asked in it: that must come soon.
    pub async fn begin_early(&self) -> Result<(), Fault> {
        self.begin().await?;
        self.begun.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Begins a transaction, or goes on with one that was begun early. Sent when it is first polled, so that others may be
    /// sent behind it at once.
    pub async fn begin(&self) -> Result<(), Fault> {
        if self.begun.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let begin = async { Ok::<_, Fault>(self.client.batch_execute("BEGIN").await?) };
        try_join!(begin, self.engines_settings()).map(drop)
    }

    /// Makes the engine's settings, in an open transaction.
    pub async fn engines_settings(&self) -> Result<(), Fault> {
        let [statement, lock, idle] = &self.connector.limits;
        self.client.query(self.prepared(SETTINGS)?, &[statement, lock, idle]).await?;
        Ok(())
    }

    /// Commits.
    pub async fn commit(&self) -> Result<(), Fault> {
        self.client.batch_execute("COMMIT").await.map_err(Fault::of_commit)
    }

    /// Undoes the transaction. Whether the connection is still good.
    pub async fn rollback(&self) -> bool {
        self.begun.store(false, Ordering::Relaxed);
        !self.client.is_closed() && self.client.batch_execute("ROLLBACK").await.is_ok()
    }
}

/// A connection that is made when it is needed, and again after it was lost.
pub struct Link {
    connector: Arc<Connector>,
    connection: Option<Connection>,
    backoff: Duration,
}

impl Link {
    /// Not connected yet.
    pub fn new(connector: Arc<Connector>) -> Self {
        Link { connector, connection: None, backoff: BACKOFF.0 }
    }

    /// The connection. If none can be had, an error after a pause that grows: so that those who ask again at once do
    /// not keep a server from coming up.
    pub async fn get(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.as_ref().is_none_or(|connection| connection.client.is_closed()) {
            self.connection = None;
            match self.connect().await {
                Ok(connection) => {
                    self.backoff = BACKOFF.0;
                    self.connection = Some(connection);
                }
                Err(fault) => {
                    tokio::time::sleep(self.backoff).await;
                    self.backoff = (self.backoff * 2).min(BACKOFF.1);
                    return Err(fault.error);
                }
            }
        }
        self.connection.as_mut().ok_or_else(|| StoreError::Unavailable("no connection".into()))
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let mut connection = self.connector.connect().await?;
        connection.prepare(SETTINGS).await?;
        Ok(connection)
    }

    /// Gives the connection up.
    pub fn forget(&mut self) {
        self.connection = None;
    }
}
