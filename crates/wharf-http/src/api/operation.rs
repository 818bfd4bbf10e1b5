//! One operation of the API: a method on a path.

use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use wharf_base::ErrorCode;

use crate::Role;

/// Makes a type's schema in a document.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone: the request carries what admits it.
    Open,
    /// Who has a token or session of this role, or a higher one.
    Role(Role),
}

impl Access {
    /// `open`, or the role's word.
    pub fn word(self) -> &'static str {
        match self {
            Access::Open => "open",
            Access::Role(Role::Viewer) => "viewer",
            Access::Role(Role::Deployer) => "deployer",
            Access::Role(Role::Admin) => "admin",
        }
    }
}

/// What an operation leaves in the event log, which is the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Nothing, because it only reads.
    Reads,
    /// An event of this kind, with who it was.
    Event(&'static str),
    /// Nothing, although it is no GET: why not, in words.
    None(&'static str),
}

/// What a good answer has in it.
#[derive(Clone)]
pub(super) enum Answer {
    /// A status without a body.
    Empty(u16),
    /// A status with JSON.
    Json(u16, SchemaOf),
    /// Server-sent events: name, what its data is.
    Events(Vec<(&'static str, SchemaOf)>),
    /// Frames on a WebSocket; the first message of the client.
    WebSocket(SchemaOf),
}

/// What a request has in its body.
#[derive(Clone)]
pub(super) enum Body {
    Json(SchemaOf),
    Bytes(&'static str),
}

/// Describes one operation. Begin with [`Operation::get`], [`Operation::post`] or [`Operation::delete`].
#[derive(Clone)]
pub struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) route: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) tag: &'static str,
    pub(super) access: Access,
    pub(super) parameters: Vec<(&'static str, &'static str)>,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<Body>,
    pub(super) answer: Answer,
    pub(super) errors: Vec<ErrorCode>,
    pub(super) trace: Trace,
}

impl Operation {
    /// Reads `path`; for viewers. `id` is unique in the document, `summary` a sentence without full stop.
    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation::new(Method::GET, path, id, summary, Role::Viewer, Trace::Reads)
    }

    /// Changes something; for deployers.
    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation::new(Method::POST, path, id, summary, Role::Deployer, Trace::None(""))
    }

    /// Removes something; for deployers.
    pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation::new(Method::DELETE, path, id, summary, Role::Deployer, Trace::None(""))
    }

    fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        role: Role,
        trace: Trace,
    ) -> Operation {
        Operation {
            method,
            path,
            route: path,
            id,
            summary,
            tag: "",
            access: Access::Role(role),
            parameters: Vec::new(),
            query: None,
            body: None,
            answer: Answer::Empty(204),
            errors: Vec::new(),
            trace,
        }
    }

    /// The router's path, where the document's can't be one.
    #[must_use]
    pub fn routed_as(mut self, route: &'static str) -> Operation {
        self.route = route;
        self
    }

    /// Only for this role and higher ones.
    #[must_use]
    pub fn role(mut self, role: Role) -> Operation {
        self.access = Access::Role(role);
        self
    }

    /// For anyone: the request carries what admits it.
    #[must_use]
    pub fn open(mut self) -> Operation {
        self.access = Access::Open;
        self
    }

    /// What a `{name}` of the path stands for.
    #[must_use]
    pub fn parameter(mut self, name: &'static str, what: &'static str) -> Operation {
        self.parameters.push((name, what));
        self
    }

    /// The query's parameters are this type's fields.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Operation {
        self.query = Some(schema_of::<T>);
        self
    }

    /// The body is this, as JSON.
    #[must_use]
    pub fn takes<T: JsonSchema>(mut self) -> Operation {
        self.body = Some(Body::Json(schema_of::<T>));
        self
    }

    /// The body is bytes; `what` they are.
    #[must_use]
    pub fn takes_bytes(mut self, what: &'static str) -> Operation {
        self.body = Some(Body::Bytes(what));
        self
    }

    /// It answers 200 with this, as JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(self) -> Operation {
        self.answers_with::<T>(200)
    }

    /// It answers with this status and JSON.
    #[must_use]
    pub fn answers_with<T: JsonSchema>(mut self, status: u16) -> Operation {
        self.answer = Answer::Json(status, schema_of::<T>);
        self
    }

    /// It answers with this status and no body; without any of these it is 204.
    #[must_use]
    pub fn answers_empty(mut self, status: u16) -> Operation {
        self.answer = Answer::Empty(status);
        self
    }

    /// It answers server-sent events; this is one of them. `message` is the one without a name.
    #[must_use]
    pub fn sends<T: JsonSchema>(mut self, name: &'static str) -> Operation {
        match &mut self.answer {
            Answer::Events(events) => events.push((name, schema_of::<T>)),
            _ => self.answer = Answer::Events(vec![(name, schema_of::<T>)]),
        }
        self
    }

    /// It becomes a WebSocket, whose first message from the client is this.
    #[must_use]
    pub fn websocket<T: JsonSchema>(mut self) -> Operation {
        self.answer = Answer::WebSocket(schema_of::<T>);
        self
    }

    /// It can be refused so, besides what any operation can be refused for.
    #[must_use]
    pub fn fails(mut self, codes: &[ErrorCode]) -> Operation {
        self.errors.extend_from_slice(codes);
        self
    }

    /// It leaves an event of this kind, with who it was.
    #[must_use]
    pub fn leaves(mut self, kind: &'static str) -> Operation {
        self.trace = Trace::Event(kind);
        self
    }

    /// It leaves no event, for this reason.
    #[must_use]
    pub fn leaves_nothing(mut self, why: &'static str) -> Operation {
        self.trace = Trace::None(why);
        self
    }

    /// Puts all of them under one heading.
    pub fn tagged(tag: &'static str, operations: impl IntoIterator<Item = Operation>) -> Vec<Operation> {
        operations.into_iter().map(|operation| Operation { tag, ..operation }).collect()
    }

    /// Method and path, relative to `/api/v1`.
    pub fn place(&self) -> (&Method, &'static str) {
        (&self.method, self.path)
    }

    /// Its heading.
    pub fn tag(&self) -> &'static str {
        self.tag
    }

    /// Its sentence.
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// Who may call it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// What it leaves in the event log.
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// The names in braces of its path.
    pub fn braces(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
