//! `x-wharf` of a service, with a sentence for each key, which editors show.

use serde_json::Value;

use super::{described, element, list, number, one_of, text, texts, word};
use crate::schema_keys as keys;

pub(super) fn x_wharf() -> Value {
    let x_wharf = element(
        &keys::X_WHARF,
        &[
            ("before_switch", before_switch()),
            (
                "drift",
                described(
                    word(&["repair", "report"]),
                    "What is done when somebody changes its containers by hand; repair unless given",
                ),
            ),
            ("health", health()),
            (
                "hosts",
                described(
                    text(),
                    "Which hosts may run it: any, pool(web), label(key=value) or host(name); any unless given",
                ),
            ),
            (
                "reschedule",
                described(
                    word(&["always", "never"]),
                    "Whether it is started elsewhere when its host is lost, though that may still run it",
                ),
            ),
            ("rollout", rollout()),
            ("route", route()),
        ],
    );
    described(x_wharf, "What Compose has no words for: hosts, route, health, rollout, before_switch")
}

fn before_switch() -> Value {
    let command = element(
        &keys::X_WHARF_BEFORE_SWITCH,
        &[
            ("command", described(one_of(&[text(), texts()]), "Program and arguments; needed")),
            ("timeout", described(text(), "Longest time that it may take; 10m unless given")),
        ],
    );
    let all = one_of(&[text(), list(one_of(&[text(), command.clone()])), command]);
    described(all, "Run once, in the new image, before requests go to a new release, such as a migration")
}

fn route() -> Value {
    let mut route = element(
        &keys::X_WHARF_ROUTE,
        &[
            (
                "balance",
                described(
                    word(&["round_robin", "least_conn"]),
                    "Which container gets a request; round_robin unless given",
                ),
            ),
            (
                "host",
                described(text(), "Host name, or *.example.com for one level below; every name unless given"),
            ),
            ("path", described(text(), "Prefix of the path, on segment borders; / unless given")),
            ("port", described(number(), "Port of the container; needed")),
            ("timeout", described(text(), "Longest wait for the head of a response, such as 30s")),
        ],
    );
    route["required"] = serde_json::json!(["port"]);
    described(route, "How requests from outside reach it")
}

fn health() -> Value {
    let health = element(
        &keys::X_WHARF_HEALTH,
        &[
            ("fall", described(number(), "Failures in a row that make it unhealthy; 3 unless given")),
            ("interval", described(text(), "Time between checks; 1s unless given")),
            ("path", described(text(), "Path to GET; without it Wharf only connects")),
            ("port", described(number(), "Port of the container; the route's unless given")),
            ("rise", described(number(), "Successes in a row that make it healthy; 1 unless given")),
            (
                "start_period",
                described(text(), "Time after the start in which it may be unhealthy; 30s unless given"),
            ),
            ("timeout", described(text(), "Time for one check; 2s unless given")),
        ],
    );
    described(health, "How agents and balancers decide that a container can take requests")
}

fn rollout() -> Value {
    let rollout = element(
        &keys::X_WHARF_ROLLOUT,
        &[
            (
                "drain",
                described(text(), "Longest time for requests in flight on old containers; 30s unless given"),
            ),
            (
                "strategy",
                described(
                    word(&["blue-green", "recreate"]),
                    "New beside old and then switch, or stop and then start",
                ),
            ),
        ],
    );
    described(rollout, "How a new release takes over")
}
