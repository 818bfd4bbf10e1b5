//! One service.

use crate::diagnostic::{Kind, Problem};
use crate::project::{Restart, Service, ServiceNetwork};
use crate::read::context::Context;
use crate::read::{
    build, depends_on, deploy, environment, healthcheck, mount, network, pairs, port, scalar, x_wharf,
};
use crate::schema_keys as keys;
use crate::shell;
use crate::yaml::{Entry, Node, Scalar, Value};

pub(super) fn read(cx: &mut Context<'_>, entry: &Entry) -> Option<Service> {
    let name = entry.key.as_str();
    let what = format!("service `{}`", crate::yaml_text(name));
    if entry.value.is_null() {
        let problem = Problem::value(format!("{what} is empty")).hint("it needs at least `image` or `build`");
        cx.error(entry.key_place, problem);
        return None;
    }
    let mut service = Service::default();
    let (mut env_file, mut own_environment) = (None, None);
    for field in cx.fields(&entry.value, &keys::SERVICE, &what) {
        let value = &field.value;
        let of = format!("`{}` of {what}", field.key);
        match field.key.as_str() {
            "build" => service.build = build::read(cx, value, &what),
            "command" => service.command = command(cx, value, &of),
            "container_name" => service.container_name = container_name(cx, value, &of),
            "depends_on" => service.depends_on = depends_on::read(cx, value, name, &what),
            "deploy" => service.deploy = deploy::read(cx, value, &what),
            "entrypoint" => service.entrypoint = command(cx, value, &of),
            "env_file" => env_file = Some(value),
            "environment" => own_environment = Some(value),
            "expose" => service.expose = port::expose(cx, value, &what),
            "healthcheck" => service.healthcheck = Some(healthcheck::read(cx, value, &what)),
            "hostname" => service.hostname = cx.string(value, of),
            "image" => service.image = image(cx, value, &of),
            "init" => service.init = cx.scalar(value, of, scalar::boolean),
            "labels" => service.labels = pairs::labels(cx, value, &of),
            "networks" => service.networks = network::of_service(cx, value, &what),
            "ports" => service.ports = port::read(cx, value, &what),
            "restart" => service.restart = cx.scalar(value, of, restart),
            "stop_grace_period" => service.stop_grace_period = cx.scalar(value, of, scalar::duration),
            "stop_signal" => service.stop_signal = stop_signal(cx, value, &of),
            "user" => service.user = cx.string(value, of),
            "volumes" => service.volumes = mount::read(cx, value, &what),
            "working_dir" => service.working_dir = cx.string(value, of),
            // Last in the list of keys: it looks at the service as a whole, so it is read below.
            _ => {}
        }
    }
    service.environment = environment::read(cx, env_file, own_environment, &what);
    if service.networks.is_empty() {
        service.networks.insert("default".to_owned(), ServiceNetwork::default());
    }
    if service.image.is_none() && service.build.is_none() {
        let is_unset = |key| match entry.value.as_mapping() {
            Some(mapping) => mapping.get(key).is_none_or(Node::is_null),
            None => false,
        };
        // A wrong `image` was reported already.
        if is_unset("image") && is_unset("build") {
            let problem = Problem::value(format!("{what} has neither `image` nor `build`"));
            cx.error(entry.key_place, problem);
        }
    }
    let extension = entry.value.as_mapping().and_then(|mapping| mapping.get("x-wharf"));
    if let Some(node) = extension {
        service.x_wharf = x_wharf::read(cx, node, &service, &what);
    }
    check_container_name(cx, &entry.value, &service, &what);
    Some(service)
}

/// A list of words, or a string that is split as a shell does.
fn command(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Vec<String>> {
    if matches!(node.value, Value::Sequence(_)) {
        return Some(cx.strings(node, what));
    }
    let text = cx.string(node, what)?;
    let split = shell::split(&text).map_err(Problem::value);
    let words = cx.take(node.place, what, split)?;
    if let Some(operator) = words.operator {
        let message = format!("`{operator}` is passed on as text, because no shell runs the command");
        let hint = "write [\"sh\", \"-c\", \"…\"], or put it in quotes";
        cx.warn(node.place, Problem::new(Kind::Effect, message).hint(hint).about(what));
    }
    Some(words.words)
}

fn image(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let image = cx.string(node, what)?;
    if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("`{}` is no image reference", crate::yaml_text(&image));
        cx.error(node.place, Problem::value(message).about(what));
        return None;
    }
    Some(image)
}

fn container_name(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let name = cx.string(node, what)?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric();
    let valid = name.len() > 1
        && name.bytes().all(|byte| is_word(byte) || matches!(byte, b'_' | b'.' | b'-'))
        && name.bytes().next().is_some_and(is_word);
    if !valid {
        let message = format!("`{}` is no name of a container", crate::yaml_text(&name));
        let hint = "letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
        cx.error(node.place, Problem::value(message).hint(hint).about(what));
        return None;
    }
    Some(name)
}

/// A name such as `SIGTERM`, or a number.
fn stop_signal(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let signal = match &node.value {
        Value::Scalar(Scalar::Integer(number, _)) => number.to_string(),
        _ => cx.string(node, what)?,
    };
    let valid = !signal.is_empty()
        && signal.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'));
    if !valid {
        let message = format!("`{}` is no signal", crate::yaml_text(&signal));
        cx.error(node.place, Problem::value(message).hint("for example SIGTERM").about(what));
        return None;
    }
    Some(signal)
}

fn restart(node: &Node) -> Result<Restart, Problem> {
    // LIMIT: Docker takes an int; beyond a million it means "always".
    const RETRIES_MAX: u32 = 1_000_000;
    if let Value::Scalar(Scalar::Bool(false)) = node.value {
        return Err(Problem::value("a string is expected, this is the boolean `false`")
            .hint("write `restart: \"no\"`"));
    }
    if let Value::Scalar(Scalar::String(text)) = &node.value
        && let Some(count) = text.strip_prefix("on-failure:")
    {
        return match count.parse::<u32>() {
            Ok(count) if count <= RETRIES_MAX => Ok(Restart::OnFailure(Some(count))),
            Ok(_) | Err(_) => {
                Err(Problem::value(format!("`{}` is no number of retries", crate::yaml_text(count))))
            }
        };
    }
    let words = [
        ("no", Restart::No),
        ("always", Restart::Always),
        ("on-failure", Restart::OnFailure(None)),
        ("unless-stopped", Restart::UnlessStopped),
    ];
    scalar::word(node, &words)
}

fn check_container_name(cx: &mut Context<'_>, node: &Node, service: &Service, what: &str) {
    let place =
        node.as_mapping().and_then(|mapping| mapping.entry("container_name")).map(|entry| entry.key_place);
    if let (Some(place), Some(replicas)) = (place, service.deploy.replicas)
        && service.container_name.is_some()
        && replicas > 1
    {
        let message =
            format!("{what} has a `container_name` and {replicas} replicas, but a name is given once");
        cx.error(
            place,
            Problem::new(Kind::Reference, message).hint("remove `container_name`, or run one replica"),
        );
    }
}
