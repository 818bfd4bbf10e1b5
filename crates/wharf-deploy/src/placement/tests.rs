//! Cases and properties of placement.

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// `green1 up colour=green pool=web`, `blue1 lost`, `h drains`, `h gone`: lost and given up.
fn host(text: &str) -> HostView {
    let mut words = text.split(' ');
    let mut host = HostView::new(name(words.next().unwrap()), Liveness::Up);
    for word in words {
        match word {
            "up" => host.liveness = Liveness::Up,
            "lost" | "gone" => host.liveness = Liveness::Lost,
            "never" => host.liveness = Liveness::Never,
            "drains" => host.draining = true,
            label => {
                let (key, value) = label.split_once('=').unwrap();
                if key == "is" {
                    host.architecture = Some(value.to_owned());
                    continue;
                }
                host.labels.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    host
}

fn on(
    wants: &[Want],
    hosts: &[HostView],
    load: &BTreeMap<Name, u32>,
    given_up: &BTreeSet<Name>,
) -> Result<BTreeMap<Name, Decision>, PlacementError> {
    place(wants, &HostIndex::of(hosts), load, given_up)
}

fn hosts(text: &str) -> Vec<HostView> {
    text.split(", ").map(host).collect()
}

/// `web 3 at h1 h2 changed links=db pool=web once data`; without `at` it is new.
fn want(text: &str) -> Want {
    let mut words = text.split(' ').peekable();
    let mut want = Want {
        service: name(words.next().unwrap()),
        replicas: words.next().unwrap().parse().unwrap(),
        selector: HostSelector::Any,
        current: Vec::new(),
        is_changed: false,
        may_run_twice: true,
        keeps_data: false,
        may_be_rescheduled: true,
        image: "i:1".to_owned(),
        platforms: Vec::new(),
        links: BTreeSet::new(),
    };
    for word in words {
        match word.split_once('=') {
            Some(("links", link)) => {
                want.links.insert(link.to_owned());
            }
            Some(("for", platform)) => want.platforms.extend(Platform::parse(platform)),
            Some(("pool", pool)) => want.selector = HostSelector::Pool(pool.to_owned()),
            Some(("host", host)) => want.selector = HostSelector::Host(host.to_owned()),
            _ if word == "at" => {}
            _ if word == "changed" => want.is_changed = true,
            _ if word == "once" => want.may_run_twice = false,
            _ if word == "single" => (want.may_run_twice, want.may_be_rescheduled) = (false, false),
            _ if word == "data" => {
                (want.keeps_data, want.may_run_twice, want.may_be_rescheduled) = (true, false, false);
            }
            _ => want.current.push(Spot { slot: want.current.len() as u32 + 1, host: name(word) }),
        }
    }
    want.is_changed |= want.current.is_empty();
    want
}

fn show(decisions: &BTreeMap<Name, Decision>) -> String {
    let list = |items: Vec<String>| items.join(" ");
    let lines = decisions.iter().map(|(service, decision)| {
        let mut parts = vec![service.to_string()];
        for (word, items) in [
            ("keep", decision.kept.iter().map(u32::to_string).collect::<Vec<_>>()),
            ("add", decision.added.iter().map(Name::to_string).collect()),
            ("remove", decision.removed.iter().map(u32::to_string).collect()),
        ] {
            if !items.is_empty() {
                parts.push(format!("{word} {}", list(items)));
            }
        }
        parts.join(" | ")
    });
    lines.collect::<Vec<_>>().join("; ")
}

fn check(hosts_text: &str, wants: &[&str], expected: &str) {
    let wants: Vec<Want> = wants.iter().map(|text| want(text)).collect();
    let given_up = hosts_text.split(", ").filter(|text| text.contains(" gone"));
    let given_up = given_up.map(|text| name(text.split(' ').next().unwrap())).collect();
    let placed = on(&wants, &hosts(hosts_text), &BTreeMap::new(), &given_up);
    let shown = placed.map_or_else(|error| error.to_string(), |decisions| show(&decisions));
    assert_eq!(shown, expected, "{hosts_text} / {wants:?}");
}

const SIX: &str = "blue1 colour=blue, blue2 colour=blue, blue3 colour=blue, \
                   green1 colour=green, green2 colour=green, green3 colour=green";

#[test]
fn spreads_over_the_least_loaded_hosts() {
    check("a, b, c", &["web 3"], "web | add a b c");
    check("a, b", &["web 5"], "web | add a b a b a");
    check("a, b, c", &["api 1", "web 1"], "api | add a; web | add b");
    let load = BTreeMap::from([(name("a"), 3), (name("b"), 1)]);
    let placed = on(&[want("web 2")], &hosts("a, b, c"), &load, &BTreeSet::new()).unwrap();
    assert_eq!(show(&placed), "web | add c b");
}

#[test]
fn what_is_on_a_host_that_is_given_up_goes_elsewhere_if_all_of_its_group_may() {
    check("a, b lost", &["web 2 at a b"], "web | keep 1 2");
    check("a, b gone", &["web 2 at a b"], "web | keep 1 | add a | remove 2");
    check("a, b gone, c", &["web 2 at a b"], "web | keep 1 | add c | remove 2");
    check("a, b gone", &["web 1 at b single"], "web | keep 1");
    check("a, b gone", &["db 1 at b data"], "db | keep 1");
    check("a, b gone", &["db 1 at b single", "web 1 at b links=db"], "db | keep 1; web | keep 1");
    check(
        "a, b gone",
        &["cache 1 at b", "web 1 at b links=cache"],
        "cache | add a | remove 1; web | add a | remove 1",
    );
    // The single one is elsewhere: it does not hold the others back.
    check(
        "a, b gone",
        &["cache 1 at a single", "web 2 at a b links=cache"],
        "cache | keep 1; web | keep 1 | add a | remove 2",
    );
    // Nobody else fits: it stays, and does not stand in the way of others.
    check("a, b gone pool=x", &["api 1 at b", "web 1 at b pool=x"], "api | add a | remove 1; web | keep 1");
    check("a lost, b gone", &["web 1 at b"], "web | keep 1");
    check("a drains, b gone", &["web 1 at b"], "web | keep 1");
}

#[test]
fn scaling_keeps_what_runs_and_removes_the_newest() {
    check("a, b, c", &["web 5 at a b c"], "web | keep 1 2 3 | add a b");
    check("a, b, c", &["web 2 at a b c"], "web | keep 1 2 | remove 3");
    check("a, b, c", &["web 0 at a"], "web | remove 1");
    check("a, b", &["web 2 at a b"], "web | keep 1 2");
    check("a, b, c, d", &["web 4 at a a"], "web | keep 1 2 | add b c");
}

#[test]
fn a_changed_service_starts_beside_the_old_on_the_same_hosts() {
    check("a, b, c, d", &["web 2 at c d changed"], "web | add c d | remove 1 2");
    check("a, b, c", &["web 3 at a b changed"], "web | add a b c | remove 1 2");
    check("a lost, b, c", &["web 2 at a b changed"], "web | add b c | remove 1 2");
}

#[test]
fn colours_take_turns() {
    check(SIX, &["web 3"], "web | add green1 green2 green3");
    check(SIX, &["web 3 at green1 green2 green3 changed"], "web | add blue1 blue2 blue3 | remove 1 2 3");
    check(SIX, &["web 3 at blue1 blue2 blue3 changed"], "web | add green1 green2 green3 | remove 1 2 3");
    check(SIX, &["web 5 at blue1 blue2 blue3"], "web | keep 1 2 3 | add blue1 blue2");
    check("r colour=red, a colour=amber", &["web 1"], "web | add a");
    check("a, g colour=green", &["web 2"], "web | add g g");
}

#[test]
fn falls_back_to_the_same_colour_when_the_other_has_no_host_up() {
    let lost = "blue1 lost colour=blue, green1 colour=green, green2 colour=green";
    check(lost, &["web 2 at green1 green2 changed"], "web | add green1 green2 | remove 1 2");
    check(lost, &["web 2 at blue1 blue1 changed"], "web | add green1 green2 | remove 1 2");
    check("blue1 lost colour=blue, a", &["web 1"], "web | add a");
}

#[test]
fn linked_services_share_their_hosts() {
    check("a, b, c", &["db 1 data", "web 3 links=db"], "db | add a; web | add a a a");
    check("a, b, c", &["api 3", "web 3 links=api"], "api | add a b c; web | add a b c");
    check("a, b, c", &["api 2", "web 4 links=api"], "api | add a b; web | add a b a b");
    check("a, b", &["a 1 links=volume:x", "b 1 links=volume:x"], "a | add a; b | add a");
    check(
        "a, b, c",
        &["api 3 at a b c", "web 3 at a b c changed links=api"],
        "api | keep 1 2 3; web | add a b c | remove 1 2 3",
    );
    check(
        "a, b, c",
        &["db 1 at c data", "web 2 at c c changed links=db"],
        "db | keep 1; web | add c c | remove 1 2",
    );
}

#[test]
fn a_linked_group_changes_colour_as_a_whole_unless_a_member_must_stay() {
    check(
        "b colour=blue, g colour=green",
        &["api 1 at g", "web 1 at g changed links=api"],
        "api | add b | remove 1; web | add b | remove 1",
    );
    check(
        "b colour=blue, g colour=green",
        &["db 1 at g data", "web 1 at g changed links=db"],
        "db | keep 1; web | add g | remove 1",
    );
    check(
        "b colour=blue, g colour=green",
        &["cache 1 links=web", "web 1 at b"],
        "cache | add b; web | keep 1",
    );
}

#[test]
fn moves_only_when_the_host_forces_it() {
    check("a lost, b", &["web 1 at a"], "web | keep 1");
    check("a drains, b", &["web 1 at a"], "web | add b | remove 1");
    check("b", &["web 1 at gone"], "web | add b | remove 1");
    check("a, b pool=web", &["web 1 at a pool=web"], "web | add b | remove 1");
    check("a drains, b", &["db 1 at a data"], "db | keep 1");
    check("a drains, b", &["db 1 at a changed data"], "db | add a | remove 1");
    check(
        "b1 drains colour=blue, b2 colour=blue, g colour=green",
        &["web 2 at b1 b2"],
        "web | keep 2 | add b2 | remove 1",
    );
}

#[test]
fn says_which_hosts_there_are_and_why_none_will_do() {
    check(
        "a lost pool=web, b, c never pool=web, d drains pool=web",
        &["web 1 pool=web"],
        "no host can run `web` (x-wharf.hosts: pool(web)): a is lost, b does not match, c never connected, d drains\n  \
         hint: `wharf host ls` shows labels and states; a host drains until `wharf host drain --undo`",
    );
    let error = on(&[want("web 1")], &[], &BTreeMap::new(), &BTreeSet::new()).unwrap_err().to_string();
    assert_eq!(
        error,
        "no host can run `web` (x-wharf.hosts: any): no host has joined\n  hint: see `wharf join --help`"
    );
    check(
        "a lost, b",
        &["db 1 at a data", "web 1 links=db"],
        "no host can run `web` (x-wharf.hosts: any; on the same host as db): a is lost, b does not hold its data\n  \
         hint: `wharf host ls` shows labels and states; a host drains until `wharf host drain --undo`",
    );
}

fn any_hosts() -> impl Strategy<Value = Vec<HostView>> {
    let one = (0..4u8, any::<bool>(), 0..3u8, any::<bool>());
    proptest::collection::vec(one, 1..7).prop_map(|all| {
        let make = |(index, (liveness, draining, colour, in_pool)): (usize, (u8, bool, u8, bool))| {
            let mut view = host(&format!("h{index}"));
            // Half of the hosts are up, so that most cases can be placed.
            view.liveness =
                [Liveness::Up, Liveness::Up, Liveness::Lost, Liveness::Never][usize::from(liveness)];
            view.draining = draining && liveness == 1;
            if let Some(colour) = [None, Some("blue"), Some("green")][usize::from(colour)] {
                view.labels.insert("colour".to_owned(), colour.to_owned());
            }
            if in_pool {
                view.labels.insert("pool".to_owned(), "web".to_owned());
            }
            view
        };
        all.into_iter().enumerate().map(make).collect()
    })
}

fn any_wants() -> impl Strategy<Value = Vec<Want>> {
    let current = proptest::collection::vec(0..7u8, 0..5);
    let one = (0..6u32, current, any::<bool>(), any::<bool>(), 0..5u8, 0..4u8, any::<bool>());
    proptest::collection::vec(one, 1..5).prop_map(|all| {
        let make = |(index, (replicas, current, changed, twice, data, link, pool)): (usize, _)| {
            let current: Vec<u8> = current;
            let spot =
                |(slot, host): (usize, &u8)| Spot { slot: slot as u32 + 1, host: name(&format!("h{host}")) };
            let mut made = want(&format!("s{index} {replicas}"));
            made.current = current.iter().enumerate().map(spot).collect();
            made.is_changed = changed || current.is_empty();
            made.keeps_data = data == 0;
            if made.keeps_data {
                // Data is on one host, and a service with data is never scaled to 0.
                made.current.iter_mut().for_each(|spot| spot.host = name("h0"));
                made.replicas = made.replicas.max(1);
            }
            made.may_run_twice = twice && data != 0;
            if link > 1 {
                made.links.insert(format!("s{}", link - 2));
            }
            if pool {
                made.selector = HostSelector::Pool("web".to_owned());
            }
            made
        };
        all.into_iter().enumerate().map(make).collect()
    })
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_lands_where_it_must_not(hosts in any_hosts(), wants in any_wants()) {
        let Ok(placed) = on(&wants, &hosts, &BTreeMap::new(), &BTreeSet::new()) else { return Ok(()) };
        prop_assert_eq!(&placed, &on(&wants, &hosts, &BTreeMap::new(), &BTreeSet::new()).unwrap());
        for want in &wants {
            let decision = &placed[&want.service];
            prop_assert_eq!(decision.kept.len() + decision.added.len(), want.replicas as usize);
            let mut known: Vec<u32> = decision.kept.iter().chain(&decision.removed).copied().collect();
            known.sort_unstable();
            let mut current: Vec<u32> = want.current.iter().map(|spot| spot.slot).collect();
            current.sort_unstable();
            prop_assert_eq!(known, current);
            prop_assert!(!want.is_changed || decision.kept.is_empty());
            for added in &decision.added {
                let host = hosts.iter().find(|host| host.name == *added).unwrap();
                prop_assert_eq!(host.liveness, Liveness::Up);
                prop_assert!(!host.draining || wants.iter().any(|want| want.keeps_data));
            }
        }
    }

    #[test]
    fn placing_again_changes_nothing(hosts in any_hosts(), wants in any_wants()) {
        let Ok(placed) = on(&wants, &hosts, &BTreeMap::new(), &BTreeSet::new()) else { return Ok(()) };
        let settled: Vec<Want> = wants
            .iter()
            .map(|want| {
                let decision = &placed[&want.service];
                let kept = want.current.iter().filter(|spot| decision.kept.contains(&spot.slot)).cloned();
                let added = decision.added.iter().enumerate().map(|(index, host)| Spot {
                    slot: 100 + index as u32,
                    host: host.clone(),
                });
                let current: Vec<Spot> = kept.chain(added).collect();
                Want { is_changed: false, current, ..want.clone() }
            })
            .collect();
        for (service, decision) in on(&settled, &hosts, &BTreeMap::new(), &BTreeSet::new()).unwrap() {
            prop_assert!(decision.added.is_empty() && decision.removed.is_empty(), "{service}: {decision:?}");
        }
    }
}

#[test]
fn an_image_goes_only_to_hosts_that_run_its_platform() {
    let chosen = |wants: &str, hosts_text: &str| {
        let wants: Vec<Want> = wants.split(", ").map(want).collect();
        on(&wants, &hosts(hosts_text), &BTreeMap::new(), &BTreeSet::new()).map(|placed| show(&placed))
    };
    let both = "arm1 up is=aarch64, pc1 up is=x86_64";
    assert_eq!(
        chosen("web 1 for=linux/amd64", both),
        chosen("web 1 host=pc1", both),
        "placed where one fits"
    );
    assert_eq!(
        chosen("web 2 for=linux/amd64 for=linux/arm64", both),
        chosen("web 2", both),
        "an index fits both"
    );
    assert_eq!(chosen("web 1 for=linux/386", "pc1 up is=x86_64"), chosen("web 1", "pc1 up is=x86_64"));
    let unknown = "old1 up";
    assert_eq!(
        chosen("web 1 for=linux/amd64", unknown),
        chosen("web 1", unknown),
        "an old agent does not say"
    );
    let emulating = "arm1 up is=aarch64 emulates=riscv64+amd64";
    assert_eq!(chosen("web 1 for=linux/amd64", emulating), chosen("web 1", emulating));
    let running = "web 1 at arm1 for=linux/amd64";
    assert_eq!(chosen(running, "arm1 up is=aarch64"), chosen("web 1 at arm1", "arm1 up"), "what runs stays");

    assert_eq!(
        chosen("web 1 for=linux/amd64", "arm1 up is=aarch64, b lost").unwrap_err().to_string(),
        "no host can run `web` (x-wharf.hosts: any): arm1 is linux/arm64 and the image i:1 of `web` is for linux/amd64, \
         b is lost\n  hint: build the image for that platform (`platform:`, or `build.platforms`), choose hosts that fit \
         with x-wharf.hosts, or, if a host emulates it, join that with --label emulates=ARCHITECTURE"
    );
    // Linked services share a host, so one misfit counts for all; and data does not help.
    let error =
        chosen("db 1 at arm1 data, web 1 links=db for=linux/amd64", "arm1 up is=aarch64").unwrap_err();
    assert!(error.to_string().contains("arm1 is linux/arm64 and the image i:1 of `web`"), "{error}");
}
