//! The archives that this machine's own apt is set up with (sources.list(5)).

use std::collections::BTreeSet;
use std::path::Path;

/// Origins (`http://HOST[:PORT]`) in `sources.list` and `sources.list.d/` below `directory`, sorted. What can't be read is left out.
pub(crate) fn of_machine(directory: &Path) -> Vec<String> {
    let mut files = vec![directory.join("sources.list")];
    for entry in std::fs::read_dir(directory.join("sources.list.d")).into_iter().flatten().flatten() {
        files.push(entry.path());
    }
    let mut origins = BTreeSet::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => origins.extend(one_line(&text)),
            Some("sources") => origins.extend(stanzas(&text)),
            _ => {}
        }
    }
    origins.into_iter().collect()
}

/// `deb [option=value …] URI suite …`.
fn one_line(text: &str) -> Vec<String> {
    let uri_of = |line: &str| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb ").or_else(|| line.strip_prefix("deb-src "))?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        origin(rest.split_ascii_whitespace().next()?)
    };
    text.lines().filter_map(uri_of).collect()
}

/// Stanzas with `URIs:`, unless they say `Enabled: no`.
fn stanzas(text: &str) -> Vec<String> {
    let mut origins = Vec::new();
    for stanza in text.split("\n\n") {
        let mut found = Vec::new();
        let (mut is_enabled, mut is_in_uris) = (true, false);
        for line in stanza.lines().filter(|line| !line.starts_with('#')) {
            let value = match line.split_once(':') {
                Some((field, value)) if !line.starts_with(' ') => {
                    is_in_uris = field.eq_ignore_ascii_case("URIs");
                    if field.eq_ignore_ascii_case("Enabled") {
                        is_enabled = !value.trim().eq_ignore_ascii_case("no");
                    }
                    value
                }
                _ => line,
            };
            if is_in_uris {
                found.extend(value.split_ascii_whitespace().filter_map(origin));
            }
        }
        if is_enabled {
            origins.extend(found);
        }
    }
    origins
}

fn origin(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    // Credentials in a source stay where they are.
    let host = authority.rsplit('@').next()?;
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("sources.list.d");
        std::fs::create_dir(&below).unwrap();
        let list = "# deb http://off.example x main\ndeb [arch=amd64 signed-by=/k] http://a.example/debian x main\n\
                    deb-src http://a.example:81/debian x main # why\ndeb cdrom:[x]/ x main\n";
        std::fs::write(directory.path().join("sources.list"), list).unwrap();
        let stanzas = "Types: deb\n# a word\nURIs: https://b.example/debian\n http://u:p@c.example/\nSuites: x\n\n\
                       Enabled: no\nURIs: http://off.example/\n";
        std::fs::write(below.join("x.sources"), stanzas).unwrap();
        std::fs::write(below.join("x.list.disabled"), "deb http://off.example x main\n").unwrap();
        let found = of_machine(directory.path());
        assert_eq!(
            found,
            ["http://a.example", "http://a.example:81", "http://c.example", "https://b.example"]
        );
        assert_eq!(of_machine(&directory.path().join("none")), [] as [String; 0]);
    }
}
