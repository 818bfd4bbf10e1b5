//! Agents of other versions: what they say when they connect, and what becomes of them.

use std::sync::Arc;

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharf_fleet::agent::{AgentDeps, Connector};
use wharf_model::ports::Hosts as _;
use wharf_model::{HostReport, Liveness};
use wharf_test_support::require;

use crate::world::{World, name};

/// A connection of a program that is not ours, with a host's certificate.
struct Foreign {
    sender: hyper::client::conn::http2::SendRequest<wharf_http::Body>,
    authority: String,
    driver: tokio::task::JoinHandle<()>,
}

impl Foreign {
    async fn connect(world: &World, host: &str) -> Foreign {
        let deps = AgentDeps::joined(world.path(host), Arc::clone(&world.clock)).unwrap();
        let Connector::Network { servers, .. } = deps.connector else { panic!("not over the network") };
        let endpoint = servers.current().unwrap();
        let (sender, driver) = wharf_http::connect_h2(&endpoint, None, None).await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test has no tasks of its own")]
        let driver = tokio::spawn(async move { drop(driver.await) });
        Foreign { sender, authority: endpoint.authority(), driver }
    }

    async fn ask(&mut self, method: Method, path: &str, version: Option<&str>, body: Vec<u8>) -> Answer {
        let uri = format!("https://{}{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(version) = version {
            request = request.header("wharf-protocol", version);
        }
        let request = request.body(wharf_http::full(body)).unwrap();
        Answer(self.sender.send_request(request).await.unwrap())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Answer(Response<Incoming>);

impl Answer {
    fn agreed(&self) -> Option<&str> {
        self.0.headers().get("wharf-protocol")?.to_str().ok()
    }

    async fn text(self) -> String {
        String::from_utf8(self.0.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_from_before_the_versions_work_and_too_old_ones_are_told() {
    require!(Docker);
    let world = World::new();
    let server = world.server().await;
    world.join(&server, "h1").await.unwrap();
    let mut agent = Foreign::connect(&world, "h1").await;

    // Too old, too new, and nonsense: nothing happens but an answer that helps.
    let host = |server: &crate::world::Server| server.handle.hosts().remove(0);
    for (version, status, part) in [
        ("0", 501, "install the server's version of wharf on this host"),
        ("7-9", 501, "upgrade the server first"),
        ("one", 400, "must be like `1` or `1-2`"),
    ] {
        let answer = agent.ask(Method::GET, "/agent/v1/watch", Some(version), vec![]).await;
        assert_eq!(answer.0.status(), status, "{version}");
        let text = answer.text().await;
        assert!(text.contains(part), "{version}: {text}");
        let view = host(&server);
        assert_eq!(view.liveness, Liveness::Never);
        assert!(view.problem.as_ref().is_some_and(|problem| problem.contains(part)), "{view:?}");
    }

    // An agent that says nothing, as all did before, and one that also speaks what is to come.
    for version in [None, Some("1"), Some("1-4")] {
        let mut agent = Foreign::connect(&world, "h1").await;
        let mut watch = agent.ask(Method::GET, "/agent/v1/watch", version, vec![]).await;
        assert_eq!((watch.0.status().as_u16(), watch.agreed()), (200, Some("1")), "{version:?}");
        let line = watch.0.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(line.starts_with(b"{\"generation\":0"), "{line:?}");
        // What it does not know of, it does not send; what we don't know of, is ignored.
        let report = br#"{"agent_version":"0.0.9","of_tomorrow":{"a":1}}"#.to_vec();
        let answer = agent.ask(Method::POST, "/agent/v1/report", version, report).await;
        assert_eq!(answer.0.status(), 204);
        let report = HostReport { agent_version: "0.0.9".to_owned(), ..HostReport::default() };
        let is_heard = (Liveness::Up, report);
        server.observe("the report", |observed| observed.hosts[&name("h1")] == is_heard).await;
        assert_eq!(host(&server).problem, None);
        drop((watch, agent));
        server.observe("the end", |observed| observed.hosts[&name("h1")].0 == Liveness::Lost).await;
    }
    drop(agent);
    server.stop().await;
}
