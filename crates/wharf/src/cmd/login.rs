//! `wharf login` and `wharf logout`.

use std::io::{BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context as _;
use serde_json::json;

use crate::cli::{Global, LoginArgs};
use crate::context::{LOCAL_SERVER, Login, connect, login_path};
use crate::failure::usage;
use crate::output::Output;

pub(super) async fn login(global: &Global, arguments: LoginArgs, output: Output) -> anyhow::Result<()> {
    let url = match (arguments.url, global.server_option()) {
        (Some(url), Some(server)) if url != server => {
            return Err(usage(format!(
                "{url} and --server {server} are two servers\n  hint: name the one to log in at: wharf login {url}"
            )));
        }
        (Some(url), _) => url,
        (None, _) => global.server.clone().unwrap_or_else(|| LOCAL_SERVER.to_owned()),
    };
    let token = match &global.token {
        Some(token) => token.clone(),
        None => {
            eprintln!("Token (`wharf up` wrote one to <data>/token), then Enter:");
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            line.trim().to_owned()
        }
    };
    if token.is_empty() {
        return Err(usage("no token given\n  hint: wharf login URL --token TOKEN"));
    }
    let ca = arguments
        .ca
        .as_ref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())))
        .transpose()?;
    let client = connect(&url, Some(token.clone()), ca.as_deref())?;
    let session: serde_json::Value = client.get("/api/v1/session").await?;
    let path = login_path()?;
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let aside = path.with_extension("new");
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        let login = Login { server: url.clone(), token, ca };
        file.write_all(&serde_json::to_vec_pretty(&login)?)?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    output.result(&session, || {
        let word = |key: &str| session[key].as_str().unwrap_or("?").to_owned();
        let until = session["expires"].as_i64().map(|at| format!(", until {}", wharf_base::UnixMillis(at)));
        format!("Logged in at {url} as {} ({}){}", word("name"), word("role"), until.unwrap_or_default())
    })
}

pub(super) fn logout(output: Output) -> anyhow::Result<()> {
    let path = login_path()?;
    let was_there = match std::fs::remove_file(&path) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot remove {}", path.display())),
    };
    output.result(&json!({ "forgotten": was_there }), || {
        if was_there { "Logged out".to_owned() } else { "There was no login".to_owned() }
    })
}
