//! Pushes.

use tokio::sync::mpsc;
use wharf_docker::bollard::query_parameters::TagImageOptionsBuilder;
use wharf_docker::{Credentials, Error, Output, push};
use wharf_test_support::require;

use crate::peers;

#[tokio::test]
async fn push_returns_the_digest_that_the_registry_has() {
    require!(Docker, Command("docker-registry"));
    let engine = peers::engine().await;
    let registry = peers::Registry::start().await;
    let image = peers::tool_image(&engine, "push").await;
    let name = format!("{}/a/tool", registry.address);
    let options = TagImageOptionsBuilder::default().repo(&name).tag("r1").build();
    engine.docker().tag_image(&image, Some(options)).await.unwrap();

    let (sender, mut lines) = mpsc::channel(100);
    let reference = format!("{name}:r1");
    let digest = push(&engine, &reference, None, &mut Output::to(sender)).await.unwrap();

    let details = engine.docker().inspect_image(&reference).await.unwrap();
    assert!(details.repo_digests.unwrap().contains(&format!("{name}@{digest}")));
    let mut output = Vec::new();
    while let Some(line) = lines.recv().await {
        output.push(line);
    }
    assert!(output.iter().any(|line| line.ends_with(": Pushed")), "{output:?}");
    remove(&engine, &reference).await;
}

#[tokio::test]
async fn registry_with_a_password_takes_the_right_one_only() {
    require!(Docker, Command("docker-registry"));
    let engine = peers::engine().await;
    let registry = peers::Registry::start_with_password().await;
    let image = peers::tool_image(&engine, "push-password").await;
    let name = format!("{}/a/tool", registry.address);
    let options = TagImageOptionsBuilder::default().repo(&name).tag("r1").build();
    engine.docker().tag_image(&image, Some(options)).await.unwrap();
    let reference = format!("{name}:r1");
    let credentials = |password: &str| Credentials { user: "ci".to_owned(), password: password.to_owned() };
    for wrong in [None, Some(credentials("wrong"))] {
        let error = push(&engine, &reference, wrong.as_ref(), &mut Output::discard()).await.unwrap_err();
        assert!(matches!(error, Error::PushFailed { .. }), "{error:?}");
        assert_eq!(error.code(), wharf_base::ErrorCode::Unauthenticated, "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    push(&engine, &reference, Some(&credentials("right")), &mut Output::discard()).await.unwrap();
    remove(&engine, &reference).await;
}

#[tokio::test]
async fn push_to_nobody_fails_with_the_address() {
    require!(Docker);
    let engine = peers::engine().await;
    let image = peers::tool_image(&engine, "push-nobody").await;
    let address = wharf_test_support::free_addr();
    let name = format!("{address}/a/tool");
    let options = TagImageOptionsBuilder::default().repo(&name).tag("r1").build();
    engine.docker().tag_image(&image, Some(options)).await.unwrap();
    let reference = format!("{name}:r1");
    let error = push(&engine, &reference, None, &mut Output::discard()).await.unwrap_err();
    assert!(matches!(error, Error::PushFailed { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("cannot push {reference}: ")), "{error}");
    assert!(error.to_string().contains("connection refused"), "{error}");
    remove(&engine, &reference).await;
}

#[tokio::test]
async fn push_of_an_unknown_image_is_not_found() {
    require!(Docker);
    let engine = peers::engine().await;
    let error = push(&engine, "127.0.0.1:9/no/such:1", None, &mut Output::discard()).await.unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:9/no/such"), "{error}");
}

async fn remove(engine: &wharf_docker::Engine, reference: &str) {
    let options = None::<bollard::query_parameters::RemoveImageOptions>;
    engine.docker().remove_image(reference, options, None).await.unwrap();
}
