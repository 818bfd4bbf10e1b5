//! `wharf lab agents`: many hosts without containers on one server, to rehearse a large installation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wharf_base::{Clock as _, SystemClock, Tasks};
use wharf_fleet::AgentConfig;
use wharf_fleet::agent::{self, JoinOptions};
use wharf_model::Name;

use crate::cli::Global;
use crate::failure::usage;
use crate::output::Output;

/// Where the hosts' directories are when --data is not given: in memory, because each agent writes what it is told.
const DATA: &str = "/dev/shm/wharf-lab-agents";
/// How many join at a time: it is the server that signs.
const JOINS: usize = 8;
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What to pretend.
pub(super) struct Pretence {
    pub(super) url: String,
    pub(super) count: u32,
    pub(super) prefix: String,
    pub(super) architecture: String,
}

/// Runs until Ctrl-C or SIGTERM.
pub(super) async fn run(global: &Global, pretence: Pretence, output: Output) -> anyhow::Result<()> {
    let token = global.token.clone();
    let data = global.data_given.clone().unwrap_or_else(|| PathBuf::from(DATA));
    let names: Vec<Name> = (1..=pretence.count)
        .map(|number| format!("{}{number}", pretence.prefix).parse())
        .collect::<Result<_, _>>()
        .map_err(|error: wharf_model::NameError| usage(error.to_string()))?;
    let begun = Instant::now();
    output.progress("joining …");
    let unknown = names.iter().filter(|name| !data.join(name.as_str()).join("identity.json").exists());
    let join = async |name: &Name| {
        let token = token.clone().ok_or_else(|| {
            usage("a join token is needed\n  hint: `wharf host token --uses N` on the server makes one for N hosts")
        })?;
        let options = options(&pretence.url, token, name, &data);
        agent::join(options).await?;
        Ok::<_, anyhow::Error>(())
    };
    stream::iter(unknown).map(join).buffer_unordered(JOINS).try_collect::<()>().await?;
    output.progress_done();
    say(output, &json!({ "joined": names.len(), "seconds": begun.elapsed().as_secs_f64() }), || {
        format!("{} hosts have joined", names.len())
    })?;

    let tasks = Tasks::new();
    let (sender, receiver) = mpsc::channel(names.len());
    for (index, name) in names.iter().enumerate() {
        let path = data.join(name.as_str());
        let mut host = agent::start_simulated(
            &AgentConfig::default(),
            path,
            &pretence.architecture,
            Arc::new(SystemClock),
            &tasks,
        )?;
        let sender = sender.clone();
        let shutdown = tasks.shutdown();
        tasks.spawn("lab agents", async move {
            loop {
                tokio::select! {
                    changed = host.heard.changed() => if changed.is_err() { return },
                    () = shutdown.cancelled() => return,
                }
                let generation = *host.heard.borrow_and_update();
                if sender.send((index, generation)).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let result = tokio::select! {
        told = tell(receiver, names.len(), output) => told,
        signal = tokio::signal::ctrl_c() => signal.map_err(anyhow::Error::from),
        () = terminated() => Ok(()),
    };
    tasks.stop(STOP_LIMIT).await;
    result
}

fn options(url: &str, token: String, name: &Name, data: &Path) -> JoinOptions {
    JoinOptions {
        url: url.to_owned(),
        token,
        name: name.clone(),
        labels: BTreeMap::from([("lab".to_owned(), "agents".to_owned())]),
        address: None,
        data: data.join(name.as_str()),
        // No Engine of theirs pulls anything.
        certs_dir: Some(data.join("certs.d")),
    }
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        Err(error) => tracing::warn!(%error, "SIGTERM is not heard"),
    }
}

/// Says when all have connected, and whenever a generation is with all.
async fn tell(
    mut receiver: mpsc::Receiver<(usize, u64)>,
    count: usize,
    output: Output,
) -> anyhow::Result<()> {
    let mut last: Vec<Option<u64>> = vec![None; count];
    let mut all: Option<u64> = None;
    while let Some((index, generation)) = receiver.recv().await {
        last[index] = Some(generation);
        let least = last.iter().copied().min().flatten();
        let Some(new) = least.filter(|_| least > all) else { continue };
        let at = SystemClock.now().0;
        if all.is_none() {
            say(output, &json!({ "connected": count }), || format!("{count} hosts are connected"))?;
        }
        for generation in all.map_or(new, |all| all + 1)..=new {
            say(output, &json!({ "generation": generation, "all_at": at }), || {
                format!("generation {generation} is with all {count} hosts")
            })?;
        }
        all = Some(new);
    }
    Ok(())
}

/// A line for people, or a document per line.
fn say(output: Output, value: &Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if output.is_json() { output.line(&value.to_string()) } else { output.say(&text()) }
}
