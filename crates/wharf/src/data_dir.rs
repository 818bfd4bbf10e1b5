//! The data directory: nobody but its owner may look into it, as keys and records that hold secrets are there.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::Context as _;

/// Files that only a data directory of ours has.
const OURS: [&str; 4] = ["lock", "state.db", "identity.json", "ca"];

/// Makes `data` if need be, with mode 0700, and gives that mode to one that an earlier wharf has made wider. A
/// directory that holds other people's files, such as `/srv`, keeps its mode, and a warning says so.
pub(crate) fn make_private(data: &Path) -> anyhow::Result<()> {
    let make = || -> std::io::Result<bool> {
        if !data.is_dir() {
            if let Some(parent) = data.parent() {
                std::fs::create_dir_all(parent)?;
            }
            DirBuilder::new().mode(0o700).create(data)?;
        }
        let is_ours = OURS.iter().any(|name| data.join(name).exists());
        if !is_ours && std::fs::read_dir(data)?.next().is_some() {
            return Ok(false);
        }
        std::fs::set_permissions(data, Permissions::from_mode(0o700))?;
        Ok(true)
    };
    let is_private = make().with_context(|| format!("cannot use the directory {}", data.display()))?;
    if !is_private {
        tracing::warn!(
            directory = %data.display(),
            "there are other files in the data directory, so its mode stays; others may read what Wharf keeps there"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_and_own_directories_become_private_and_others_stay() {
        let scratch = wharf_test_support::temp_dir();
        let new = scratch.path().join("a/new");
        make_private(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        std::fs::write(new.join("state.db"), "").unwrap();
        std::fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        make_private(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        let shared = scratch.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::write(shared.join("letter"), "").unwrap();
        std::fs::set_permissions(&shared, Permissions::from_mode(0o755)).unwrap();
        make_private(&shared).unwrap();
        assert_eq!(mode(&shared), 0o755);
    }
}
