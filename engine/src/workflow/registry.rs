//! Workflows by name, with their types erased.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hydra_protocol::{Ending, Failure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::workflow::{BoxError, Context};

/// How a workflow came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkflowEnd {
    pub(crate) ending: Ending,
    pub(crate) output: Option<Vec<u8>>,
    pub(crate) error: Option<String>,
}

impl WorkflowEnd {
    pub(crate) fn failed(failure: Failure, error: impl Into<String>) -> Self {
        WorkflowEnd { ending: Ending::Failed(failure), output: None, error: Some(codec::error_text(error.into())) }
    }
}

pub(crate) type WorkflowFuture = Pin<Box<dyn Future<Output = WorkflowEnd> + Send>>;
type Erased = Arc<dyn Fn(Context, Vec<u8>) -> WorkflowFuture + Send + Sync>;

/// The workflows that a worker has code for.
#[derive(Clone, Default)]
pub(crate) struct Registry(HashMap<String, Erased>);

impl Registry {
    /// Whether the name was free.
    pub(crate) fn add<F, Fut, I, O, E>(&mut self, name: &str, workflow: F) -> bool
    where
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<BoxError>,
    {
        let workflow = Arc::new(workflow);
        let erased: Erased = Arc::new(move |context, input| {
            let workflow = Arc::clone(&workflow);
            Box::pin(async move {
                let payload_max = context.payload_max();
                let input = match codec::decode::<I>(&input) {
                    Ok(input) => input,
                    Err(why) => return WorkflowEnd::failed(Failure::Undecodable, format!("the input: {why}")),
                };
                match workflow(context, input).await {
                    Err(error) => WorkflowEnd::failed(Failure::Workflow, error.into().to_string()),
                    Ok(output) => match codec::encode(&output) {
                        Ok(output) if output.len() <= payload_max => {
                            WorkflowEnd { ending: Ending::Succeeded, output: Some(output), error: None }
                        }
                        Ok(output) => WorkflowEnd::failed(
                            Failure::Unencodable,
                            format!("the output has {} bytes; the store takes {payload_max}", output.len()),
                        ),
                        Err(why) => WorkflowEnd::failed(Failure::Unencodable, format!("the output: {why}")),
                    },
                }
            })
        });
        self.0.insert(name.to_owned(), erased).is_none()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().cloned().collect();
        names.sort();
        names
    }

    /// The workflow, ready to be driven; none if there is no such code here.
    pub(crate) fn instantiate(&self, name: &str, context: Context, input: Vec<u8>) -> Option<WorkflowFuture> {
        self.0.get(name).map(|workflow| workflow(context, input))
    }
}
