//! `wharf secrets`: the encrypted file of an application, in its repository.
//!
//! All of it happens here, with the user's own key; of the server only its public key is asked for. Nothing in clear is
//! written to a disk, printed unasked, or given to another program but the user's editor.

mod edit;
mod place;
mod prompt;
mod recipients;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use wharf_secrets::{Document, VALUE_BYTES_MAX, is_name};
use zeroize::Zeroizing;

use crate::cli::{Global, SecretsAction, SecretsArgs};
use crate::failure::usage;
use crate::output::Output;

use place::Place;

pub(super) async fn run(global: &Global, arguments: SecretsArgs, output: Output) -> anyhow::Result<()> {
    let place = Place::new(arguments.file, arguments.identities);
    match arguments.action {
        SecretsAction::Init { recipients, no_server } => {
            recipients::init(global, &place, &recipients, no_server, output).await
        }
        SecretsAction::Ls => list(&place, output),
        SecretsAction::Set { name, from } => set(&place, &name, from.as_deref(), output),
        SecretsAction::Get { name } => get(&place, &name, output),
        SecretsAction::Rm { names } => remove(&place, &names, output),
        SecretsAction::Edit => edit::run(&place, output),
        SecretsAction::Recipients(action) => recipients::run(global, &place, action, output).await,
        SecretsAction::Reencrypt => {
            let document = place.open()?;
            let count = place.save(&document)?;
            let file = place.file.display().to_string();
            output.result(&json!({ "file": file, "recipients": count }), || {
                format!("{file} is encrypted anew for {count} recipients")
            })
        }
        SecretsAction::Keygen { to } => keygen(to, output),
    }
}

fn list(place: &Place, output: Output) -> anyhow::Result<()> {
    let document = place.open()?;
    let names: Vec<&str> = document.names().collect();
    output.result(&json!({ "file": place.file.display().to_string(), "names": names }), || {
        if names.is_empty() {
            return format!(
                "{} holds nothing yet. `wharf secrets set NAME` puts something in.",
                place.file.display()
            );
        }
        names.join("\n")
    })
}

fn set(place: &Place, name: &str, from: Option<&Path>, output: Output) -> anyhow::Result<()> {
    if let Some((name, _)) = name.split_once('=') {
        return Err(usage(format!(
            "a value on the command line can be seen by everybody on this machine\n  \
             hint: `wharf secrets set {name}` asks for it, or reads it from standard input; take this one as known"
        )));
    }
    if !is_name(name) {
        return Err(usage(format!(
            "`{}` can't name a secret\n  hint: letters, digits, `_`, `.` and `-`",
            name.chars().take(80).collect::<String>()
        )));
    }
    // First what may fail: nobody types a password for nothing.
    let document = place.open()?;
    let is_new = document.get(name).is_none();
    let value = value(name, from)?;
    let count = place.save(&document.with(name, &value)?)?;
    output.result(&json!({ "name": name, "new": is_new, "recipients": count }), || {
        let what = if is_new { "added" } else { "changed" };
        format!("{name} {what} in {}; `wharf deploy` brings it to the containers", place.file.display())
    })
}

/// From a file as it is; else without the newline at its end.
fn value(name: &str, from: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    if let Some(path) = from {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        return text(file, &path.display().to_string());
    }
    if std::io::stdin().is_terminal() {
        return prompt::hidden(&format!("Value of {name}: "));
    }
    let value = text(std::io::stdin().lock(), "standard input")?;
    let line = value.strip_suffix('\n').unwrap_or(&value);
    Ok(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn text(reader: impl std::io::Read, what: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = reader.take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {what}"))?;
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(usage(format!("the value is larger than {VALUE_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        usage("the value is no text\n  hint: encode it, with base64 for example; or use `file:` under `secrets:`")
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn get(place: &Place, name: &str, output: Output) -> anyhow::Result<()> {
    let document = place.open()?;
    let value = document.get(name).ok_or_else(|| unknown(&document, name))?;
    if output.is_json() {
        return output.result(&json!({ "name": name, "value": value }), String::new);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(value.as_bytes())?;
    // People want their prompt on a line of its own; a file wants the value as it is.
    if std::io::stdout().is_terminal() && !value.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn remove(place: &Place, names: &[String], output: Output) -> anyhow::Result<()> {
    let mut document = place.open()?;
    for name in names {
        document = document.without(name).ok_or_else(|| unknown(&document, name))?;
    }
    place.save(&document)?;
    output.result(&json!({ "removed": names }), || format!("removed: {}", names.join(", ")))
}

fn unknown(document: &Document, name: &str) -> anyhow::Error {
    let name: String = name.chars().take(128).collect();
    let hint = match wharf_base::suggest(&name, document.names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`wharf secrets ls` lists them".to_owned(),
    };
    anyhow::anyhow!("there is no secret `{name}`\n  hint: {hint}")
}

fn keygen(to: Option<PathBuf>, output: Output) -> anyhow::Result<()> {
    let path = match to {
        Some(path) => path,
        None => place::own_identity()?,
    };
    if path.exists() {
        return Err(usage(format!(
            "{} is there already\n  hint: a key is never replaced; name another file with --to",
            path.display()
        )));
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let (text, public) = wharf_secrets::generate_identity();
    wharf_disk::atomic::write_private(&path, text.as_bytes())?;
    output.result(&json!({ "file": path.display().to_string(), "recipient": public }), || {
        format!(
            "{public}\n\nThe private key is in {} (0600): keep a copy where you keep such things.",
            path.display()
        )
    })
}
