//! Reports of an agent that has not seen its Engine yet. Pure.
//!
//! An agent that was started while its Engine does not answer knows what is desired and nothing of what runs. Containers
//! outlive their Engine (`live-restore`), so what was known of them before stands until the Engine answers.

use wharf_model::{HostReport, InstanceState};

/// `report` with what `before` knew of instances that the agent can't see.
pub(crate) fn keep_known(mut report: HostReport, before: &HostReport) -> HostReport {
    if report.problem.is_none() || !report.engine_version.is_empty() {
        return report;
    }
    for known in &before.instances {
        match report.instances.iter_mut().find(|one| one.id == known.id) {
            Some(one) if one.state == InstanceState::Waiting && one.container_id.is_none() => {
                one.clone_from(known);
            }
            // It has seen the container before the Engine went away.
            Some(_) => {}
            None => report.instances.push(known.clone()),
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;
    use wharf_base::UnixMillis;
    use wharf_model::InstanceReport;

    fn instance(id: &str, state: InstanceState, container: Option<&str>) -> InstanceReport {
        InstanceReport {
            id: id.to_owned(),
            app: name("shop"),
            service: name("web"),
            release: 1,
            slot: 1,
            state,
            address: container.map(|_| "10.0.0.1:80".parse().unwrap()),
            container_id: container.map(str::to_owned),
            since: UnixMillis(0),
            restarts: 0,
            log_tail: vec![],
        }
    }

    #[test]
    fn what_is_not_seen_is_as_before_while_the_engine_does_not_answer() {
        use InstanceState::{Healthy, Starting, Waiting};
        let healthy = instance("a", Healthy, Some("c1"));
        let before = HostReport {
            instances: vec![
                healthy.clone(),
                instance("b", Healthy, Some("c2")),
                instance("old", Healthy, Some("c3")),
            ],
            ..HostReport::default()
        };
        let seen = || {
            vec![
                instance("a", Waiting, None),
                instance("b", Starting, Some("c2")),
                instance("new", Waiting, None),
            ]
        };
        let blind = HostReport {
            instances: seen(),
            problem: Some("the Docker Engine does not answer".to_owned()),
            ..HostReport::default()
        };
        let kept = keep_known(blind.clone(), &before);
        let states: Vec<(&str, &InstanceState)> =
            kept.instances.iter().map(|one| (one.id.as_str(), &one.state)).collect();
        assert_eq!(states, [("a", &Healthy), ("b", &Starting), ("new", &Waiting), ("old", &Healthy)]);
        assert_eq!(kept.instances[0], healthy, "with its address");

        for sees in [
            HostReport { engine_version: "20.10".to_owned(), ..blind.clone() },
            HostReport { problem: None, ..blind },
        ] {
            assert_eq!(keep_known(sees.clone(), &before), sees);
        }
    }
}
