//! Maintenance: ends idle uploads, removes bytes that no repository refers to, tells when the disk fills or fails.
//!
//! A blob loses its last row when it is deleted from its last repository, or never gets one when the process is killed
//! between file and row. Files younger than `unreferenced_keep` are left: a client may be about to push the same again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wharf_base::{Digest, Shutdown, UnixMillis};
use wharf_disk::cas::{Shard, Stats};

use crate::Error;
use crate::registry::Registry;

/// Time between rounds. The disk is walked, so not often; limits are looked at in between.
const ROUND: Duration = Duration::from_secs(600);
/// Time between looks at the limits.
const LOOK: Duration = Duration::from_secs(5);
/// Digests asked for at once; a reader is busy for about 1 ms with them.
const CHUNK: usize = 500;

/// Runs until `shutdown`.
pub(crate) async fn run(registry: Arc<Registry>, shutdown: Shutdown) {
    let mut look = tokio::time::interval(LOOK);
    let mut told = Stats::default();
    let mut looks = 0;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = shutdown.cancelled() => return,
        }
        told = tell_limits(&registry, told);
        if looks == 0 {
            tokio::select! {
                result = once(&registry) => if let Err(error) = result {
                    registry.warn(format!("cannot clean up: {error}"));
                },
                () = shutdown.cancelled() => return,
            }
        }
        looks = (looks + 1) % (ROUND.as_secs() / LOOK.as_secs());
    }
}

/// Warns when a bound was hit since the last look; once for as long as it goes on being hit.
fn tell_limits(registry: &Registry, before: Stats) -> Stats {
    let now = registry.store.stats();
    if now.refuses_writes != before.refuses_writes
        && let Some(reason) = &now.refuses_writes
    {
        registry.warn(format!("pushes are refused since an fsync failed: {reason}"));
    }
    if now.disk_refused > before.disk_refused {
        registry.warn(format!(
            "pushes are refused: less than registry.disk_free_min ({}) is free",
            registry.config.disk_free_min
        ));
    }
    if now.sessions_refused > before.sessions_refused {
        registry.warn(format!(
            "pushes are refused: registry.uploads_max ({}) uploads are open",
            registry.config.uploads_max
        ));
    }
    now
}

/// One round.
pub(crate) async fn once(registry: &Registry) -> Result<(), Error> {
    let expired = registry.store.expire_sessions(registry.config.upload_idle).await?;
    registry.counters.uploads_expired.fetch_add(expired as u64, Ordering::Relaxed);
    let now = registry.clock.now();
    let keep = registry.config.unreferenced_keep;
    for shard in Shard::all() {
        let entries = registry.store.list(shard).await?;
        let old = entries.into_iter().filter(|entry| now.since(UnixMillis(entry.modified_ms)) >= keep);
        let old: Vec<Digest> = old.map(|entry| entry.digest).collect();
        for chunk in old.chunks(CHUNK) {
            for digest in registry.metadata.unreferenced(chunk.to_vec()).await? {
                remove(registry, digest).await?;
            }
        }
    }
    Ok(())
}

async fn remove(registry: &Registry, digest: Digest) -> Result<(), Error> {
    // Asked again while nothing can arrive.
    let _nothing_arrives = registry.arriving(&digest).write().await;
    let is_referenced = registry.metadata.unreferenced(vec![digest.clone()]).await?.is_empty();
    if !is_referenced && registry.store.delete(&digest).await? {
        registry.counters.blobs_swept.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%digest, "removed an unreferenced blob");
    }
    Ok(())
}
