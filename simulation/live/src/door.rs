//! The door: the loopback server that every step body asks what to do.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use hydra_schedule::{Name, StepName};
use hydra_simulation::history::{Gave, Seen};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::boundary;
use crate::observer::{Ask, Observer};

/// The longest request, in bytes.
const BODY_MAX: usize = 1 << 20;

/// What a driver sends: `POST /effect`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Effect {
    execution: Name,
    step: Name,
    #[serde(default)]
    attempt: Option<u32>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    epoch: Option<u64>,
    #[serde(default)]
    other_input: bool,
    #[serde(default)]
    saw: BTreeMap<Name, Seen>,
}

/// What a body is told to do.
#[derive(Debug, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Reply {
    Return { value: String },
    Fail { message: &'static str },
    FailFinally { message: &'static str },
    Unencodable,
}

/// A door that is open until it is dropped.
pub struct OpenDoor {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl OpenDoor {
    /// Opens a door on a free port of the loopback.
    pub fn open(runtime: &tokio::runtime::Handle, observer: Observer) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/{worker}/{life}/effect", post(effect))
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .with_state(observer);
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let server = runtime.spawn(async move {
            // Ends with the door; there is nobody to tell of an error of the listener.
            drop(axum::serve(listener, router).await);
        });
        Ok(OpenDoor { address, server })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What a worker is given as `HYDRA_DOOR`: it names the worker and its life, so that a driver need not.
    pub fn url(&self, worker: &Name, life: u32) -> String {
        format!("http://{}/{worker}/{life}", self.address)
    }
}

/// Reads a question: who asks is in the path, what is asked in the body. An error says what is wrong with it.
pub fn question(worker: &str, life: u32, body: &str) -> Result<Ask, String> {
    let Effect { execution, step, attempt, key, epoch, other_input, saw } = serde_json::from_str(body)
        .map_err(|error| format!("POST /effect was sent what is no question: {error}: {}", crate::cut(body, 300)))?;
    let worker = Name::new(worker).map_err(|error| format!("POST /effect was sent by nobody: {error}"))?;
    Ok(Ask { worker, life, step: StepName { execution, step }, attempt, key, epoch, other_input, saw })
}

async fn effect(
    State(observer): State<Observer>,
    Path((worker, life)): Path<(String, u32)>,
    body: String,
) -> Result<Json<Reply>, (StatusCode, String)> {
    let refused = |code, why: String| (code, why);
    let ask = question(&worker, life, &body).map_err(|why| {
        observer.problem(why.clone());
        refused(StatusCode::BAD_REQUEST, why)
    })?;
    let visit = observer.enter(ask).map_err(|why| {
        if why.contains("no program") {
            observer.problem(why.clone());
        }
        refused(StatusCode::GONE, why)
    })?;
    // Dropped while it waits, if the worker breaks the request off; then the visit says so.
    if let Some(go) = visit.held_at(boundary::Door::Before) {
        drop(go.await);
    }
    tokio::time::sleep(visit.lasts()).await;
    visit.effect();
    if let Some(go) = visit.held_at(boundary::Door::After) {
        drop(go.await);
    }
    match visit.leave() {
        None => Err(refused(StatusCode::GONE, "not heard any more".to_owned())),
        Some(Gave::Value(value)) => Ok(Json(Reply::Return { value })),
        Some(Gave::Unencodable) => Ok(Json(Reply::Unencodable)),
        Some(Gave::FinalFailure) => Ok(Json(Reply::FailFinally { message: "told to fail for good" })),
        Some(Gave::Failure | Gave::Cancelled) => Ok(Json(Reply::Fail { message: "told to fail" })),
    }
}
