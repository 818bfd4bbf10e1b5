//! Settings under `deploy:` in wharf.yaml.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of deploys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Longest time without any progress until new containers must be healthy; their own start periods are added.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub healthy_deadline: Duration,
    /// Longest time for pulling the images of a deploy.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub pull_deadline: Duration,
    /// Longest time that the balancers get to take over a new table.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub switch_deadline: Duration,
    /// Longest time that requests in flight get on old containers, unless `rollout.drain` says otherwise.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub drain_deadline: Duration,
    /// Longest time that hosts get to remove old containers; their stop grace periods are added.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub stop_deadline: Duration,
    /// How often a new container may be restarted by its Engine before the deploy gives up.
    pub restarts_max: u32,
    /// How often a generation that can't be stored is tried again.
    pub commit_tries_max: u32,
    /// How often hosts are looked at for draining ones, besides whenever an agent reports something.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub move_check: Duration,
    /// Wait before containers of a draining host are moved again after that failed.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub move_retry: Duration,
    /// Containers of a lost host that may run twice for a while are started elsewhere.
    pub reschedule: bool,
    /// How long a host must be lost before that.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub reschedule_after: Duration,
    /// Services of one application.
    pub services_max: usize,
    /// Containers of one service.
    pub replicas_max: u32,
    /// Releases kept per application; the active one and the one before it are always kept.
    pub releases_kept: u32,
    /// Releases per application whose images are kept on hosts and in the registry, so that a rollback to them is
    /// possible: the newest that have served, besides the active one and the one before it. At most `releases_kept`.
    pub keep_releases: u32,
    /// Deploys kept in the history.
    pub history_kept: u32,
    /// Lines of build output kept per deploy.
    pub output_lines_max: usize,
    /// Bytes of one upload.
    pub upload_bytes_max: u64,
    /// Bytes of all uploads together.
    pub uploads_bytes_max: u64,
    /// Time after which an upload that no release needs is removed.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub uploads_kept: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            healthy_deadline: Duration::from_secs(60),
            // 10 min: 2 GB at 30 Mbit/s.
            pull_deadline: Duration::from_secs(600),
            switch_deadline: Duration::from_secs(5),
            drain_deadline: Duration::from_secs(30),
            stop_deadline: Duration::from_secs(30),
            // The first restart may be a dependency that is late; the third is a crash loop.
            restarts_max: 3,
            commit_tries_max: 10,
            move_check: Duration::from_secs(2),
            move_retry: Duration::from_secs(60),
            reschedule: true,
            // Longer than the restart of an agent takes, short enough to run elsewhere within 5 s of the loss.
            reschedule_after: Duration::from_secs(2),
            services_max: 100,
            replicas_max: 100,
            releases_kept: 20,
            keep_releases: 5,
            history_kept: 1_000,
            output_lines_max: 10_000,
            upload_bytes_max: 2 << 30,
            uploads_bytes_max: 20 << 30,
            uploads_kept: Duration::from_secs(3_600),
        }
    }
}
