//! Makes an Engine trust our registry's certificate.
//!
//! dockerd reads `/etc/docker/certs.d/<host:port>/ca.crt` anew for each pull and push (docker/docs, "Verify
//! repository client with certificates"), so no restart is needed. The file is replaced by a rename: an Engine that
//! reads meanwhile sees the old certificate or the new one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Writes `ca_pem` as the trusted CA of the registry at `address` (`host:port`) below `certs_dir`, which is
/// `/etc/docker/certs.d` on a real host. Returns whether anything changed.
///
/// The file is on disk when this returns.
pub async fn trust_registry(certs_dir: &Path, address: &str, ca_pem: &str) -> Result<bool, Error> {
    let folder = certs_dir.join(folder_name(address)?);
    let content = ca_pem.as_bytes().to_vec();
    let write = move || replace(&folder, "ca.crt", &content);
    // A panic of the closure is a defect of ours; it has none to raise.
    tokio::task::spawn_blocking(write)
        .await
        .expect("file writing does not panic")
        .map_err(|(path, source)| Error::File { doing: "write", path, source })
}

/// The address as one path component: `10.77.0.1:5000`, `registry.example.com`, `[::1]:5000`.
fn folder_name(address: &str) -> Result<&str, Error> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if address.is_empty() || address.starts_with('.') || !address.chars().all(is_good) {
        return Err(Error::Malformed(address.chars().take(80).collect(), "registry address"));
    }
    Ok(address)
}

fn replace(folder: &Path, name: &str, content: &[u8]) -> Result<bool, (PathBuf, io::Error)> {
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    // One name per process: two writers of one host can't meet in one file.
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    let steps = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = fs::File::create(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        fs::File::open(folder)?.sync_all()
    };
    steps().map(|()| true).map_err(|error| {
        // The aside file is ours alone and worthless; that it may be missing is fine.
        let _ = fs::remove_file(&aside);
        (path.clone(), error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn certificate_is_written_once_and_replaced() {
        let dir = wharf_test_support::temp_dir();
        let path = dir.path().join("10.77.0.1:5000/ca.crt");
        assert!(trust_registry(dir.path(), "10.77.0.1:5000", "one").await.unwrap());
        assert!(!trust_registry(dir.path(), "10.77.0.1:5000", "one").await.unwrap());
        assert!(trust_registry(dir.path(), "10.77.0.1:5000", "two").await.unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn address_cannot_leave_the_folder() {
        let dir = wharf_test_support::temp_dir();
        for bad in ["", "..", "a/b", "../x:1", "a b"] {
            assert!(matches!(trust_registry(dir.path(), bad, "x").await, Err(Error::Malformed(..))), "{bad}");
        }
    }
}
