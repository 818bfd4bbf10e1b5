//! The repository's rules. Each returns a message per place that breaks it.

use std::path::{Path, PathBuf};

use crate::layers::{DEV_ONLY, LAYERS, PURE, layer_of};
use crate::workspace::{Package, Workspace};

/// Checks every rule.
pub(crate) fn check(workspace: &Workspace) -> Vec<String> {
    let ours: Vec<&Package> =
        workspace.packages.iter().filter(|package| package.name.starts_with("wharf")).collect();
    let mut broken = Vec::new();
    every_crate_has_a_layer(&ours, &mut broken);
    for package in &ours {
        edges_go_down(package, &mut broken);
        pure_crates_are_pure(package, &mut broken);
        lints_are_the_workspaces(package, &mut broken);
        files_can_be_read(package, &workspace.root, &mut broken);
    }
    broken
}

fn every_crate_has_a_layer(packages: &[&Package], broken: &mut Vec<String>) {
    for package in packages {
        if layer_of(&package.name).is_none() && !DEV_ONLY.contains(&package.name.as_str()) {
            broken.push(format!("{} has no layer in xtask/src/layers.rs", package.name));
        }
    }
    for name in LAYERS.iter().flat_map(|(_, crates)| *crates) {
        if !packages.iter().any(|package| package.name == *name) {
            broken.push(format!("{name} is in xtask/src/layers.rs but not in the workspace"));
        }
    }
}

fn edges_go_down(package: &Package, broken: &mut Vec<String>) {
    for dependency in &package.dependencies {
        let is_dev = dependency.kind.as_deref() == Some("dev");
        if DEV_ONLY.contains(&dependency.name.as_str()) && !is_dev {
            broken.push(format!("{} uses {}, which is for tests only", package.name, dependency.name));
        }
        let (Some(from), Some(to)) = (layer_of(&package.name), layer_of(&dependency.name)) else {
            continue;
        };
        // Base words may build on each other's layer only downwards; tests may look sideways at real peers.
        if to >= from && !is_dev {
            broken.push(format!(
                "{} ({}) must not use {} ({}): only lower layers",
                package.name, LAYERS[from].0, dependency.name, LAYERS[to].0
            ));
        }
    }
}

fn pure_crates_are_pure(package: &Package, broken: &mut Vec<String>) {
    if !PURE.contains(&package.name.as_str()) {
        return;
    }
    for dependency in package.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
        let brings_runtime = dependency.features.iter().any(|feature| feature == "runtime");
        if dependency.name == "tokio" || brings_runtime {
            broken.push(format!("{} is a pure language and must not use {}", package.name, dependency.name));
        }
    }
    for (path, text) in sources(package) {
        for word in ["std::fs", "std::net", "SystemTime", "Instant::now"] {
            if text.contains(word) {
                broken.push(format!("{}: a pure language must not use {word}", path.display()));
            }
        }
    }
}

/// `unsafe` is forbidden by the workspace's lints; a crate that does not take them could use it unseen.
fn lints_are_the_workspaces(package: &Package, broken: &mut Vec<String>) {
    let manifest = std::fs::read_to_string(&package.manifest_path).unwrap_or_default();
    if !manifest.contains("[lints]\nworkspace = true") {
        broken.push(format!("{} does not take the workspace's lints", package.name));
    }
}

/// LIMIT: a file above this many lines holds more than one idea.
const LINES_MAX: usize = 700;

fn files_can_be_read(package: &Package, root: &Path, broken: &mut Vec<String>) {
    for (path, text) in sources(package) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            broken.push(format!("{shown} has {lines} lines, more than {LINES_MAX}: split it by noun"));
        }
    }
}

fn sources(package: &Package) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![package.manifest_path.with_file_name("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                files.push((path, text));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    #[test]
    fn the_repository_keeps_its_rules() {
        let broken = check(&Workspace::load().unwrap());
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    fn package(name: &str, dependency: &str, kind: Option<&str>) -> Package {
        let dependency =
            Dependency { name: dependency.to_owned(), kind: kind.map(str::to_owned), features: Vec::new() };
        Package { name: name.to_owned(), manifest_path: PathBuf::new(), dependencies: vec![dependency] }
    }

    #[test]
    fn a_wrong_edge_is_found() {
        for (from, to, kind, is_wrong) in [
            ("wharf-deploy", "wharf-fleet", None, true),
            ("wharf-base", "wharf-model", None, true),
            ("wharf-http", "wharf-state", None, true),
            ("wharf-deploy", "wharf-model", None, false),
            ("wharf-deploy", "wharf-fleet", Some("dev"), false),
            ("wharf", "wharf-test-support", None, true),
        ] {
            let mut broken = Vec::new();
            edges_go_down(&package(from, to, kind), &mut broken);
            assert_eq!(!broken.is_empty(), is_wrong, "{from} -> {to}: {broken:?}");
        }
    }
}
