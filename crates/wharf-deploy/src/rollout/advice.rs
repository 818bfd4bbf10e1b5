//! What to do next about a container that did not come up: a hint for each cause that agents tell apart. Pure.

use wharf_model::Name;

/// Where it happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) app: &'a Name,
    pub(super) service: &'a Name,
    pub(super) host: &'a Name,
}

/// `reason` with what to do next. What carries a hint already keeps it.
pub(super) fn with_hint(reason: String, place: Place<'_>) -> String {
    if reason.contains("hint: ") {
        return reason;
    }
    match hint(&reason, place) {
        Some(hint) => format!("{reason}\n  hint: {hint}"),
        None => reason,
    }
}

fn hint(reason: &str, Place { app, service, host }: Place<'_>) -> Option<String> {
    let has = |words: &str| reason.contains(words);
    let image = || {
        let after = reason.split_once("cannot pull ").map(|(_, after)| after);
        after.and_then(|after| after.split_once(": ")).map_or("IMAGE", |(image, _)| image).to_owned()
    };
    Some(if has("the registry has no such image") {
        "correct `image:` or push it first; `wharf registry ls` lists what our registry has".to_owned()
    } else if has("the registry can't be reached from the host") {
        format!("is the registry up, and does {host} reach it? try `docker pull {}` there", image())
    } else if has("the registry wants a login") {
        format!("correct `image:`, or log the Engine of {host} in: `docker login`")
    } else if has("the host's Engine does not trust the registry") {
        format!("put the registry's CA into /etc/docker/certs.d on {host}")
    } else if has("is not made for the host's platform") || has("another CPU architecture than the host's") {
        format!("build it for {host}'s platform, or keep {service} off that host with `x-wharf.hosts`")
    } else if has(" of the host is taken by the container") {
        "stop that container, or publish another port".to_owned()
    } else if has(" of the host is taken by a program") {
        let port = reason.split_once(": port ").and_then(|(_, after)| after.split_once(' '));
        let port = port.map_or("", |(port, _)| port);
        format!("`ss -ltnp 'sport = :{port}'` on {host} names it; stop it, or publish another port")
    } else if has("the disk of the host is full") {
        format!("make room on {host} (`docker system df` there, `wharf prune --host {host}`), or drain it")
    } else if has("is not in the image") || has("can't be executed") {
        "correct `entrypoint` and `command`, or the image's Dockerfile".to_owned()
    } else if has("more memory than its limit") {
        "raise `deploy.resources.limits.memory`, or have it use less".to_owned()
    } else if has("more memory than there is") {
        format!("give {host} more memory, or move something off it")
    } else if has(" ended with status ") || has(" was restarted ") {
        format!("its last words tell more; `wharf run {service} --app {app}` tries it by hand")
    } else if has(" is unhealthy after ") {
        "does it listen on that port, and does the check pass? a slow start needs a longer `start_period`"
            .to_owned()
    } else if has("the host is lost") {
        format!("`wharf host ls` shows when {host} was last seen; deploy again once it is up, or remove it")
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_hint_and_none_has_two() {
        let (app, service, host): (Name, Name, Name) =
            ("shop".parse().unwrap(), "web".parse().unwrap(), "one".parse().unwrap());
        let place = Place { app: &app, service: &service, host: &host };
        for (reason, expected) in [
            (
                "web on one can't be started: cannot pull r:1/a:1: the registry can't be reached from the host (…)",
                "hint: is the registry up, and does one reach it? try `docker pull r:1/a:1` there",
            ),
            (
                "web on one can't be started: cannot start container a: port 80 of the host is taken by a program of the host",
                "hint: `ss -ltnp 'sport = :80'` on one names it",
            ),
            ("web on one ended with status 7", "hint: its last words tell more; `wharf run web --app shop`"),
            (
                "web on one: it was killed (status 137), because it wanted more memory than its limit of 1 MiB",
                "raise",
            ),
            ("web on one is unhealthy after 2s: GET /up: status 503", "start_period"),
        ] {
            let told = with_hint(reason.to_owned(), place);
            assert!(told.starts_with(reason) && told.contains(expected), "{told}");
            assert_eq!(with_hint(told.clone(), place), told);
        }
        assert_eq!(with_hint("something else".to_owned(), place), "something else");
    }
}
