//! A project travels as JSON: what arrives equals what was sent.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use wharf_compose::project::*;

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn key() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,8}"
}

fn pairs() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    btree_map(key(), text(), 0..3)
}

/// Up to 100 days, which Go's text form keeps exactly.
fn duration() -> impl Strategy<Value = Duration> {
    (0u64..8_640_000_000).prop_map(Duration::from_millis)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
}

fn build() -> impl Strategy<Value = Build> {
    (text(), option::of(text()), pairs(), option::of(text()), pairs()).prop_map(
        |(context, dockerfile, args, target, labels)| Build {
            context,
            dockerfile,
            args,
            target,
            labels,
            ..Build::default()
        },
    )
}

fn port() -> impl Strategy<Value = Port> {
    (option::of(text()), option::of(any::<u16>()), any::<u16>(), protocol())
        .prop_map(|(host_ip, published, target, protocol)| Port { host_ip, published, target, protocol })
}

fn mount() -> impl Strategy<Value = Mount> {
    let kind = prop_oneof![Just(MountKind::Volume), Just(MountKind::Bind), Just(MountKind::Tmpfs)];
    (kind, option::of(text()), text(), any::<bool>()).prop_map(|(kind, source, target, read_only)| Mount {
        kind,
        source,
        target,
        read_only,
        options: MountOptions::default(),
    })
}

fn healthcheck() -> impl Strategy<Value = Healthcheck> {
    let times = (option::of(duration()), option::of(duration()), option::of(duration()));
    (option::of(vec(text(), 0..3)), times, option::of(any::<u32>()), any::<bool>()).prop_map(
        |(test, (interval, timeout, start_period), retries, disable)| Healthcheck {
            test,
            interval,
            timeout,
            retries,
            start_period,
            start_interval: None,
            disable,
        },
    )
}

fn restart() -> impl Strategy<Value = Restart> {
    prop_oneof![
        Just(Restart::No),
        Just(Restart::Always),
        option::of(any::<u32>()).prop_map(Restart::OnFailure),
        Just(Restart::UnlessStopped),
    ]
}

fn dependency() -> impl Strategy<Value = Dependency> {
    let condition = prop_oneof![
        Just(Condition::ServiceStarted),
        Just(Condition::ServiceHealthy),
        Just(Condition::ServiceCompletedSuccessfully),
    ];
    (condition, any::<bool>()).prop_map(|(condition, required)| Dependency { condition, required })
}

fn resources() -> impl Strategy<Value = Resources> {
    // The loader keeps CPUs to a billionth.
    let cpus = (1u64..4_096_000_000_000).prop_map(|nanos| nanos as f64 / 1e9);
    (option::of(cpus), option::of(any::<u64>()), option::of(any::<i64>()))
        .prop_map(|(cpus, memory_bytes, pids)| Resources { cpus, memory_bytes, pids })
}

fn deploy() -> impl Strategy<Value = Deploy> {
    (option::of(any::<u32>()), resources(), resources(), pairs()).prop_map(
        |(replicas, limits, reservations, labels)| Deploy { replicas, limits, reservations, labels },
    )
}

fn x_wharf() -> impl Strategy<Value = XWharf> {
    let hosts = prop_oneof![
        Just(HostSelector::Any),
        text().prop_map(HostSelector::Pool),
        (text(), text()).prop_map(|(key, value)| HostSelector::Label(key, value)),
        text().prop_map(HostSelector::Host),
    ];
    let balance = prop_oneof![Just(Balance::RoundRobin), Just(Balance::LeastConn)];
    let route = (option::of(text()), text(), any::<u16>(), balance, option::of(duration()))
        .prop_map(|(host, path, port, balance, timeout)| Route { host, path, port, balance, timeout });
    let times = (duration(), duration(), duration());
    let health = (option::of(text()), option::of(any::<u16>()), times, any::<u32>(), any::<u32>()).prop_map(
        |(path, port, (interval, timeout, start_period), rise, fall)| Health {
            path,
            port,
            interval,
            timeout,
            rise,
            fall,
            start_period,
        },
    );
    let strategy = prop_oneof![Just(Strategy_::BlueGreen), Just(Strategy_::Recreate)];
    let rollout = (strategy, duration()).prop_map(|(strategy, drain)| Rollout { strategy, drain });
    let drift = prop_oneof![Just(DriftPolicy::Repair), Just(DriftPolicy::Report)];
    let reschedule = prop_oneof![Just(Reschedule::Always), Just(Reschedule::Never)];
    let before =
        (vec(text(), 1..3), duration()).prop_map(|(command, timeout)| BeforeSwitch { command, timeout });
    let policies = (option::of(drift), option::of(reschedule), vec(before, 0..3));
    (option::of(hosts), option::of(route), option::of(health), option::of(rollout), policies).prop_map(
        |(hosts, route, health, rollout, (drift, reschedule, before_switch))| XWharf {
            hosts,
            route,
            health,
            rollout,
            before_switch,
            drift,
            reschedule,
        },
    )
}

use proptest::strategy::Strategy;
use wharf_compose::project::Strategy as Strategy_;

fn service() -> impl Strategy<Value = Service> {
    let what = (
        option::of(text()),
        option::of(build()),
        option::of(vec(text(), 0..3)),
        option::of(vec(text(), 0..3)),
    );
    let exposed = (any::<u16>(), protocol()).prop_map(|(port, protocol)| ExposedPort { port, protocol });
    let network =
        vec(text(), 0..2).prop_map(|aliases| ServiceNetwork { aliases, ..ServiceNetwork::default() });
    let inside =
        (pairs(), vec(port(), 0..3), vec(exposed, 0..3), vec(mount(), 0..3), btree_map(key(), network, 0..3));
    let life = (
        option::of(healthcheck()),
        option::of(restart()),
        btree_map(key(), dependency(), 0..3),
        deploy(),
        option::of(duration()),
        option::of(text()),
    );
    let rest = (
        option::of(text()),
        pairs(),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(any::<bool>()),
        x_wharf(),
    );
    (what, inside, life, rest).prop_map(|(what, inside, life, rest)| {
        let (image, build, command, entrypoint) = what;
        let (environment, ports, expose, volumes, networks) = inside;
        let (healthcheck, restart, depends_on, deploy, stop_grace_period, stop_signal) = life;
        let (container_name, labels, user, working_dir, hostname, init, x_wharf) = rest;
        Service {
            image,
            build,
            command,
            entrypoint,
            environment,
            ports,
            expose,
            volumes,
            networks,
            healthcheck,
            restart,
            depends_on,
            deploy,
            stop_grace_period,
            stop_signal,
            container_name,
            labels,
            user,
            working_dir,
            hostname,
            init,
            x_wharf,
            ..Service::default()
        }
    })
}

fn project() -> impl Strategy<Value = Project> {
    let network = (any::<bool>(), option::of(text()), option::of(text()), any::<bool>(), pairs()).prop_map(
        |(external, name, driver, internal, labels)| Network {
            external,
            name,
            driver,
            internal,
            labels,
            ..Network::default()
        },
    );
    let volume = (any::<bool>(), option::of(text()), option::of(text()), pairs(), pairs()).prop_map(
        |(external, name, driver, driver_opts, labels)| Volume {
            external,
            name,
            driver,
            driver_opts,
            labels,
        },
    );
    (
        key(),
        btree_map(key(), service(), 0..3),
        btree_map(key(), network, 0..3),
        btree_map(key(), volume, 0..3),
    )
        .prop_map(|(name, services, networks, volumes)| Project {
            name,
            services,
            networks,
            volumes,
            ..Project::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_project_comes_back_from_its_json(project in project()) {
        let json = serde_json::to_string(&project).unwrap();
        prop_assert_eq!(serde_json::from_str::<Project>(&json).unwrap(), project);
    }
}
