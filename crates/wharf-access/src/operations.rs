//! What the document of the API says about [`crate::routes`].

use schemars::JsonSchema;
use wharf_base::ErrorCode::{
    AlreadyExists, Conflict, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, Unauthenticated,
};
use wharf_http::Role;
use wharf_http::api::Operation;
use wharf_model::EventRecord;

use crate::TokenView;
use crate::events::Page;
use crate::routes::{CreatedToken, Login, NewToken, SessionView};

/// Sessions, tokens, events.
pub fn operations() -> Vec<Operation> {
    let access = [
        Operation::get("/session", "showSession", "Says who the caller is").answers::<SessionView>(),
        Operation::post(
            "/session",
            "openSession",
            "Opens a session of the console for the holder of a token",
        )
        .open()
        .takes::<Login>()
        .answers::<SessionView>()
        .fails(&[Unauthenticated, PermissionDenied, ResourceExhausted])
        .leaves("logged_in"),
        Operation::delete("/session", "closeSession", "Ends the caller's session")
            .role(Role::Viewer)
            .leaves_nothing("it ends nothing but the caller's own session"),
        Operation::get("/tokens", "listTokens", "Lists tokens, without their secrets")
            .role(Role::Admin)
            .answers::<TokenList>(),
        Operation::post("/tokens", "createToken", "Makes a token; its text is in this answer only")
            .role(Role::Admin)
            .takes::<NewToken>()
            .answers_with::<CreatedToken>(201)
            .fails(&[AlreadyExists, ResourceExhausted])
            .leaves("token_made"),
        Operation::delete("/tokens/{id}", "removeToken", "Removes a token and ends its sessions")
            .role(Role::Admin)
            .parameter("id", "The token's id, as the list has it")
            .fails(&[NotFound, Conflict])
            .leaves("token_removed"),
    ];
    let events = [
        Operation::get("/events", "listEvents", "Lists events, oldest first; this is the audit log")
            .query::<Page>()
            .answers::<EventPage>()
            .fails(&[InvalidArgument]),
        Operation::get(
            "/events/stream",
            "streamEvents",
            "Streams events as they happen; goes on after `Last-Event-ID` or `after`",
        )
        .query::<Page>()
        .sends::<EventRecord>("message")
        .fails(&[InvalidArgument, ResourceExhausted]),
    ];
    let mut all = Operation::tagged("access", access);
    all.extend(Operation::tagged("events", events));
    all
}

/// Tokens by name.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is wanted")]
struct TokenList {
    tokens: Vec<TokenView>,
}

/// Some of the log.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is wanted")]
struct EventPage {
    /// Oldest first.
    events: Vec<EventRecord>,
    /// What `before` must be for the page before this one; null where there is none.
    older: Option<u64>,
}
