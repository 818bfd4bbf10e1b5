//! axum's router, which forgets its paths, with a memory for them.

use std::collections::BTreeSet;

use axum::Router;
use axum::routing::MethodRouter;
use serde_json::Value;

use super::{Operation, document};

/// A router under `/api/v1` that knows its paths and what is on them.
#[must_use]
pub struct ApiRouter<S = ()> {
    router: Router<S>,
    served: Served,
}

/// Which paths a server has, and what is said about them.
#[derive(Clone, Default)]
pub struct Served {
    paths: BTreeSet<String>,
    operations: Vec<Operation>,
}

impl<S: Clone + Send + Sync + 'static> ApiRouter<S> {
    /// One without paths, with these descriptions.
    pub fn new(operations: Vec<Operation>) -> ApiRouter<S> {
        ApiRouter { router: Router::new(), served: Served { paths: BTreeSet::new(), operations } }
    }

    /// As [`Router::route`].
    pub fn route(mut self, path: &str, methods: MethodRouter<S>) -> ApiRouter<S> {
        self.served.paths.insert(path.to_owned());
        self.router = self.router.route(path, methods);
        self
    }

    /// What the router itself can do, such as a layer on what it has so far. Must not add paths.
    pub fn with(mut self, change: impl FnOnce(Router<S>) -> Router<S>) -> ApiRouter<S> {
        self.router = change(self.router);
        self
    }

    /// As [`Router::with_state`].
    pub fn with_state<T>(self, state: S) -> ApiRouter<T> {
        ApiRouter { router: self.router.with_state(state), served: self.served }
    }

    /// As [`Router::merge`].
    pub fn merge(mut self, other: ApiRouter<S>) -> ApiRouter<S> {
        self.router = self.router.merge(other.router);
        self.served.paths.extend(other.served.paths);
        self.served.operations.extend(other.served.operations);
        self
    }

    /// What it serves.
    pub fn served(&self) -> &Served {
        &self.served
    }
}

impl<S> From<ApiRouter<S>> for Router<S> {
    fn from(api: ApiRouter<S>) -> Router<S> {
        api.router
    }
}

impl Served {
    /// The OpenAPI document of what is really there: descriptions of paths that are not are left out, and a path that
    /// nobody describes is in it without an operation.
    pub fn document(&self, version: &str) -> Value {
        let is_there = |operation: &&Operation| self.paths.contains(operation.route);
        let operations: Vec<Operation> = self.operations.iter().filter(is_there).cloned().collect();
        let mut document = document(version, &operations);
        for path in &self.paths {
            if !operations.iter().any(|operation| operation.route == path) {
                document["paths"][path.as_str()] = Value::Object(serde_json::Map::new());
            }
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    #[test]
    fn a_path_without_words_and_words_without_a_path_both_show() {
        let api = ApiRouter::<()>::new(vec![
            Operation::get("/told", "told", "Tells"),
            Operation::get("/gone", "gone", "Is not there"),
        ])
        .route("/told", get(async || ""))
        .route("/silent", get(async || ""));
        let document = api.served().document("1");
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths, ["/told", "/silent"]);
        assert_eq!(document["paths"]["/told"]["get"]["operationId"], "told");
        assert_eq!(document["paths"]["/silent"], serde_json::json!({}));
    }
}
