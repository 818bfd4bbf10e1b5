//! The query of `POST /build` (Engine API 1.41, `ImageBuild`).

use serde::Serialize;

use crate::build::Build;

/// One of `ulimits` in the Engine's words.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ulimit<'a> {
    name: &'a str,
    soft: i64,
    hard: i64,
}

/// Path and query without the version.
pub(crate) fn build_path(build: &Build<'_>, is_buildkit: bool) -> String {
    let json = |map| serde_json::to_string(map).expect("string maps serialize");
    let mut path = format!("/build?t={}&dockerfile={}", encode(build.tag), encode(build.dockerfile));
    let mut add = |name: &str, value: &str| {
        path.push('&');
        path.push_str(name);
        path.push('=');
        path.push_str(&encode(value));
    };
    if is_buildkit {
        add("version", "2");
    } else {
        // Containers of failed steps too, or they pile up on the host.
        add("rm", "1");
        add("forcerm", "1");
    }
    if let Some(target) = build.target {
        add("target", target);
    }
    if !build.args.is_empty() {
        add("buildargs", &json(build.args));
    }
    if !build.labels.is_empty() {
        add("labels", &json(build.labels));
    }
    if build.no_cache {
        add("nocache", "1");
    }
    let settings = &build.settings;
    for tag in &settings.tags {
        add("t", tag);
    }
    if settings.pull {
        add("pull", "1");
    }
    if !settings.cache_from.is_empty() {
        add("cachefrom", &serde_json::to_string(&settings.cache_from).expect("texts are JSON"));
    }
    if !settings.extra_hosts.is_empty() {
        add("extrahosts", &settings.extra_hosts.join(","));
    }
    if let Some(network) = &settings.network {
        add("networkmode", network);
    }
    if let Some(platform) = &settings.platform {
        add("platform", platform);
    }
    if let Some(size) = settings.shm_size_bytes {
        add("shmsize", &size.to_string());
    }
    if !settings.ulimits.is_empty() {
        let limits = settings.ulimits.iter();
        let limits: Vec<Ulimit<'_>> =
            limits.map(|(name, &(soft, hard))| Ulimit { name, soft, hard }).collect();
        add("ulimits", &serde_json::to_string(&limits).expect("plain records are JSON"));
    }
    path
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::build::Settings;

    #[test]
    fn options_are_encoded() {
        let args = BTreeMap::from([("V".to_owned(), "a b&c=ü".to_owned())]);
        let build = Build {
            tag: "127.0.0.1:5000/shop/web:r1",
            context: Path::new("/x"),
            dockerfile: "docker/Dockerfile",
            target: Some("app"),
            args: &args,
            labels: &BTreeMap::new(),
            no_cache: true,
            settings: Settings::default(),
        };
        assert_eq!(
            build_path(&build, true),
            "/build?t=127.0.0.1%3A5000%2Fshop%2Fweb%3Ar1&dockerfile=docker%2FDockerfile&version=2&target=app\
             &buildargs=%7B%22V%22%3A%22a%20b%26c%3D%C3%BC%22%7D&nocache=1"
        );
        assert!(build_path(&build, false).contains("&rm=1&forcerm=1"));
    }

    #[test]
    fn every_setting_reaches_the_engine() {
        let none = BTreeMap::new();
        let settings = Settings {
            pull: true,
            cache_from: vec!["a:1".to_owned(), "b".to_owned()],
            extra_hosts: vec!["db:10.0.0.1".to_owned(), "x:::1".to_owned()],
            network: Some("none".to_owned()),
            platform: Some("linux/arm64".to_owned()),
            shm_size_bytes: Some(1024),
            ulimits: BTreeMap::from([("nofile".to_owned(), (10, 20))]),
            tags: vec!["shop:latest".to_owned()],
        };
        let build = Build {
            tag: "t",
            context: Path::new("/x"),
            dockerfile: "D",
            target: None,
            args: &none,
            labels: &none,
            no_cache: false,
            settings,
        };
        assert_eq!(
            build_path(&build, true),
            "/build?t=t&dockerfile=D&version=2&t=shop%3Alatest&pull=1&cachefrom=%5B%22a%3A1%22%2C%22b%22%5D\
             &extrahosts=db%3A10.0.0.1%2Cx%3A%3A%3A1&networkmode=none&platform=linux%2Farm64&shmsize=1024\
             &ulimits=%5B%7B%22Name%22%3A%22nofile%22%2C%22Soft%22%3A10%2C%22Hard%22%3A20%7D%5D"
        );
        assert!(build.settings.needs_classic(41) && !build.settings.needs_classic(42));
    }
}
