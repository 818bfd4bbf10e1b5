//! Cases of the verdict.

use wharf_base::UnixMillis;
use wharf_model::HostReport;

use super::*;

fn coming(id: &str) -> Coming {
    Coming {
        id: id.to_owned(),
        service: "web".parse().unwrap(),
        host: "h1".parse().unwrap(),
        may_end: false,
        is_restarted: false,
        start_period_ms: 5_000,
    }
}

/// The world with one host that reports these.
fn observed(generation_seen: u64, states: &[(&str, InstanceState)]) -> Observed {
    let report = |(id, state): &(&str, InstanceState)| InstanceReport {
        id: (*id).to_owned(),
        app: "shop".parse().unwrap(),
        service: "web".parse().unwrap(),
        release: 1,
        slot: 1,
        state: state.clone(),
        address: None,
        container_id: None,
        since: UnixMillis(0),
        restarts: 0,
        log_tail: vec!["last words".to_owned()],
    };
    let instances = states.iter().map(report).collect();
    let report = HostReport { generation_seen, instances, ..HostReport::default() };
    let hosts = BTreeMap::from([("h1".parse().unwrap(), (Liveness::Up, report))]);
    Observed { generation: 7, hosts }
}

fn app() -> Name {
    "shop".parse().unwrap()
}

fn unhealthy() -> InstanceState {
    InstanceState::Unhealthy { reason: "connection refused".to_owned() }
}

fn verdict_of(coming: &Coming, observed: &Observed) -> Verdict {
    let config = Config::default();
    let now = Instant::now();
    Watch::new(&config, &app(), std::slice::from_ref(coming), 7, now).judge(observed, now)
}

/// What failed, without what to do next.
fn failure(verdict: Verdict) -> String {
    match verdict {
        Verdict::Failed(failure) => failure.reason.lines().next().unwrap_or_default().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn healthy_counts_only_once_the_host_works_on_our_generation() {
    let one = coming("w");
    assert_eq!(verdict_of(&one, &observed(7, &[("w", InstanceState::Healthy)])), Verdict::Healthy);
    let stale = verdict_of(&one, &observed(6, &[("w", InstanceState::Healthy)]));
    assert!(matches!(stale, Verdict::Pending { healthy: 0, .. }), "{stale:?}");
}

#[tokio::test]
async fn says_what_is_wrong_with_log_lines() {
    let one = coming("w");
    let failed = InstanceState::Failed { reason: "no such image".to_owned() };
    let verdict = verdict_of(&one, &observed(7, &[("w", failed)]));
    let expected = Failure {
        reason: "web on h1 can't be started: no such image".to_owned(),
        log_tail: vec!["last words".to_owned()],
    };
    assert_eq!(verdict, Verdict::Failed(expected));
    let ended = verdict_of(&one, &observed(7, &[("w", InstanceState::Exited { code: 3 })]));
    assert_eq!(failure(ended), "web on h1 ended with status 3");
    let mut lost = observed(7, &[("w", InstanceState::Healthy)]);
    lost.hosts.values_mut().for_each(|host| host.0 = Liveness::Lost);
    assert_eq!(failure(verdict_of(&one, &lost)), "web on h1 can't become healthy: the host is lost");
    let mut looping = observed(7, &[("w", InstanceState::Starting)]);
    looping.hosts.values_mut().for_each(|host| host.1.instances[0].restarts = 3);
    assert_eq!(failure(verdict_of(&one, &looping)), "web on h1 was restarted 3 times");
    let restarted = Coming { is_restarted: true, ..one };
    let (config, app, now) = (Config::default(), app(), Instant::now());
    let mut watch = Watch::new(&config, &app, std::slice::from_ref(&restarted), 7, now);
    let reason = "it ended with status 4 and is restarted (so far 2 times)".to_owned();
    watch.judge(&observed(7, &[("w", InstanceState::Unhealthy { reason })]), now);
    let told = failure(watch.judge(&looping, now));
    assert_eq!(told, "web on h1 was restarted 3 times; the last time it ended with status 4");
}

#[tokio::test]
async fn a_job_may_end_well_and_a_restarted_container_may_be_down_for_a_moment() {
    let job = Coming { may_end: true, ..coming("w") };
    let ended = |code| observed(7, &[("w", InstanceState::Exited { code })]);
    assert_eq!(verdict_of(&job, &ended(0)), Verdict::Healthy);
    assert_eq!(failure(verdict_of(&job, &ended(1))), "web on h1 ended with status 1");
    let restarted = Coming { is_restarted: true, ..coming("w") };
    assert!(matches!(verdict_of(&restarted, &ended(1)), Verdict::Pending { .. }));
}

#[tokio::test]
async fn unhealthy_is_forgiven_within_the_start_period() {
    let (config, app) = (Config::default(), app());
    let (one, began) = ([coming("w")], Instant::now());
    let mut watch = Watch::new(&config, &app, &one, 7, began);
    let at = |seconds: u64| began + Duration::from_secs(seconds);
    watch.judge(&observed(7, &[("w", InstanceState::Starting)]), at(1));
    let world = observed(7, &[("w", unhealthy())]);
    assert_eq!(watch.judge(&world, at(2)), Verdict::Pending { healthy: 0, until: at(6) });
    assert_eq!(failure(watch.judge(&world, at(6))), "web on h1 is unhealthy after 5s: connection refused");
}

#[tokio::test]
async fn patience_counts_from_the_last_progress_and_pulling_has_more() {
    let (config, app) = (Config::default(), app());
    let (both, began) = ([coming("a"), coming("b")], Instant::now());
    let mut watch = Watch::new(&config, &app, &both, 7, began);
    let at = |seconds: u64| began + Duration::from_secs(seconds);
    let pulling = || InstanceState::Pulling;
    let verdict = watch.judge(&observed(7, &[("a", pulling()), ("b", pulling())]), at(0));
    assert_eq!(verdict, Verdict::Pending { healthy: 0, until: at(600) });
    let world = observed(7, &[("a", InstanceState::Healthy), ("b", InstanceState::Starting)]);
    assert_eq!(watch.judge(&world, at(100)), Verdict::Pending { healthy: 1, until: at(165) });
    assert_eq!(watch.judge(&world, at(164)), Verdict::Pending { healthy: 1, until: at(165) });
    assert_eq!(failure(watch.judge(&world, at(165))), "web on h1 is not healthy after 2m45s: starting");
    let mut silent = observed(6, &[]);
    silent.hosts.values_mut().for_each(|host| host.1.problem = Some("the Engine does not answer".to_owned()));
    let mut watch = Watch::new(&config, &app, &both, 7, began);
    watch.judge(&silent, at(0));
    assert_eq!(
        failure(watch.judge(&silent, at(65))),
        "web on h1 is not healthy after 1m5s: the host has not taken it up (the Engine does not answer)"
    );
}
