//! Images of old releases leave the Engine and the registry, those of others stay, and `wharf releases` tells.

use wharf_test_support::require;

use crate::app::App;
use crate::docker::{docker, docker_at};
use crate::server::Server;
use crate::web;

/// The image of `web` is another one for each text: a file of it is the text.
fn release(app: &App, text: &str) {
    std::fs::write(app.path().join("text"), text).unwrap();
    let dockerfile = app.path().join("Dockerfile");
    let old = std::fs::read_to_string(&dockerfile).unwrap();
    if !old.contains("COPY text") {
        std::fs::write(&dockerfile, old.replace("ENTRYPOINT", "COPY text /text\nENTRYPOINT")).unwrap();
    }
    app.text(text);
}

#[test]
fn only_images_of_kept_releases_stay_and_a_rollback_beyond_says_so() {
    require!(Docker);
    let server = Server::start_with(&["docker.labels={pool: web}", "deploy.keep_releases=2"]);
    let app = App::web(&server, "one");
    let repository = format!("127.0.0.1:{}/{}/web", server.registry, app.name);
    let tags = || {
        let url = format!("/v2/{}/web/tags/list", app.name);
        let answer = web::get_at(([127, 0, 0, 1], server.registry).into(), "registry", &url).unwrap().1;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| tag.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let local = || {
        let mut all: Vec<String> =
            docker(&["images", "--format", "{{.Tag}}", &repository]).lines().map(str::to_owned).collect();
        all.sort();
        all
    };
    for text in ["one", "two", "three"] {
        release(&app, text);
        server.deploy(app.path());
        if text == "one" {
            // Somebody gives the image of the first release a name of their own.
            docker(&["tag", &format!("{repository}:r1"), &format!("{}:mine", app.name)]);
        }
    }
    assert_eq!(
        (tags(), local()),
        (vec!["r2".to_owned(), "r3".to_owned()], vec!["r2".to_owned(), "r3".to_owned()])
    );
    let mine = format!("{}:mine", app.name);
    assert_eq!(
        docker_at(std::path::Path::new("/var/run/docker.sock"), &["image", "inspect", &mine]).status,
        0
    );

    let listed = server.json(&["releases", &app.name]);
    let possible = listed["releases"].as_array().unwrap().iter().map(|one| one["can_roll_back"] == true);
    assert_eq!(possible.collect::<Vec<_>>(), [false, true, false]);
    server.run(&["releases", &app.name]).expect(0).says("possible").says("images gone");
    let refused = server.run(&["rollback", &app.name, "--to", "1"]).expect(1);
    refused.says("the images of release 1").says("deploy.keep_releases").says("hint:");
    server.ok(&["rollback", &app.name]);
    assert_eq!(web::body(server.balancer, &app.host(), "/"), "two");

    // A container of somebody else's uses the image of release 3: it stays as long as that is there.
    let image = format!("{repository}:r3");
    let foreign = format!("{}-foreign", app.name);
    docker(&["create", "--name", &foreign, &image]);
    for text in ["four", "five", "six"] {
        release(&app, text);
        server.deploy(app.path());
    }
    assert!(!local().contains(&"r2".to_owned()), "{:?}", local());
    assert_eq!(docker(&["inspect", "-f", "{{.Config.Image}}", &foreign]).trim(), image);
    let used = docker(&["inspect", "-f", "{{.Image}}", &foreign]);
    docker(&["image", "inspect", used.trim()]);
    docker(&["rm", &foreign]);
    release(&app, "seven");
    server.deploy(app.path());
    assert_eq!(local(), ["r6", "r7"]);
    assert_eq!(tags(), ["r6", "r7"]);
    docker(&["rmi", &mine]);
    server.ok(&["rm", &app.name]);
}
