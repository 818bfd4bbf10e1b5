//! What the document of the API says about the fleet's routes.

use schemars::JsonSchema;
use wharf_base::ErrorCode::{
    AlreadyExists, Conflict, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted,
};
use wharf_http::Role;
use wharf_http::api::Operation;

use super::join::{NewToken, TokenMade};
use super::orphans::{OrphanList, OrphansRemoved, RemoveOrphans};
use super::routes::{Drain, GenerationList, HostList, InstanceList, Limit, Remove};
use crate::protocol::{JoinAnswer, JoinRequest};

/// Hosts, what runs on them, and generations.
pub fn operations() -> Vec<Operation> {
    let hosts = [
        Operation::get("/hosts", "listHosts", "Lists hosts").answers::<HostList>(),
        host(Operation::delete(
            "/hosts/{name}",
            "removeHost",
            "Removes a host; its certificate is refused from then on",
        ))
        .role(Role::Admin)
        .query::<Remove>()
        .fails(&[InvalidArgument, Conflict])
        .leaves("host_removed"),
        host(Operation::post(
            "/hosts/{name}/drain",
            "drainHost",
            "Gives a host no new containers, or does again",
        ))
        .takes::<Drain>()
        .leaves("host_drain"),
        Operation::post("/join-tokens", "createJoinToken", "Makes a token with which hosts can join")
            .role(Role::Admin)
            .takes::<NewToken>()
            .answers::<TokenMade>()
            .fails(&[ResourceExhausted])
            .leaves("join_token_made"),
        Operation::post("/join", "join", "Makes a machine a host; the join token in the request admits it")
            .open()
            .takes::<JoinRequest>()
            .answers::<JoinAnswer>()
            .fails(&[PermissionDenied, AlreadyExists])
            .leaves("host_joined"),
        Operation::get("/instances", "listInstances", "Lists containers as their agents report them")
            .answers::<InstanceList>(),
        Operation::get("/orphans", "listOrphans", "Lists what lies on hosts and no generation names")
            .answers::<OrphanList>(),
        Operation::post("/orphans/remove", "removeOrphans", "Removes some of them; waits until it is done")
            .takes::<RemoveOrphans>()
            .answers::<OrphansRemoved>()
            .leaves("orphan_removed"),
        Operation::get("/generations", "listGenerations", "Lists generations, the newest first")
            .query::<Limit>()
            .answers::<GenerationList>(),
        Operation::get(
            "/generations/{number}",
            "showGeneration",
            "Shows one generation, environment of containers included",
        )
        .role(Role::Deployer)
        .parameter("number", "Number of the generation")
        .answers::<Document>()
        .fails(&[NotFound]),
    ];
    Operation::tagged("hosts", hosts)
}

fn host(operation: Operation) -> Operation {
    operation.parameter("name", "Name of the host").fails(&[NotFound])
}

/// One numbered state of the whole installation.
#[derive(JsonSchema)]
#[schemars(rename = "Generation")]
#[expect(dead_code, reason = "only its schema is wanted")]
struct Document {
    /// The number, from 1.
    number: u64,
    /// When it was made.
    created: wharf_base::UnixMillis,
    /// Who asked for it.
    author: String,
    /// Why, in words.
    reason: String,
    /// What agents are to carry out, by application, in the form of this version.
    apps: std::collections::BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
}
