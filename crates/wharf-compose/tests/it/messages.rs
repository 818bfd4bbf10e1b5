//! What users read: each case is a file and everything that is said about it. The texts are part of the product.

use crate::load_texts;

/// Checks what is said about a service `web` with this body (without its `image`), one finding per line.
fn check_service(body: &str, expected: &str) {
    let indented: String = body.lines().map(|line| format!("    {line}\n")).collect();
    check(&[&format!("services:\n  web:\n    image: a\n{indented}")], expected);
}

fn check(texts: &[&str], expected: &str) {
    let (errors, warnings) = match load_texts(texts) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(errors) => (errors.errors, errors.warnings),
    };
    let lines = errors.iter().map(|error| format!("{error}"));
    let lines = lines.chain(warnings.iter().map(|warning| format!("warning: {warning}")));
    let actual =
        lines.collect::<Vec<_>>().join("\n").replace("compose.yaml:", "").replace("\n  hint: ", " | ");
    assert_eq!(actual.trim(), expected, "{texts:#?}");
}

#[test]
fn the_form_of_a_message() {
    let errors = load_texts(&["services:\n  web:\n    imgae: a\n    credential_spec: {}"]).unwrap_err();
    insta::assert_snapshot!(errors, @r"
    compose.yaml:2:3: service `web` has neither `image` nor `build`
    compose.yaml:4:5: `credential_spec` in service `web` is not supported yet
      hint: it is for Windows; remove it
    ");
    insta::assert_snapshot!(errors.warnings[0], @r"
    compose.yaml:3:5: unknown key `imgae` in service `web`
      hint: did you mean `image`?
    ");
    assert_eq!(errors.code(), wharf_base::ErrorCode::InvalidArgument);
}

#[test]
fn files_that_are_no_project() {
    for (text, expected) in [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a", "1:1: a Compose file is a mapping, this is a list"),
        ("text", "1:1: a Compose file is a mapping, this is the string `text`"),
        ("name: x", "1:1: no `services` | describe at least one service"),
        ("services:", "1:1: no `services` | describe at least one service"),
        ("services: []", "1:11: `services`: a mapping is expected, this is a list"),
        ("services: {web: a}", "1:17: service `web`: a mapping is expected, this is the string `a`"),
        (
            "services: {web: {image: a}, \"w b\": {image: a}}",
            "1:29: `services`: `w b` is not a name of a service | use letters, digits, `.`, `_` and `-`",
        ),
        (
            "services: {web: {image: a}}\nname: '---'",
            "2:7: `name`: nothing of `---` can be in a project name | use a-z, 0-9, `_` and `-`",
        ),
        (
            "services: {web: {image: a}}\nname: ${NO:?set it}",
            "2:7: required variable `NO` is not set: set it",
        ),
    ] {
        check(&[text], expected);
    }
}

#[test]
fn yaml() {
    for (text, expected) in [
        (
            "a: b: c",
            "1:5: not valid YAML: mapping values are not allowed in this context | check the indentation, and put texts with `: ` in quotes",
        ),
        ("a: &x [*x]", "1:8: an alias inside of the node that it refers to"),
        ("a: *nowhere", "1:4: not valid YAML: while parsing node, found unknown anchor"),
        ("a: !thing b", "1:4: unknown tag `!thing` | Compose knows `!reset` and `!override`"),
        ("? [a]\n: b", "1:3: a key must be a string, this is a list"),
        ("~: b", "1:1: a key must be a string, this is nothing"),
        ("a: 1\na: 2", "2:1: key `a` is defined twice, first in line 1"),
        (
            "x-a: &a {b: 1}\nx-c: {<<: *a, <<: *a}",
            "2:15: key `<<` is defined twice, first in line 2 | write `<<: [*a, *b]`",
        ),
        ("x-c: {<<: text}", "1:11: `<<` takes a mapping or a list of mappings, this is the string `text`"),
    ] {
        check(&[text], expected);
    }
}

#[test]
fn keys() {
    for (body, expected) in [
        (
            "enviroment: {}",
            "warning: 4:5: unknown key `enviroment` in service `web` | did you mean `environment`?",
        ),
        (
            "foo: 1",
            "warning: 4:5: unknown key `foo` in service `web` | it is ignored; extensions begin with `x-`",
        ),
        ("x-foo: 1", ""),
        ("x-warf: {}", "warning: 4:5: `x-warf` in service `web` is ignored | did you mean `x-wharf`?"),
        ("cap_add: [SYS_TIME]", ""),
        (
            "cpu_count: 3",
            "4:5: `cpu_count` in service `web` is not supported yet | it is for Windows; use `cpus`",
        ),
        (
            "networks: {default: {gw_priority: 1}}",
            "4:26: `gw_priority` in `networks.default` of service `web` is not supported yet | it needs Docker Engine 28; use `priority` where the order is enough",
        ),
        (
            "deploy: {update_config: {delay: 1s}}",
            "4:30: `delay` in `deploy.update_config` of service `web` is not supported yet | use `x-wharf.rollout`",
        ),
        (
            "ports: [{target: 80, name: http}]",
            "warning: 4:26: `name` in an entry of `ports` of service `web` has no effect: it only informs",
        ),
        (
            "labels: {wharf.app: x}",
            "4:14: `labels` of service `web`: label `wharf.app`: `wharf.` is kept for Wharf's own labels",
        ),
    ] {
        check_service(body, expected);
    }
}

#[test]
fn values() {
    for (body, expected) in [
        (
            "init: maybe",
            "4:11: `init` of service `web`: true or false is expected, this is the string `maybe`",
        ),
        (
            "user: 1000",
            "warning: 4:11: `user` of service `web`: Compose wants a string, this is the number `1000` | put it in quotes",
        ),
        ("user: [a]", "4:11: `user` of service `web`: a string is expected, this is a list"),
        (
            "command: a && b",
            "warning: 4:14: `command` of service `web`: `&&` is passed on as text, because no shell runs the command | write [\"sh\", \"-c\", \"…\"], or put it in quotes",
        ),
        ("command: \"a 'b\"", "4:14: `command` of service `web`: a `'` is not closed"),
        ("entrypoint: []", ""),
        (
            "stop_grace_period: 10",
            "4:24: `stop_grace_period` of service `web`: `10` is not a duration; write a number with a unit (us, ms, s, m, h), such as 1m30s",
        ),
        (
            "restart: false",
            "4:14: `restart` of service `web`: a string is expected, this is the boolean `false` | write `restart: \"no\"`",
        ),
        ("restart: on-failure:x", "4:14: `restart` of service `web`: `x` is no number of retries"),
        (
            "container_name: a/b",
            "4:21: `container_name` of service `web`: `a/b` is no name of a container | letters, digits, `_`, `.` and `-`, beginning with a letter or digit",
        ),
        (
            "stop_signal: 'SIG TERM'",
            "4:18: `stop_signal` of service `web`: `SIG TERM` is no signal | for example SIGTERM",
        ),
        (
            "environment: [1]",
            "4:19: `environment` of service `web`: `key=value` is expected, this is the number `1`",
        ),
        (
            "environment: [A: b]",
            "4:19: `environment` of service `web`: `key=value` is expected, this is a mapping | write `- key=value`, or a mapping without dashes",
        ),
        (
            "environment: {A: [b]}",
            "4:22: `environment` of service `web`: `A` is a list, a string is expected",
        ),
        ("environment: [=b]", "4:19: `environment` of service `web`: a key is missing before `=`"),
        (
            "env_file: no.env",
            "4:15: `env_file` of service `web`: cannot read `no.env`: no such file | `{ path: …, required: false }` tolerates that it is missing",
        ),
        ("env_file: {required: true}", "4:15: `env_file` of service `web`: `path` is missing"),
        ("deploy: {replicas: -1}", "4:24: `deploy.replicas` of service `web`: -1 is not between 0 and 10000"),
        (
            "deploy: {replicas: 1.5}",
            "4:24: `deploy.replicas` of service `web`: a whole number is expected, this is the number `1.5`",
        ),
        (
            "deploy: {resources: {limits: {memory: 1x}}}",
            "4:43: `memory` in `deploy.resources` of service `web`: `1x` is not a byte size; write a number with k, M, G or T, such as 256M",
        ),
        (
            "deploy: {resources: {limits: {cpus: 0}}}",
            "4:41: `cpus` in `deploy.resources` of service `web`: `0` is not a number of CPUs | write a number above zero, such as 0.5",
        ),
        (
            "healthcheck: {test: [curl, x]}",
            "4:25: `healthcheck.test` of service `web`: the list begins with `curl` | begin with CMD, CMD-SHELL or NONE, or write one string for a shell",
        ),
        (
            "build: https://example.com/a.git",
            "4:12: `build` of service `web`: a remote build context (`https://example.com/a.git`) is not supported yet | check it out and name the directory",
        ),
    ] {
        check_service(body, expected);
    }
}

#[test]
fn ports_and_mounts() {
    for (body, expected) in [
        (
            "ports: [80.5]",
            "4:13: `ports` of service `web`: a port is expected, this is the number `80.5` | put it in quotes: \"8080:80\"",
        ),
        ("ports: ['80:80', '80:81']", "4:22: `ports` of service `web`: port 80 is published for 80 and 81"),
        ("ports: ['80:80', '80:80', '80:80/udp']", ""),
        ("ports: [{published: 80}]", "4:13: an entry of `ports` of service `web`: `target` is missing"),
        (
            "ports: [{target: 80, published: 80-81}]",
            "4:13: an entry of `ports` of service `web`: 2 host ports for 1 of the container | a free port of a range is not supported; publish one port, or leave the host port out",
        ),
        (
            "ports: [{target: 80, protocol: sctp}]",
            "4:36: `protocol` in `ports` of service `web`: `sctp` is none of tcp, udp",
        ),
        ("ports: {a: b}", "4:12: `ports` of service `web`: a list is expected, this is a mapping"),
        ("expose: [http]", "4:14: `expose` of service `web`: `http` is no port number | 1 to 65535"),
        (
            "volumes: ['data:/x']",
            "4:15: `volumes` of service `web`: volume `data` is not declared | add `data:` under the top-level `volumes`",
        ),
        (
            "volumes: ['/a:/x:noexec']",
            "4:15: `volumes` of service `web`: mount option `noexec` is not supported | ro, rw, z, Z, nocopy and those of propagation are",
        ),
        (
            "volumes: ['./a:/x']",
            "4:15: `volumes` of service `web`: `a` would be a writable copy on each host | mount it read-only (`:ro` or `read_only: true`), or use a named volume",
        ),
        ("volumes: ['./a:/']", "4:15: `volumes` of service `web`: nothing can be mounted at `/`"),
        (
            "volumes: ['/a:/x', '/b:/x/']",
            "warning: 4:24: `volumes` of service `web`: the mount at `/x` replaces the one in line 4",
        ),
        (
            "volumes: [{type: bind, target: /x}]",
            "4:15: `volumes` of service `web`: a bind mount needs a `source`",
        ),
        (
            "volumes: [{source: a, target: /x}]",
            "4:15: an entry of `volumes` of service `web`: `type` is missing | `type: bind`, `type: volume` or `type: tmpfs`",
        ),
        (
            "volumes: [{type: npipe, target: /x}]",
            "4:22: `type` in `volumes` of service `web`: this type of mount is not supported | bind, volume and tmpfs are",
        ),
    ] {
        check_service(body, expected);
    }
}

#[test]
fn references() {
    let with = |web: &str, rest: &str| format!("services:\n  web: {{image: a, {web}}}\n{rest}");
    for (web, rest, expected) in [
        (
            "depends_on: [bd]",
            "  db: {image: b}",
            "2:32: service `web` depends on `bd`, which is no service | did you mean `db`?",
        ),
        ("depends_on: [web]", "", "2:32: service `web` depends on itself"),
        (
            "depends_on: {db: {}}",
            "  db: {image: b}",
            "2:32: `depends_on.db` of service `web`: `condition` is missing | for example `condition: service_started`",
        ),
        (
            "depends_on: {db: {condition: healthy}}",
            "  db: {image: b}",
            "2:48: `depends_on.db` of service `web`: `healthy` is none of service_started, service_healthy, service_completed_successfully",
        ),
        (
            "depends_on: {db: {condition: service_started, required: false}}",
            "",
            "warning: 2:32: service `web` depends on `db`, which is no service | it is not required, so it is left out",
        ),
        (
            "depends_on: {db: {condition: service_healthy}}",
            "  db: {image: b, healthcheck: {disable: true}}",
            "2:37: service `web` waits until `db` is healthy, but its health check is disabled",
        ),
        (
            "depends_on: [db]",
            "  db: {image: b, depends_on: [web]}",
            "3:31: services depend on each other in a circle: db → web → db",
        ),
        (
            "networks: [front]",
            "",
            "2:30: `networks` of service `web`: network `front` is not declared | add `front:` under the top-level `networks`",
        ),
        (
            "networks: [front]",
            "networks: {front: {external: true, driver: bridge}}",
            "3:12: network `front` is external, so it is used as it is | leave only `external` and `name`",
        ),
        (
            "networks: [front]",
            "networks: {front: {external: {name: x}}}",
            "warning: 3:30: `external` of network `front`: the form with a name is old | write `external: true` and `name:` beside it",
        ),
        (
            "container_name: app, deploy: {replicas: 2}",
            "",
            "2:19: service `web` has a `container_name` and 2 replicas, but a name is given once | remove `container_name`, or run one replica",
        ),
        (
            "container_name: app",
            "  db: {image: b, container_name: app}",
            "2:19: services `db` and `web` have the same `container_name`",
        ),
        ("init: true", "volumes: {data: }", "warning: 3:11: volume `data` is used by no service"),
    ] {
        check(&[&with(web, rest)], expected);
    }
}

#[test]
fn x_wharf() {
    for (body, expected) in [
        (
            "x-wharf: {route: {}}",
            "4:15: `x-wharf.route` of service `web`: `port` is missing | the port that the application listens on in its container",
        ),
        (
            "x-wharf: {route: {prot: 80}}",
            "4:15: `x-wharf.route` of service `web`: `port` is missing | the port that the application listens on in its container\n4:23: unknown key `prot` in `x-wharf.route` of service `web` | did you mean `port`?",
        ),
        (
            "x-wharf: {route: {port: 0}}",
            "4:29: `port` in `x-wharf.route` of service `web`: 0 is not between 1 and 65535",
        ),
        (
            "x-wharf: {route: {port: 80, host: 'http://a'}}",
            "4:39: `host` in `x-wharf.route` of service `web`: `http://a` is no host name | only the name, such as shop.example.com or *.example.com, without scheme, port or path",
        ),
        (
            "x-wharf: {route: {port: 80, path: a}}",
            "4:39: `path` in `x-wharf.route` of service `web`: `a` is no path of a URL | it begins with `/`",
        ),
        (
            "x-wharf: {route: {port: 80, balance: random}}",
            "4:42: `balance` in `x-wharf.route` of service `web`: `random` is none of round_robin, least_conn",
        ),
        (
            "x-wharf: {route: {port: 80, timeout: 0s}}",
            "4:42: `timeout` in `x-wharf.route` of service `web`: a duration above zero is expected",
        ),
        (
            "x-wharf: {hosts: [a]}",
            "4:22: `x-wharf.hosts` of service `web`: a list selects no hosts | write any, pool(web), label(key=value) or host(name)",
        ),
        (
            "x-wharf: {health: {path: /up}}",
            "4:15: `x-wharf.health` of service `web`: `port` is missing, and no route gives one",
        ),
        (
            "x-wharf: {health: {port: 80, rise: 0}}",
            "4:40: `rise` in `x-wharf.health` of service `web`: 0 is not between 1 and 1000",
        ),
        (
            "x-wharf: {before_switch: []}",
            "4:30: `x-wharf.before_switch` of service `web`: there is no command | write `before_switch: [program, argument]`, or `{ command: …, timeout: 10m }`",
        ),
        (
            "x-wharf: {before_switch: {command: a, timeout: 0s}}",
            "4:52: `timeout` in `x-wharf.before_switch` of service `web`: a duration above zero is expected",
        ),
        (
            "x-wharf: {per_host: 2}",
            "4:15: unknown key `per_host` in `x-wharf` of service `web` | it takes before_switch, drift, health, hosts, reschedule, rollout, route",
        ),
        (
            "x-wharf: {x-note: a}",
            "4:15: unknown key `x-note` in `x-wharf` of service `web` | it takes before_switch, drift, health, hosts, reschedule, rollout, route",
        ),
        (
            "container_name: app\nx-wharf: {rollout: {strategy: blue-green}}",
            "5:35: `x-wharf.rollout` of service `web`: blue-green runs the old and the new side by side, but it has a `container_name` | write `strategy: recreate`, or remove what fixes it",
        ),
        ("volumes: ['/a:/a']\nx-wharf: {route: {port: 80}, rollout: {}}", ""),
    ] {
        check_service(body, expected);
    }
}

#[test]
fn errors_in_an_env_file_name_that_file() {
    let files = [wharf_compose::SourceFile {
        path: "app/compose.yaml".to_owned(),
        text: "services: {web: {image: a, env_file: ./web.env}}".to_owned(),
    }];
    let options = wharf_compose::Options { project_name: Some("shop".to_owned()), ..Default::default() };
    let errors =
        wharf_compose::load(&files, &|_| None, &mut |_| Ok("A=1\nB='x".to_owned()), &options).unwrap_err();
    assert_eq!(errors.to_string(), "web.env:2:1: a `'` is not closed");
}

#[test]
fn only_a_hundred_errors_are_kept() {
    let body: String = (0..150).map(|index| format!("  s{index}: {{ isolation: x, image: a }}\n")).collect();
    let errors = load_texts(&[&format!("services:\n{body}")]).unwrap_err();
    assert_eq!((errors.errors.len(), errors.omitted), (100, 50));
    assert!(errors.to_string().ends_with("… and 50 more"));
}

#[test]
fn the_name_of_the_project() {
    let load = |name: &str, asked: Option<&str>, variable: Option<&str>, directory: &str| {
        let files = [wharf_compose::SourceFile {
            path: "compose.yaml".to_owned(),
            text: format!("{name}\nservices: {{web: {{image: 'a:${{COMPOSE_PROJECT_NAME}}'}}}}"),
        }];
        let options = wharf_compose::Options {
            project_name: asked.map(str::to_owned),
            directory_name: Some(directory.to_owned()),
            ..Default::default()
        };
        let environment = |key: &str| variable.filter(|_| key == "COMPOSE_PROJECT_NAME").map(str::to_owned);
        let reader = &mut |_: &str| Err(wharf_compose::ReadError::NotFound);
        wharf_compose::load(&files, &environment, reader, &options)
            .map(|loaded| {
                let image = loaded.project.services["web"].image.clone().unwrap();
                assert_eq!(image, format!("a:{}", loaded.project.name));
                loaded.project.name
            })
            .map_err(|errors| errors.to_string())
    };
    for (name, asked, variable, directory, expected) in [
        ("", None, None, "My Dir", "mydir"),
        ("name: file", None, None, "dir", "file"),
        ("name: File.1", None, None, "dir", "file1"),
        ("name: file", None, Some("variable"), "dir", "variable"),
        ("name: file", Some("asked"), Some("variable"), "dir", "asked"),
        ("name: 2048", None, None, "dir", "2048"),
    ] {
        assert_eq!(
            load(name, asked, variable, directory).unwrap(),
            expected,
            "{name} {asked:?} {variable:?}"
        );
    }
    assert!(
        load("", Some("Bad Name"), None, "dir").unwrap_err().contains("`Bad Name` is not a project name")
    );
    assert!(load("", None, None, "...").unwrap_err().contains("the project has no name"));
}
