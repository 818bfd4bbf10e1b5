//! A small file system in memory, mounted for one test.

use std::path::Path;
use std::process::Command;

use wharf_test_support::{TempDir, temp_dir};

pub(crate) struct Disk {
    directory: TempDir,
}

impl Disk {
    /// With so many KiB.
    pub(crate) fn mount(kib: u32) -> Disk {
        let disk = Disk { directory: temp_dir() };
        let size = format!("size={kib}k,mode=0700");
        mount(&["-t", "tmpfs", "-o", &size, "wharf-test"], disk.path());
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Nothing may be open for writing.
    pub(crate) fn make_read_only(&self) {
        mount(&["-o", "remount,ro"], self.path());
    }
}

fn mount(arguments: &[&str], path: &Path) {
    let status = Command::new("mount").args(arguments).arg(path).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a thread may still be closing its file.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
