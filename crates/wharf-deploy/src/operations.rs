//! What the document of the API says about [`crate::routes`].

use wharf_base::ErrorCode::{
    Cancelled, Conflict, InvalidArgument, NotFound, ResourceExhausted, TooLarge, Unavailable,
};
use wharf_http::api::Operation;

use crate::api::{
    AppList, AppView, CommandRequest, DeployList, DeployRequest, DeployView, EndView, LogLineView, LogNote,
    OutputView, PlanView, ReleaseDiff, ReleaseList, RestartRequest, RollbackRequest, ScaleRequest,
    SecretsRecipient, Started, StepView, Uploaded,
};
use crate::operate::logs::LogsQuery;
use crate::routes::DeploysQuery;

/// Applications, releases, deploys, and what is done with services that run.
pub fn operations() -> Vec<Operation> {
    let applications = [
        Operation::get("/apps", "listApps", "Lists applications").answers::<AppList>(),
        app(Operation::get("/apps/{app}", "showApp", "Shows one application")).answers::<AppView>(),
        deploys(app(Operation::delete(
            "/apps/{app}",
            "removeApp",
            "Removes an application: containers and networks go, volumes stay",
        ))),
        app(Operation::get("/apps/{app}/releases", "listReleases", "Lists releases, the newest first"))
            .answers::<ReleaseList>(),
        app(Operation::get(
            "/apps/{app}/releases/{from}/diff/{to}",
            "diffReleases",
            "Shows what differs between two releases; values that may be secrets are not told",
        ))
        .parameter("from", "Number of the release to begin with")
        .parameter("to", "Number of the release to compare it with")
        .answers::<ReleaseDiff>(),
        app(Operation::post(
            "/apps/{app}/plan",
            "plan",
            "Shows what a deploy would change, and changes nothing",
        ))
        .takes::<DeployRequest>()
        .answers::<PlanView>()
        .fails(&[Conflict])
        .leaves_nothing("it changes nothing"),
        deploys(app(Operation::post("/apps/{app}/deploys", "deploy", "Builds, pushes and deploys")))
            .takes::<DeployRequest>(),
        deploys(app(Operation::post("/apps/{app}/rollback", "rollback", "Goes back to an earlier release")))
            .takes::<RollbackRequest>(),
        deploys(app(Operation::post(
            "/apps/{app}/scale",
            "scale",
            "Runs more or fewer containers of services",
        )))
        .takes::<ScaleRequest>(),
        deploys(app(Operation::post(
            "/apps/{app}/restart",
            "restart",
            "Restarts containers, one after the other",
        )))
        .takes::<RestartRequest>(),
        service(Operation::get(
            "/apps/{app}/services/{service}/logs",
            "tailLogs",
            "Streams what the containers of a service print, from all hosts",
        ))
        .query::<LogsQuery>()
        .sends::<LogLineView>("line")
        .sends::<LogNote>("note")
        .sends::<End>("end")
        .fails(&[InvalidArgument]),
        terminal("/apps/{app}/services/{service}/exec", "exec", "Runs a command in a container of a service")
            .leaves("executed"),
        terminal("/apps/{app}/services/{service}/run", "run", "Runs a command in a one-off container")
            .leaves("run_started"),
    ];
    let deploys = [
        Operation::get("/deploys", "listDeploys", "Lists deploys, the newest first")
            .query::<DeploysQuery>()
            .answers::<DeployList>()
            .fails(&[InvalidArgument]),
        deploy(Operation::get("/deploys/{id}", "showDeploy", "Shows one deploy")).answers::<DeployView>(),
        deploy(Operation::get(
            "/deploys/{id}/stream",
            "streamDeploy",
            "Streams the steps of a deploy from its beginning to its end; goes on after `Last-Event-ID`",
        ))
        .sends::<StepView>("step")
        .sends::<OutputView>("output")
        .sends::<EndView>("end"),
        deploy(Operation::post(
            "/deploys/{id}/abort",
            "abortDeploy",
            "Ends a deploy before its switch; what served before serves on",
        ))
        .answers_empty(202)
        .fails(&[Conflict])
        .leaves("deploy_aborted"),
        Operation::get(
            "/secrets/recipient",
            "secretsRecipient",
            "Answers the server's public key, for which secrets are encrypted",
        )
        .answers::<SecretsRecipient>(),
        Operation::post("/uploads", "upload", "Takes a build context or files for a deploy")
            .takes_bytes("A tar archive, as it is")
            .answers::<Uploaded>()
            .fails(&[TooLarge, ResourceExhausted, Cancelled])
            .leaves_nothing("nothing refers to the bytes before a deploy does"),
    ];
    let mut all = Operation::tagged("applications", applications);
    all.extend(Operation::tagged("deploys", deploys));
    all
}

/// Nothing follows.
#[derive(schemars::JsonSchema)]
struct End {}

fn app(operation: Operation) -> Operation {
    operation.parameter("app", "Name of the application").fails(&[InvalidArgument, NotFound])
}

fn service(operation: Operation) -> Operation {
    app(operation).parameter("service", "Name of the service")
}

fn deploy(operation: Operation) -> Operation {
    operation.parameter("id", "Number of the deploy").fails(&[NotFound])
}

/// What starts a deploy.
fn deploys(operation: Operation) -> Operation {
    operation.answers_with::<Started>(202).fails(&[Conflict, Unavailable]).leaves("deploy_started")
}

fn terminal(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    service(Operation::get(path, id, summary)).role(wharf_http::Role::Deployer).websocket::<CommandRequest>()
}
