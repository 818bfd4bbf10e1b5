//! `wharf secrets edit`: the clear text in the user's editor, in memory only.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::json;
use wharf_secrets::{Document, TEXT_BYTES_MAX, is_in_memory};
use zeroize::Zeroizing;

use super::place::Place;
use crate::failure::usage;
use crate::output::Output;

pub(super) fn run(place: &Place, output: Output) -> anyhow::Result<()> {
    let before = place.open()?;
    // Before anything is typed.
    let recipients = place.recipients()?;
    let editor = editor();
    let scratch = Scratch::new(before.text())?;
    let after = loop {
        scratch.edit(&editor)?;
        match Document::parse(&scratch.read()?) {
            Ok(document) => break document,
            Err(error) if std::io::stdin().is_terminal() => {
                eprintln!("wharf: {error}\nPress Enter to edit it again, Ctrl-C to give up.");
                anyhow::ensure!(
                    std::io::stdin().read_line(&mut String::new())? > 0,
                    "nothing was changed: {error}"
                );
            }
            Err(error) => return Err(usage(format!("nothing was changed: {error}"))),
        }
    };
    let is_changed = after != before;
    if is_changed {
        place.save_for(&after, &recipients)?;
    }
    let file = place.file.display().to_string();
    output.result(&json!({ "file": file, "changed": is_changed }), || match is_changed {
        true => format!("{file} is changed; `wharf deploy` brings it to the containers"),
        false => "nothing was changed".to_owned(),
    })
}

fn editor() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned())
}

/// A directory in memory with the one file, wiped and removed in the end.
struct Scratch {
    directory: PathBuf,
    file: PathBuf,
}

impl Scratch {
    fn new(text: &str) -> anyhow::Result<Scratch> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = runtime.into_iter().chain([PathBuf::from("/dev/shm"), PathBuf::from("/run")]);
        let base = places.into_iter().find(|place| {
            let is_writable =
                rustix::fs::access(place, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
            is_writable.is_ok() && is_in_memory(place).unwrap_or(false)
        });
        let base = base.context(
            "there is no directory in memory for the clear text\n  hint: set XDG_RUNTIME_DIR to one on a tmpfs",
        )?;
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let directory = base.join(format!("wharf-secrets-{}", wharf_base::hex(&random)));
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        // Editors know what to do with such a name.
        let scratch = Scratch { file: directory.join("secrets.env"), directory };
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&scratch.file)?;
        file.write_all(text.as_bytes())?;
        Ok(scratch)
    }

    fn edit(&self, editor: &str) -> anyhow::Result<()> {
        // As git does: the variable may hold arguments.
        let status = Command::new("sh")
            .args(["-c", &format!("{editor} \"$@\""), editor])
            .arg(&self.file)
            .status()
            .with_context(|| format!("cannot start the editor `{editor}`"))?;
        anyhow::ensure!(
            status.success(),
            "nothing was changed: the editor `{editor}` ended with {status}\n  hint: set EDITOR to the one that you use"
        );
        Ok(())
    }

    fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        let size = std::fs::metadata(&self.file)?.len();
        if size > TEXT_BYTES_MAX as u64 {
            return Err(usage(format!(
                "nothing was changed: the text is larger than {TEXT_BYTES_MAX} bytes"
            )));
        }
        let text = std::fs::read_to_string(&self.file);
        Ok(Zeroizing::new(text.context("nothing was changed: what was edited can't be read as text")?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        wipe(&self.directory);
        // Whatever else the editor has left goes with it.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Overwrites files before they go: their pages are given to others.
fn wipe(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let size = entry.metadata().map_or(0, |metadata| metadata.len()).min(TEXT_BYTES_MAX as u64);
        if let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(entry.path()) {
            let _ = file.write_all(&vec![0; usize::try_from(size).unwrap_or_default()]);
        }
    }
}
