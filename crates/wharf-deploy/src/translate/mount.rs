//! Mounts: volumes by their real names, host paths as they are, relative paths as copies that travel.

use wharf_compose::project::{self, Mount, MountKind, Propagation, Selinux};
use wharf_model::{FileBundle, MountOptions, MountSource, MountSpec};

use super::service::Input;
use super::{TranslateError, names};

/// Translates one mount and adds the files that it needs to `bundles`.
pub(super) fn translate(
    input: &Input<'_>,
    mount: &Mount,
    bundles: &mut Vec<FileBundle>,
) -> Result<MountSpec, TranslateError> {
    let source = match (mount.kind, mount.source.as_deref()) {
        (MountKind::Volume, Some(key)) => {
            if !input.project.volumes.contains_key(key) {
                return Err(TranslateError::new(
                    input.place("volumes"),
                    format!("the volume `{key}` is not declared"),
                    format!("add `{key}:` under the top-level `volumes:`"),
                ));
            }
            MountSource::Volume(names::volume(input.app, input.project, key))
        }
        (MountKind::Volume, None) => MountSource::Anonymous,
        (MountKind::Tmpfs, _) => MountSource::Tmpfs,
        (MountKind::Bind, Some(path)) if path.starts_with('/') => MountSource::HostPath(path.to_owned()),
        (MountKind::Bind, Some(path)) => {
            let bundle = relative(input, path, mount.read_only)?;
            let source = MountSource::Files(bundle.digest.to_string());
            bundles.push(bundle);
            source
        }
        (MountKind::Bind, None) => {
            return Err(TranslateError::new(
                input.place("volumes"),
                format!("the bind mount at {} has no source", mount.target),
                "add `source:` with a path",
            ));
        }
    };
    Ok(MountSpec {
        source,
        target: mount.target.clone(),
        read_only: mount.read_only,
        options: options(&mount.options),
    })
}

fn options(options: &project::MountOptions) -> MountOptions {
    MountOptions {
        propagation: options.propagation.map(propagation).map(str::to_owned),
        selinux: options.selinux.map(|label| match label {
            Selinux::Shared => 'z',
            Selinux::Private => 'Z',
        }),
        must_exist: options.create_host_path == Some(false),
        no_copy: options.no_copy,
        size_bytes: options.size_bytes,
        mode: options.mode,
        ..MountOptions::default()
    }
}

fn propagation(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Private => "private",
        Propagation::Rprivate => "rprivate",
        Propagation::Shared => "shared",
        Propagation::Rshared => "rshared",
        Propagation::Slave => "slave",
        Propagation::Rslave => "rslave",
    }
}

fn relative(input: &Input<'_>, path: &str, read_only: bool) -> Result<FileBundle, TranslateError> {
    if !read_only {
        return Err(TranslateError::new(
            input.place("volumes"),
            format!("`{path}` is mounted writable, but only a copy of it travels to the hosts"),
            format!("mount it read-only (`{path}:…:ro`), use a named volume for data, or an absolute path"),
        ));
    }
    let Some(file) = input.files.get(path) else {
        return Err(TranslateError::new(
            input.place("volumes"),
            format!("`{path}` did not come along with the deploy"),
            "deploy with the wharf command, which uploads what the file refers to",
        ));
    };
    Ok(FileBundle { digest: file.digest.clone(), size: file.size, is_file: file.is_file })
}
