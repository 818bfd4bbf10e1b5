//! What a deploy would say about a project, without building, uploading or asking anybody: for `wharf compose check`.

use std::collections::BTreeMap;

use wharf_base::Digest;
use wharf_compose::Places;
use wharf_compose::project::{MountKind, Project};
use wharf_model::{Name, SecretRef};

use crate::secrets;
use crate::translate::{self, TranslateError, UploadedFile};

/// Makes containers of the project, as if all images were built, all files uploaded and all secrets known, and throws them away.
///
/// Returns what people should know, in words. Errors: the first thing that containers can't get, with the place of its
/// key in the files.
pub fn check(project: &Project, places: &Places) -> Result<Vec<String>, TranslateError> {
    let app: Name = project.name.parse().map_err(|error| {
        let hint = "name the application otherwise: `name:`, or `--app NAME`";
        located(TranslateError::new("name", format!("{error}"), hint), places)
    })?;
    let images = project.services.iter().filter(|(_, service)| service.build.is_some());
    let images = images.map(|(name, _)| (name.clone(), "built".to_owned())).collect();
    let binds = project.services.values().flat_map(|service| &service.volumes);
    let binds = binds.filter(|mount| mount.kind == MountKind::Bind).filter_map(|mount| mount.source.clone());
    let configs = project.configs.keys().map(|key| translate::config_upload(key));
    let uploaded = || UploadedFile { digest: Digest::from_sha256([0; 32]), size: 0, is_file: false };
    let files: BTreeMap<String, UploadedFile> =
        binds.chain(configs).map(|source| (source, uploaded())).collect();
    let known = |name: &String| SecretRef { name: name.clone(), fingerprint: String::new() };
    let secrets = secrets::used(project).keys().map(|name| (name.clone(), known(name))).collect();
    let model = translate::translate(&app, project, &images, &files, &secrets)
        .map_err(|error| located(error, places))?;
    Ok(model.warnings)
}

/// Says in which file and line the key stands.
pub(crate) fn located(error: TranslateError, places: &Places) -> TranslateError {
    match places.find(&error.place) {
        Some(place) => TranslateError { place: format!("{place}: {}", error.place), ..error },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_carried_out_has_its_file_and_line() {
        let places: Places = serde_json::from_str(r#"{"services.web.ports": "compose.yaml:9:5"}"#).unwrap();
        let error = |place: &str| TranslateError::new(place, "no", "none");
        let known = located(error("services.web.ports"), &places);
        assert_eq!(known.to_string(), "compose.yaml:9:5: services.web.ports: no\n  hint: none");
        assert_eq!(located(error("networks.front"), &places), error("networks.front"));
    }

    #[test]
    fn a_project_is_checked_without_images_and_files() {
        let project = |services: serde_json::Value| -> Project {
            serde_json::from_value(serde_json::json!({ "name": "shop", "services": services })).unwrap()
        };
        let route = |path: &str| {
            serde_json::json!({
                "build": { "context": "." },
                "volumes": [{ "kind": "bind", "source": "conf", "target": "/conf", "read_only": true }],
                "x_wharf": { "route": { "host": null, "path": path, "port": 80, "balance": "round_robin", "timeout": null } },
            })
        };
        let good = project(serde_json::json!({ "web": route("/") }));
        let warnings = check(&good, &Places::default()).unwrap();
        assert!(warnings.iter().any(|warning| warning.contains("no health check")), "{warnings:?}");
        let clash = project(serde_json::json!({ "api": route("/"), "web": route("/") }));
        let places: Places =
            serde_json::from_str(r#"{"services.web": "a.yaml:5:3", "services.api": "a.yaml:2:3"}"#).unwrap();
        let error = check(&clash, &places).unwrap_err().to_string();
        assert!(error.starts_with("a.yaml:5:3: services.web.x-wharf.route: `api` has the route"), "{error}");
    }
}
