//! The world that a plan saw: what must still be so when a saved plan is carried out.
//!
//! Everything that the plan depends on is in it, piece by piece, so that a refusal can say what has moved. The number of
//! the generation is there for people: a deploy of another application makes a new one and moves nothing of ours.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_model::{AppDesired, Generation, HostView, Liveness, Name, Observed};

/// What a plan saw. Equal worlds give equal plans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct World {
    /// Number of the newest generation.
    pub generation: u64,
    /// SHA-256 of the application's desired state; empty when it has none.
    pub desired: String,
    /// Release that the application's desired state is of.
    pub release: Option<u32>,
    /// Each host: whether it is up, drains, and its labels.
    pub hosts: BTreeMap<Name, String>,
    /// Containers of other applications by host.
    pub load: BTreeMap<Name, u32>,
    /// The application's containers as agents report them, `instance on host`.
    pub containers: BTreeMap<String, String>,
}

impl World {
    /// Of `app`, as it is now.
    pub(crate) fn of(
        app: &Name,
        generation: &Generation,
        hosts: &[HostView],
        observed: &Observed,
        load: BTreeMap<Name, u32>,
    ) -> World {
        let desired = generation.apps.get(app);
        let mut containers = BTreeMap::new();
        for (host, (_, report)) in &observed.hosts {
            for one in report.instances.iter().filter(|one| one.app == *app) {
                let id = one.container_id.as_deref().unwrap_or("none");
                let id = id.get(..12).unwrap_or(id);
                containers.insert(format!("{} on {host}", one.id), format!("container {id}"));
            }
            for drift in report.drifts.iter().filter(|one| one.app == *app && one.outcome.is_open()) {
                let key = format!("{} on {host}", drift.instance);
                let text = containers.entry(key).or_insert_with(|| "container none".to_owned());
                text.push_str(&format!(", {}", drift.what));
            }
            if let Some(problem) = &report.problem {
                containers.insert(format!("agent of {host}"), problem.clone());
            }
        }
        World {
            generation: generation.number,
            desired: desired.map(digest).unwrap_or_default(),
            release: desired.map(|desired| desired.release),
            hosts: hosts.iter().map(|host| (host.name.clone(), describe(host))).collect(),
            load,
            containers,
        }
    }

    /// What is otherwise now, in words; empty when nothing that counts has moved.
    pub(crate) fn moved(&self, now: &World, app: &Name) -> Vec<String> {
        let mut moved = Vec::new();
        if self.desired != now.desired {
            let release = |release: Option<u32>| {
                release.map_or_else(|| "nothing".to_owned(), |release| format!("release {release}"))
            };
            moved.push(format!(
                "{app} is to be {} now (generation {}), the plan was made for {} (generation {})",
                release(now.release),
                now.generation,
                release(self.release),
                self.generation
            ));
        }
        compare("host ", &self.hosts, &now.hosts, &mut moved);
        let count = |load: &BTreeMap<Name, u32>| {
            let words = load.iter().map(|(host, count)| (host.clone(), format!("{count} other containers")));
            words.collect::<BTreeMap<Name, String>>()
        };
        compare("host ", &count(&self.load), &count(&now.load), &mut moved);
        compare("", &self.containers, &now.containers, &mut moved);
        moved
    }
}

fn compare<K: Ord + std::fmt::Display>(
    what: &str,
    old: &BTreeMap<K, String>,
    new: &BTreeMap<K, String>,
    moved: &mut Vec<String>,
) {
    for (key, before) in old {
        match new.get(key) {
            None => moved.push(format!("{what}{key} was {before} and is gone")),
            Some(after) if after != before => moved.push(format!("{what}{key} was {before}, is {after}")),
            Some(_) => {}
        }
    }
    for (key, after) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        moved.push(format!("{what}{key} is new: {after}"));
    }
}

fn describe(host: &HostView) -> String {
    let mut words = vec![match host.liveness {
        Liveness::Up => "up".to_owned(),
        Liveness::Lost => "lost".to_owned(),
        Liveness::Never => "never connected".to_owned(),
    }];
    if host.draining {
        words.push("draining".to_owned());
    }
    words.extend(host.labels.iter().map(|(key, value)| format!("{key}={value}")));
    words.join(" ")
}

fn digest(desired: &AppDesired) -> String {
    use sha2::Digest as _;
    let document = serde_json::to_vec(desired).expect("plain records are JSON");
    wharf_base::hex(&sha2::Sha256::digest(&document))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World {
            generation: 3,
            desired: "aa".to_owned(),
            release: Some(2),
            hosts: [("h1".parse().unwrap(), "up pool=web".to_owned())].into(),
            load: [("h1".parse().unwrap(), 2)].into(),
            containers: [("shop-web-r2-1 on h1".to_owned(), "container abc".to_owned())].into(),
        }
    }

    #[test]
    fn says_what_has_moved_and_only_that() {
        let app: Name = "shop".parse().unwrap();
        let moved = |change: &dyn Fn(&mut World)| {
            let mut now = world();
            change(&mut now);
            world().moved(&now, &app)
        };
        assert_eq!(moved(&|_| {}), [""; 0]);
        assert_eq!(moved(&|now| now.generation = 9), [""; 0], "another application's deploy moves nothing");
        let deployed =
            |now: &mut World| (now.generation, now.desired, now.release) = (4, "bb".to_owned(), Some(3));
        assert_eq!(
            moved(&deployed),
            ["shop is to be release 3 now (generation 4), the plan was made for release 2 (generation 3)"]
        );
        let lost =
            |now: &mut World| drop(now.hosts.insert("h1".parse().unwrap(), "lost pool=web".to_owned()));
        assert_eq!(moved(&lost), ["host h1 was up pool=web, is lost pool=web"]);
        let joined = |now: &mut World| drop(now.hosts.insert("h2".parse().unwrap(), "up".to_owned()));
        assert_eq!(moved(&joined), ["host h2 is new: up"]);
        assert_eq!(
            moved(&|now| now.containers.clear()),
            ["shop-web-r2-1 on h1 was container abc and is gone"]
        );
    }
}
