//! Logins, where they are needed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wharf_http::ServerOptions;
use wharf_registry::{Exposure, router};

use crate::support::{Client, Server};

#[tokio::test]
async fn an_exposed_listener_wants_a_login_and_lets_only_pushers_push() {
    let server = Server::start().await;
    let exposed = router(&server.handle, Exposure { needs_auth: true });
    let listener = wharf_http::bind("test", &["127.0.0.1:0".parse().unwrap()]).await.unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    wharf_http::serve("test", listener, None, exposed, ServerOptions::default(), &server.tasks);
    let client = |credentials: Option<&str>| Client {
        address,
        authorization: credentials.map(|text| format!("Basic {}", STANDARD.encode(text))),
    };
    for credentials in [None, Some("pusher:wrong"), Some("nobody:nobody"), Some("no colon")] {
        for path in ["/v2/", "/v2/a/tags/list", "/nothing"] {
            let refusal = client(credentials).send("GET", path).await.expect_error(401, "UNAUTHORIZED");
            assert_eq!(refusal.header("www-authenticate"), "Basic realm=\"wharf\"");
        }
    }
    let (pusher, puller) = (client(Some("pusher:pusher")), client(Some("puller:puller")));
    pusher.send("GET", "/v2/").await.expect(200);
    let manifest = pusher.push_image("a", "v1", "layer").await;
    assert_eq!(puller.send("GET", "/v2/a/manifests/v1").await.expect(200).body, manifest);
    puller.send("POST", "/v2/a/blobs/uploads/").await.expect_error(403, "DENIED");
    puller.send("DELETE", "/v2/a/manifests/v1").await.expect_error(403, "DENIED");
    puller.send("PUT", "/v2/a/manifests/v2").await.expect_error(403, "DENIED");
    puller.send("GET", "/v2/a/manifests/v1").await.expect(200);
    // Loopback needs none.
    server.send("GET", "/v2/a/manifests/v1").await.expect(200);
}
