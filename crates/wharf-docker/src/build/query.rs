//! The query of `POST /build` (Engine API 1.41, `ImageBuild`).

use crate::build::Build;

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
        };
        assert_eq!(
            build_path(&build, true),
            "/build?t=127.0.0.1%3A5000%2Fshop%2Fweb%3Ar1&dockerfile=docker%2FDockerfile&version=2&target=app\
             &buildargs=%7B%22V%22%3A%22a%20b%26c%3D%C3%BC%22%7D&nocache=1"
        );
        assert!(build_path(&build, false).contains("&rm=1&forcerm=1"));
    }
}
