//! `wharf backup` and `wharf restore`: on the server's own machine.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use wharf_base::{Clock, SystemClock};

use crate::backup;
use crate::cli::{BackupArgs, Global, RestoreArgs};
use crate::failure::usage;
use crate::output::{Output, bytes};

/// These read and write a directory; a server of the command line would be ignored.
fn refuse_server(global: &Global) -> anyhow::Result<()> {
    match global.server_option() {
        Some(server) => Err(usage(format!(
            "--server {server}: this works on files of the server's own machine\n  hint: run it there, with --data DIR"
        ))),
        None => Ok(()),
    }
}

pub(super) async fn make(global: &Global, arguments: BackupArgs, output: Output) -> anyhow::Result<()> {
    refuse_server(global)?;
    let data = std::path::absolute(global.data())?;
    let now = SystemClock.now();
    let to: PathBuf = match arguments.to {
        Some(to) if to.is_dir() => to.join(backup::file_name(now)),
        Some(to) => to,
        None => {
            let directory = backup::default_directory(&data);
            if data.is_dir() {
                wharf_disk::atomic::create_directory(&directory)?;
            }
            directory.join(backup::file_name(now))
        }
    };
    output.progress("backing up …");
    let made = backup::make(&data, &to, now).await;
    output.progress_done();
    let made =
        made.map_err(|error| backup::explain_damage(error, &data, &backup::default_directory(&data)))?;
    let size =
        std::fs::metadata(&made.file).with_context(|| format!("cannot read {}", made.file.display()))?.len();
    let files = made.manifest.files.len();
    output.result(&json!({ "file": &made.file, "bytes": size, "files": files }), || {
        format!(
            "{} ({}, {files} files)\nIt holds the CA's key: keep it where only you can read it. The registry's images are not in it.",
            made.file.display(),
            bytes(size)
        )
    })
}

pub(super) fn restore(global: &Global, arguments: RestoreArgs, output: Output) -> anyhow::Result<()> {
    refuse_server(global)?;
    let (from, data) = (arguments.file, global.data());
    let restored = backup::restore(&from, data, arguments.force, SystemClock.now())?;
    let files: Vec<&str> = restored.manifest.files.iter().map(|file| file.path.as_str()).collect();
    let value = json!({
        "data": data,
        "created": restored.manifest.created,
        "writer": &restored.manifest.writer,
        "files": &files,
        "aside": &restored.aside,
    });
    output.result(&value, || {
        let mut text = format!(
            "Restored {} files of {} ({}) into {}",
            files.len(),
            restored.manifest.created,
            restored.manifest.writer,
            data.display()
        );
        if let Some(aside) = &restored.aside {
            text.push_str(&format!("\nWhat was there is in {}", aside.display()));
        }
        text.push_str(&format!("\nNow run: wharf up --data {}", data.display()));
        text
    })
}
