//! What the Engine says when a container can't be made or started, in words that say what happened.
//!
//! The Engine's words come from many layers (containerd, runc, registries). The common causes are recognised by what has
//! stayed the same in them from 20.10 on; everything else is passed on as it is. Pure, but for the question who has a
//! port.

use std::collections::HashMap;

use wharf_docker::Engine;
use wharf_docker::bollard::models::PortSummary;
use wharf_docker::bollard::query_parameters::ListContainersOptionsBuilder;

/// Marks what follows as the Engine's own words.
const ENGINE: &str = "the Engine says";

/// `error`, explained. Asks the Engine who has a port that is taken.
pub(crate) async fn failure(engine: &Engine, error: String) -> String {
    let Some((doing, words)) = error.split_once(": ") else { return error };
    match taken_port(words) {
        Some(port) => {
            let holder = holder(engine, port).await;
            let by = holder.map_or_else(
                || "by a program of the host that is no container".to_owned(),
                |name| format!("by the container `{name}`"),
            );
            format!("{doing}: port {port} of the host is taken {by}")
        }
        None => explained(doing, words).unwrap_or(error),
    }
}

/// The container that publishes this port, if one does.
async fn holder(engine: &Engine, port: u16) -> Option<String> {
    let filters = HashMap::from([("publish", vec![port.to_string()])]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    let found = engine.docker().list_containers(Some(options)).await.ok()?;
    let holds = |ports: &[PortSummary]| ports.iter().any(|one| one.public_port == Some(port));
    let one = found.into_iter().find(|one| holds(one.ports.as_deref().unwrap_or_default()))?;
    let name = one.names?.into_iter().next()?;
    Some(name.trim_start_matches('/').to_owned())
}

/// `Bind for 0.0.0.0:80 failed: port is already allocated`, `listen tcp4 0.0.0.0:80: bind: address already in use`.
fn taken_port(words: &str) -> Option<u16> {
    let end = ["failed: port is already allocated", ": bind: address already in use"];
    let before = end.into_iter().find_map(|end| words.split_once(end))?.0.trim_end();
    before.rsplit_once(':')?.1.parse().ok()
}

/// The cause behind the Engine's words, where it is one that is known.
fn explained(doing: &str, words: &str) -> Option<String> {
    let has = |any: &[&str]| any.iter().any(|one| words.contains(one));
    let is_pull = doing.starts_with("cannot pull ");
    if has(&["no space left on device", "disk quota exceeded"]) {
        return Some(format!("{doing}: the disk of the host is full ({ENGINE}: {words})"));
    }
    if is_pull {
        let cause = if has(&["no matching manifest"]) {
            "the image is not made for the host's platform"
        } else if has(&["no basic auth credentials", "unauthorized", "denied", "authentication required"]) {
            "the registry wants a login, or has no such image for this one"
        } else if has(&["manifest unknown", "not found", "name unknown"]) && !has(&["dial tcp"]) {
            "the registry has no such image"
        } else if has(&[
            "dial tcp",
            "connection refused",
            "no such host",
            "i/o timeout",
            "EOF",
            "TLS handshake timeout",
        ]) {
            "the registry can't be reached from the host"
        } else if has(&["x509:", "tls:", "server gave HTTP response to HTTPS client"]) {
            "the host's Engine does not trust the registry"
        } else {
            return None;
        };
        return Some(format!("{doing}: {cause} ({ENGINE}: {words})"));
    }
    let program = program(words)?;
    let cause = if has(&["no such file or directory", "executable file not found"]) {
        "is not in the image"
    } else if has(&["permission denied", "is a directory"]) {
        "can't be executed"
    } else if has(&["exec format error"]) {
        "is made for another CPU architecture than the host's"
    } else {
        return None;
    };
    Some(format!("{doing}: its program `{program}` {cause}"))
}

/// `exec: "/not/there": stat /not/there: no such file or directory`.
fn program(words: &str) -> Option<&str> {
    let after = words.split_once("exec: \"").or_else(|| words.split_once("exec \""))?.1;
    after.split_once('"').map(|(program, _)| program)
}

/// How a container ended: what a bare exit status does not tell.
///
/// `limit` is its limit of memory in bytes. The Engine's flag is of the container's own memory group.
pub(crate) fn ending(code: i64, was_out_of_memory: bool, limit: Option<i64>) -> Option<String> {
    if !was_out_of_memory {
        return None;
    }
    let limit = limit.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    let than = match limit {
        Some(bytes) => format!("its limit of {} MiB", bytes >> 20),
        None => "there is".to_owned(),
    };
    Some(format!("it was killed (status {code}), because it wanted more memory than {than}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_is_explained() {
        for (words, expected) in [
            (
                "cannot pull r:1/a:1: manifest for r:1/a:1 not found: manifest unknown: a has no manifest 1",
                "the registry has no such image (",
            ),
            (
                "cannot pull r:1/a:1: Get \"http://r:1/v2/\": dial tcp 10.0.0.1:1: connect: connection refused",
                "the registry can't be reached from the host (",
            ),
            (
                "cannot pull r/a:1: Get \"https://r/v2/\": dial tcp: lookup r on 10.0.0.1:53: no such host",
                "the registry can't be reached from the host (",
            ),
            (
                "cannot pull r/a:1: no matching manifest for linux/amd64 in the manifest list entries",
                "the image is not made for the host's platform (",
            ),
            (
                "cannot pull r/a:1: Head \"https://r/v2\": no basic auth credentials",
                "the registry wants a login",
            ),
            (
                "cannot start container a: failed to create shim task: OCI runtime create failed: runc create failed: \
                 unable to start container process: exec: \"/not/there\": stat /not/there: no such file or directory: \
                 unknown",
                "its program `/not/there` is not in the image",
            ),
            (
                "cannot start container a: OCI runtime create failed: container_linux.go:380: starting container process \
                 caused: exec: \"serve\": executable file not found in $PATH: unknown",
                "its program `serve` is not in the image",
            ),
            (
                "cannot start container a: runc create failed: exec: \"/etc/passwd\": permission denied: unknown",
                "its program `/etc/passwd` can't be executed",
            ),
            (
                "cannot create container a: write /var/lib/docker/x: no space left on device",
                "the disk of the host is full (",
            ),
        ] {
            let (doing, rest) = words.split_once(": ").unwrap();
            let told = explained(doing, rest).unwrap_or_else(|| panic!("{words}"));
            assert!(told.starts_with(&format!("{doing}: {expected}")), "{told}");
        }
        assert_eq!(explained("cannot start container a", "something that nobody has seen"), None);
        assert_eq!(explained("cannot pull r/a:1", "something that nobody has seen"), None);
    }

    #[test]
    fn a_taken_port_is_found_in_the_words_of_both_kinds() {
        let driver = "driver failed programming external connectivity on endpoint a (e0): ";
        for (words, port) in [
            (
                "Error starting userland proxy: listen tcp4 0.0.0.0:27999: bind: address already in use",
                Some(27999),
            ),
            ("Bind for 0.0.0.0:80 failed: port is already allocated", Some(80)),
            ("Bind for :::80 failed: port is already allocated", Some(80)),
            ("listen tcp4: address already in use", None),
            ("no such image", None),
        ] {
            assert_eq!(taken_port(&format!("{driver}{words}")), port, "{words}");
        }
    }

    #[test]
    fn only_a_lack_of_memory_explains_an_end() {
        let told = ending(137, true, Some(24 << 20)).unwrap();
        assert_eq!(
            told,
            "it was killed (status 137), because it wanted more memory than its limit of 24 MiB"
        );
        assert!(ending(137, true, None).unwrap().ends_with("than there is"));
        assert_eq!(ending(137, false, Some(1)), None);
    }
}
