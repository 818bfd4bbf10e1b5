//! What a Compose file refers to beside contexts and mounts, and only this machine has: configs, seccomp profiles,
//! Dockerfiles that stand in the Compose file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use wharf_compose::project::{FileSource, Project};

use super::super::project::Application;
use super::upload::Scratch;
use crate::failure::usage;

/// LIMIT: bytes of a config, as of Swarm's.
const CONFIG_SIZE_MAX: u64 = 1_000_000;

/// The archives of the configs that some service uses, by key.
pub(super) fn configs(application: &Application) -> anyhow::Result<BTreeMap<String, Scratch>> {
    let project = &application.project;
    let mut archives = BTreeMap::new();
    for config in project.services.values().flat_map(|service| &service.configs) {
        let Some(source) = project.configs.get(&config.source) else { continue };
        // The server says what to do about one that is external.
        if source.external || archives.contains_key(&config.source) {
            continue;
        }
        let content = content(&config.source, source, application)?;
        let archive = Scratch::new("config.tar")?;
        let mut tar = tar::Builder::new(std::fs::File::create(&archive.path)?);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        tar.append_data(&mut header, "config", content.as_slice())?;
        tar.into_inner()?.sync_all()?;
        archives.insert(config.source.clone(), archive);
    }
    Ok(archives)
}

fn content(key: &str, source: &FileSource, application: &Application) -> anyhow::Result<Vec<u8>> {
    if let Some(content) = &source.content {
        return Ok(content.clone().into_bytes());
    }
    if let Some(variable) = &source.environment {
        let value = application.variable(variable).ok_or_else(|| {
            usage(format!(
                "configs.{key}.environment: the variable `{variable}` is not set\n  hint: set it in the shell or in .env"
            ))
        })?;
        return Ok(value.into_bytes());
    }
    let Some(file) = &source.file else {
        return Err(usage(format!(
            "configs.{key}: it has no content\n  hint: add `file:`, `content:` or `environment:`"
        )));
    };
    let path = application.directory.join(file);
    let cannot = |why: String| {
        usage(format!(
            "configs.{key}.file: cannot read {}: {why}\n  hint: the path is relative to the Compose file",
            path.display()
        ))
    };
    let metadata = std::fs::metadata(&path).map_err(|error| cannot(error.to_string()))?;
    if metadata.is_dir() {
        return Err(cannot("it is a directory".to_owned()));
    }
    if metadata.len() > CONFIG_SIZE_MAX {
        return Err(cannot(format!(
            "it has {} bytes, and a config at most {CONFIG_SIZE_MAX}",
            metadata.len()
        )));
    }
    std::fs::read(&path).map_err(|error| cannot(error.to_string()))
}

/// Puts the content of seccomp profiles in the place of their paths, as Docker's own command does.
pub(super) fn read_profiles(project: &mut Project, directory: &Path) -> anyhow::Result<()> {
    for (name, service) in &mut project.services {
        for option in &mut service.security_opt {
            let profile = option.strip_prefix("seccomp").and_then(|rest| rest.strip_prefix([':', '=']));
            let Some(path) =
                profile.filter(|path| *path != "unconfined" && !path.trim_start().starts_with('{'))
            else {
                continue;
            };
            let path = directory.join(path);
            let cannot = |why: String| {
                usage(format!(
                    "services.{name}.security_opt: cannot read the seccomp profile {}: {why}\n  \
                     hint: the path is relative to the Compose file",
                    path.display()
                ))
            };
            let text = std::fs::read_to_string(&path).map_err(|error| cannot(error.to_string()))?;
            let profile: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| cannot(error.to_string()))?;
            *option = format!("seccomp={profile}");
        }
    }
    Ok(())
}

/// A Dockerfile that stands in the Compose file, as a file. Its time is always the same, so that the same text gives the same
/// context.
pub(super) fn inline_dockerfile(text: &str) -> anyhow::Result<Scratch> {
    let scratch = Scratch::new("Dockerfile")?;
    std::fs::write(&scratch.path, text).context("cannot write the Dockerfile of the Compose file")?;
    let file = std::fs::File::options().write(true).open(&scratch.path)?;
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
    Ok(scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(value: serde_json::Value) -> Project {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn profiles_are_read_and_what_is_none_stays() {
        let directory = wharf_test_support::temp_dir();
        std::fs::write(directory.path().join("p.json"), "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }").unwrap();
        let mut one = project(serde_json::json!({ "name": "shop", "services": { "web": { "security_opt": [
            "seccomp:p.json", "seccomp=unconfined", "no-new-privileges:true" ] } } }));
        read_profiles(&mut one, directory.path()).unwrap();
        let expected = [
            "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}",
            "seccomp=unconfined",
            "no-new-privileges:true",
        ];
        assert_eq!(one.services["web"].security_opt, expected);
        one.services.get_mut("web").unwrap().security_opt = vec!["seccomp=nope.json".to_owned()];
        let error = read_profiles(&mut one, directory.path()).unwrap_err().to_string();
        assert!(error.contains("services.web.security_opt") && error.contains("\n  hint: "), "{error}");
    }

    #[test]
    fn an_inline_dockerfile_has_always_the_same_time() {
        let file = inline_dockerfile("FROM scratch\n").unwrap();
        let modified = std::fs::metadata(&file.path).unwrap().modified().unwrap();
        assert_eq!(modified, std::time::SystemTime::UNIX_EPOCH);
    }
}
