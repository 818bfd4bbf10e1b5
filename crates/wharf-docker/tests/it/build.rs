//! Builds, with both builders.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use wharf_base::Digest;
use wharf_docker::build::{self, Build, Builder};
use wharf_docker::{Engine, Error, Output};
use wharf_test_support::require;

use crate::peers::{self, Context};

const BOTH: [Builder; 2] = [Builder::Buildkit, Builder::Classic];

async fn run(
    engine: &Engine,
    builder: Builder,
    context: &Context,
    args: &[(&str, &str)],
) -> (Result<Digest, Error>, Vec<String>) {
    let tag = "wharf-docker-test:build";
    let map: BTreeMap<String, String> =
        args.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let labels = BTreeMap::from([("wharf.app".to_owned(), "a \"b\"".to_owned())]);
    let request = Build {
        tag,
        context: context.path(),
        dockerfile: "Dockerfile",
        target: None,
        args: &map,
        labels: &labels,
        no_cache: true,
        settings: Default::default(),
    };
    let (sender, mut receiver) = mpsc::channel(1000);
    let mut output = Output::to(sender);
    let built = build::run(engine, builder, &request, &mut output).await;
    drop(output);
    let mut lines = Vec::new();
    while let Some(line) = receiver.recv().await {
        lines.push(line);
    }
    (built, lines)
}

#[tokio::test]
async fn builds_with_arguments_and_labels() {
    require!(Docker);
    let engine = peers::engine().await;
    let dockerfile = "FROM scratch\nARG WORD\nCOPY tool /tool\nRUN [\"/tool\", \"say\", \"hello\", \"there\"]\nENV WORD=$WORD\n";
    let context = Context::new(&[("Dockerfile", dockerfile)]);
    for builder in BOTH {
        let (built, lines) = run(&engine, builder, &context, &[("WORD", "a b&c")]).await;
        let id = built.unwrap_or_else(|error| panic!("{builder:?}: {error:?}\n{}", lines.join("\n")));
        let image = engine.docker().inspect_image(id.as_str()).await.unwrap();
        let config = image.config.unwrap();
        assert!(config.env.unwrap().contains(&"WORD=a b&c".to_owned()));
        assert_eq!(config.labels.unwrap()["wharf.app"], "a \"b\"");
        assert!(lines.iter().any(|line| line.ends_with("there")), "{builder:?}: {lines:#?}");
        assert!(lines.iter().all(|line| !line.contains('\n')));
        if builder == Builder::Buildkit {
            assert!(lines.contains(&"#1 [internal] load remote build context".to_owned()), "{lines:#?}");
            assert!(lines.iter().any(|line| line.contains(" DONE ")), "{lines:#?}");
        }
    }
}

#[tokio::test]
async fn failed_run_names_the_step_and_its_last_lines() {
    require!(Docker);
    let engine = peers::engine().await;
    let dockerfile = "FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"fail\", \"no such header\"]\n";
    let context = Context::new(&[("Dockerfile", dockerfile)]);
    for builder in BOTH {
        let (built, _) = run(&engine, builder, &context, &[]).await;
        let error = built.unwrap_err();
        let Error::BuildFailed { step, tail, .. } = &error else { panic!("{error:?}") };
        let step = step.as_deref().unwrap();
        assert!(step.contains("] RUN [\"/tool\", \"fail\", \"no such header\"]"), "{step}");
        assert_eq!(tail, &["no such header"], "{builder:?}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("the build failed at `{step}`: ")), "{message}");
        assert!(message.contains('3'), "exit status: {message}");
    }
}

#[tokio::test]
async fn copy_of_a_missing_file_names_it() {
    require!(Docker);
    let engine = peers::engine().await;
    let context = Context::new(&[("Dockerfile", "FROM scratch\nCOPY nope.txt /x\n")]);
    for builder in BOTH {
        let error = run(&engine, builder, &context, &[]).await.0.unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("the build failed at `["), "{builder:?}: {message}");
        assert!(message.contains("COPY nope.txt /x`"), "{builder:?}: {message}");
    }
}

#[tokio::test]
async fn malformed_dockerfile_is_a_failed_build() {
    require!(Docker);
    let engine = peers::engine().await;
    let context = Context::new(&[("Dockerfile", "FROM scratch\nCOPPY a b\n")]);
    for builder in BOTH {
        let error = run(&engine, builder, &context, &[]).await.0.unwrap_err();
        assert!(matches!(error, Error::BuildFailed { .. }), "{builder:?}: {error:?}");
        assert!(error.to_string().to_lowercase().contains("unknown instruction: coppy"), "{error}");
    }
}

#[tokio::test]
async fn missing_archive_is_named() {
    require!(Docker);
    let engine = peers::engine().await;
    let none = BTreeMap::new();
    let request = Build {
        tag: "x",
        context: std::path::Path::new("/nowhere/context.tar"),
        dockerfile: "Dockerfile",
        target: None,
        args: &none,
        labels: &none,
        no_cache: false,
        settings: Default::default(),
    };
    let error = build::run(&engine, Builder::Auto, &request, &mut Output::discard()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere/context.tar");
}

#[tokio::test]
async fn dropped_build_ends_its_step() {
    require!(Docker);
    let engine = peers::engine().await;
    for builder in BOTH {
        let mark = format!("mark-{builder:?}-{}", std::process::id());
        let dockerfile = format!("FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"wait\", \"{mark}\"]\n");
        let context = Context::new(&[("Dockerfile", &dockerfile)]);
        {
            let build = run(&engine, builder, &context, &[]);
            tokio::select! {
                (built, lines) = build => panic!("{builder:?} ended: {built:?} {lines:?}"),
                () = until(|| is_running(&mark), "the step runs") => {}
            }
        }
        until(|| !is_running(&mark), "the step has ended").await;
    }
}

/// A process of this machine other than ours has `mark` as an argument.
fn is_running(mark: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| {
            line.starts_with(b"/tool\0wait\0") && String::from_utf8_lossy(&line).contains(mark)
        })
    })
}

/// Looks every 20 ms: /proc has no events to wait for.
async fn until(is_so: impl Fn() -> bool, what: &str) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), looking)
        .await
        .unwrap_or_else(|_| panic!("waited for: {what}"));
}
