//! `configs` of a service: files that travel with the application and are mounted read-only.

use wharf_compose::project::FileMount;
use wharf_model::{FileBundle, FileOwner, MountOptions, MountSource, MountSpec};

use super::service::Input;
use super::{TranslateError, config_upload};

/// Permission bits where the file says who owns it but not these (compose-spec, `configs`).
const DEFAULT_MODE: u32 = 0o444;

/// The mount of one config; its file goes to `bundles`.
pub(super) fn translate(
    input: &Input<'_>,
    config: &FileMount,
    bundles: &mut Vec<FileBundle>,
) -> Result<MountSpec, TranslateError> {
    let place = || input.place(&format!("configs.{}", config.source));
    let Some(source) = input.project.configs.get(&config.source) else {
        return Err(TranslateError::new(
            place(),
            format!("the config `{}` is not declared", config.source),
            format!("add `{}:` under the top-level `configs:`", config.source),
        ));
    };
    if source.external {
        return Err(TranslateError::new(
            format!("configs.{}.external", config.source),
            "an Engine keeps no configs; only Swarm does",
            "give the content with `file:`, `content:` or `environment:`",
        ));
    }
    let Some(file) = input.files.get(&config_upload(&config.source)) else {
        return Err(TranslateError::new(
            place(),
            format!("the config `{}` did not come along with the deploy", config.source),
            "deploy with the wharf command, which uploads what the file refers to",
        ));
    };
    if !file.is_file {
        return Err(TranslateError::new(
            format!("configs.{}.file", config.source),
            "it is a directory",
            "name a file, or mount the directory under `volumes`",
        ));
    }
    bundles.push(FileBundle { digest: file.digest.clone(), size: file.size, is_file: true });
    Ok(MountSpec {
        source: MountSource::Files(file.digest.to_string()),
        target: config.target.clone(),
        read_only: true,
        options: MountOptions { owner: owner(input, config)?, ..MountOptions::default() },
    })
}

/// Whose the file is; `None` leaves it root's and readable for all.
fn owner(input: &Input<'_>, config: &FileMount) -> Result<Option<FileOwner>, TranslateError> {
    if config.uid.is_none() && config.gid.is_none() && config.mode.is_none() {
        return Ok(None);
    }
    let number = |key: &str, text: &Option<String>| match text {
        None => Ok(0),
        Some(text) => text.parse::<u32>().map_err(|_| {
            TranslateError::new(
                input.place(&format!("configs.{}.{key}", config.source)),
                format!("`{text}` is a name, and which number it has only the image knows"),
                "write the number",
            )
        }),
    };
    Ok(Some(FileOwner {
        uid: number("uid", &config.uid)?,
        gid: number("gid", &config.gid)?,
        mode: config.mode.unwrap_or(DEFAULT_MODE),
    }))
}
