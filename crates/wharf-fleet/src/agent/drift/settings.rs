//! What `docker update` can change, as the Engine has it and as it should be. Pure.

use std::fmt;

use wharf_docker::bollard::models::{ContainerUpdateBody, HostConfig, RestartPolicy, RestartPolicyNameEnum};

use crate::agent::create;
use crate::agent::plan::Wanted;

/// The settings by name, normalised: what the Engine means by "not set" is 0 or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    numbers: [i64; NUMBERS.len()],
    cpuset_cpus: String,
    cpuset_mems: String,
    restart: String,
}

/// Their names as people know them from Compose, and whether an update takes "no limit" for an answer.
const NUMBERS: [(&str, bool); 8] = [
    ("cpus", false),
    ("cpu_shares", false),
    ("cpu_period", false),
    ("cpu_quota", false),
    ("memory", false),
    ("memory reservation", false),
    ("pids limit", true),
    ("blkio weight", false),
];

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    name: &'static str,
    is: String,
    should_be: String,
    /// The Engine can set it back while the container runs.
    pub(crate) can_be_updated: bool,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} instead of {}", self.name, self.is, self.should_be)
    }
}

impl Settings {
    /// As an inspect shows them.
    pub(crate) fn read(config: &HostConfig) -> Settings {
        let number = |value: Option<i64>| value.unwrap_or(0).max(0);
        Settings {
            numbers: [
                number(config.nano_cpus),
                number(config.cpu_shares),
                number(config.cpu_period),
                number(config.cpu_quota),
                number(config.memory),
                number(config.memory_reservation),
                number(config.pids_limit),
                number(config.blkio_weight.map(i64::from)),
            ],
            cpuset_cpus: config.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: config.cpuset_mems.clone().unwrap_or_default(),
            restart: restart(config.restart_policy.as_ref()),
        }
    }

    /// As the agent would create the container.
    pub(crate) fn wanted(wanted: &Wanted) -> Settings {
        Settings::read(&host_config(wanted))
    }

    /// What `found` has otherwise than it should.
    pub(crate) fn differences(&self, found: &Settings) -> Vec<Setting> {
        let mut all = Vec::new();
        for (index, (name, takes_none)) in NUMBERS.into_iter().enumerate() {
            let (should, is) = (self.numbers[index], found.numbers[index]);
            // Where the kernel has none, the Engine warns and leaves it out; an update can't take it away.
            let is_discarded = name == "blkio weight" && is == 0;
            if should != is && !is_discarded {
                let (is, should_be) = (amount(name, is), amount(name, should));
                all.push(Setting {
                    name,
                    is,
                    should_be,
                    can_be_updated: takes_none || self.numbers[index] != 0,
                });
            }
        }
        for (name, should, is) in [
            ("cpuset", &self.cpuset_cpus, &found.cpuset_cpus),
            ("cpuset mems", &self.cpuset_mems, &found.cpuset_mems),
            ("restart policy", &self.restart, &found.restart),
        ] {
            if should != is {
                let shown = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
                let can_be_updated = !should.is_empty();
                all.push(Setting { name, is: shown(is), should_be: shown(should), can_be_updated });
            }
        }
        all
    }
}

/// The body of `POST /containers/{id}/update` that sets back what can be set back.
pub(crate) fn update(wanted: &Wanted) -> ContainerUpdateBody {
    let config = host_config(wanted);
    let memory = config.memory.filter(|bytes| *bytes > 0);
    ContainerUpdateBody {
        nano_cpus: config.nano_cpus,
        cpu_shares: config.cpu_shares,
        cpu_period: config.cpu_period,
        cpu_quota: config.cpu_quota,
        cpuset_cpus: config.cpuset_cpus,
        cpuset_mems: config.cpuset_mems,
        memory,
        // What the Engine chooses at creation; a limit below the swap that somebody set would be refused.
        memory_swap: config.memory_swap.or(memory.map(|bytes| bytes.saturating_mul(2))),
        memory_reservation: config.memory_reservation,
        // -1: no limit.
        pids_limit: Some(config.pids_limit.unwrap_or(-1)),
        blkio_weight: config.blkio_weight,
        restart_policy: config.restart_policy,
        ..Default::default()
    }
}

fn host_config(wanted: &Wanted) -> HostConfig {
    create::without_place(wanted)
}

fn restart(policy: Option<&RestartPolicy>) -> String {
    let Some(policy) = policy else { return "no".to_owned() };
    let count = policy.maximum_retry_count.filter(|count| *count > 0);
    match (policy.name, count) {
        (None | Some(RestartPolicyNameEnum::EMPTY), _) => "no".to_owned(),
        (Some(name), None) => name.to_string(),
        (Some(name), Some(count)) => format!("{name}:{count}"),
    }
}

/// A number with its unit.
fn amount(name: &str, value: i64) -> String {
    if value == 0 {
        return "unlimited".to_owned();
    }
    if name == "cpus" {
        return format!("{}", value as f64 / 1e9);
    }
    match u64::try_from(value) {
        Ok(bytes) if name.starts_with("memory") => wharf_base::ByteSize(bytes).to_string(),
        _ => value.to_string(),
    }
}
