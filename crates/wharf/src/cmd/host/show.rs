//! `wharf host show`: one host, line by line.

use wharf_base::UnixMillis;
use wharf_model::HostView;

use super::{skew, state};
use crate::output::{ago, bytes};

/// The host of that name; otherwise an error with the nearest name.
pub(super) fn find(hosts: Vec<HostView>, name: &str) -> anyhow::Result<HostView> {
    let near = wharf_base::suggest(name, hosts.iter().map(|host| host.name.as_str())).map(str::to_owned);
    hosts.into_iter().find(|host| host.name.as_str() == name).ok_or_else(|| {
        let hint = near.map_or_else(
            || "`wharf host ls` lists them".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        anyhow::anyhow!("there is no host named `{name}`\n  hint: {hint}")
    })
}

/// What people read. `newest` is the number of the newest generation.
pub(super) fn page(host: &HostView, newest: u64, now: UnixMillis) -> String {
    let mut lines = vec![("host", host.name.to_string()), ("state", state_line(host, now))];
    let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    add("problem", host.problem.clone());
    let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    add("labels", (!labels.is_empty()).then(|| labels.join(", ")));
    add("address", host.address.clone());
    add("containers", Some(format!("{} of {} healthy", host.instances_healthy, host.instances_desired)));
    let behind = newest.saturating_sub(host.generation);
    let behind =
        if behind == 0 { "the newest".to_owned() } else { format!("{behind} behind the newest, {newest}") };
    add("generation", Some(format!("{}, {behind}", host.generation)));
    let system = [&host.operating_system, &host.kernel, &host.architecture];
    let system: Vec<&str> = system.into_iter().filter_map(|part| part.as_deref()).collect();
    add("system", (!system.is_empty()).then(|| system.join(", ")));
    add("engine", host.engine_version.clone());
    add("agent", host.agent_version.clone());
    add("clock", skew(host));
    let resources = host.resources.clone().unwrap_or_default();
    let load = resources.load.map(|[one, five, fifteen]| format!("load {one:.2} {five:.2} {fifteen:.2}"));
    let busy = resources.cpu_busy.map(|share| format!("{:.0} % busy", share * 100.0));
    let cpus = host.cpus.map(|count| format!("{count} CPUs"));
    let cpu: Vec<String> = [cpus, busy, load].into_iter().flatten().collect();
    let expires = host.certificate_expires.map(|at| (at.since(now), at));
    add(
        "certificate",
        expires.map(|(left, at)| match left.is_zero() {
            true => format!("expired at {at}"),
            false => format!("renewed in time, valid until {at}"),
        }),
    );
    add("cpu", (!cpu.is_empty()).then(|| cpu.join(", ")));
    add("memory", free_of(resources.memory_available_bytes, host.memory_bytes));
    let path = resources.disk_path.map(|path| format!(" at {path}")).unwrap_or_default();
    add("disk", free_of(resources.disk_free_bytes, resources.disk_bytes).map(|text| text + &path));
    lines.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect()
}

fn state_line(host: &HostView, now: UnixMillis) -> String {
    let since = host.since.map(|since| format!(" for {}", ago(now.since(since)))).unwrap_or_default();
    format!("{}{since}", state(host, now))
}

fn free_of(free: Option<u64>, all: Option<u64>) -> Option<String> {
    match (free, all) {
        (Some(free), Some(all)) => Some(format!("{} free of {}", bytes(free), bytes(all))),
        (None, Some(all)) => Some(bytes(all)),
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn host(more: serde_json::Value) -> HostView {
        let mut value = json!({
            "name": "web1", "labels": { "pool": "web" }, "liveness": "up", "draining": false, "last_seen": 9_000,
            "address": null, "engine_version": "20.10.24", "agent_version": "0.1.0", "cpus": 2,
            "memory_bytes": 4_u64 << 30, "generation": 12, "instances_desired": 3, "instances_healthy": 2
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_host_of_an_old_agent_is_shown_with_what_is_known() {
        let page = page(&host(json!({})), 14, UnixMillis(10_000));
        assert_eq!(
            page,
            "host        web1\nstate       up\nlabels      pool=web\ncontainers  2 of 3 healthy\n\
             generation  12, 2 behind the newest, 14\nengine      20.10.24\nagent       0.1.0\n\
             cpu         2 CPUs\nmemory      4.0 GiB\n"
        );
    }

    #[test]
    fn a_host_is_shown_with_its_problem_and_what_is_in_use() {
        let resources = json!({ "load": [0.5, 0.25, 0.1], "cpu_busy": 0.42, "memory_available_bytes": 1_u64 << 30,
            "disk_path": "/var/lib/docker", "disk_bytes": 100_u64 << 30, "disk_free_bytes": 40_u64 << 30 });
        let more = json!({ "clock_skew_ms": -3_600_900, "problem": "the disk is full", "since": 4_000, "generation": 14, "resources": resources });
        let page = page(&host(more), 14, UnixMillis(10_000));
        for line in [
            "state       up for 6 s\n",
            "clock       1h behind the server's\n",
            "problem     the disk is full\n",
            "generation  14, the newest\n",
            "cpu         2 CPUs, 42 % busy, load 0.50 0.25 0.10\n",
            "memory      1.0 GiB free of 4.0 GiB\n",
            "disk        40.0 GiB free of 100.0 GiB at /var/lib/docker\n",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }

    #[test]
    fn a_misspelt_host_is_told_the_nearest_name() {
        let error = find(vec![host(json!({}))], "web2").unwrap_err().to_string();
        assert!(error.contains("no host named `web2`") && error.contains("did you mean `web1`?"), "{error}");
    }
}
