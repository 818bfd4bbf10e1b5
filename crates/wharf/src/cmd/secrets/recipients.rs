//! Who can read an application's secrets: the file of public keys, and the beginning of both files.

use anyhow::Context as _;
use serde_json::json;
use wharf_deploy::api::SecretsRecipient;
use wharf_secrets::{Document, Recipient, Recipients, header};

use super::place::{Place, public_keys};
use crate::cli::{Global, RecipientsAction};
use crate::context;
use crate::failure::usage;
use crate::output::{Output, Table};

/// What a new file begins with.
const BEGINNING: &str = "# One NAME=value per line; several lines in quotes.\n";

pub(super) async fn init(
    global: &Global,
    place: &Place,
    given: &[String],
    no_server: bool,
    output: Output,
) -> anyhow::Result<()> {
    for path in [&place.file, &place.recipients_file] {
        if path.exists() {
            return Err(usage(format!(
                "{} is there already\n  hint: `wharf secrets set NAME` puts a value in, `wharf secrets recipients add` a reader",
                path.display()
            )));
        }
    }
    let mut all = Vec::new();
    for text in given {
        all.extend(public_keys(text)?);
    }
    if given.is_empty() {
        all.extend(place.own_public_keys());
    }
    if all.is_empty() {
        return Err(usage(
            "you have no key that could read the secrets again\n  \
             hint: name a public key with --recipient, or make one with `wharf secrets keygen`",
        ));
    }
    if !no_server {
        all.push(of_server(global).await?);
    }
    let mut recipients = Recipients::default();
    for one in &all {
        recipients = recipients.with(one)?;
    }
    let document = Document::parse(BEGINNING).expect("a comment is a document");
    place.save_recipients(&recipients)?;
    place.save_for(&document, &recipients)?;
    let (file, keys) = (place.file.display().to_string(), place.recipients_file.display().to_string());
    let readers: Vec<String> = recipients.iter().map(shown).collect();
    output.result(&json!({ "file": file, "recipients_file": keys, "recipients": readers }), || {
        format!(
            "{file} and {keys} are made; they can be read by\n  {}\n\nBoth belong into the repository. \
             `wharf secrets set NAME` puts the first value in.",
            readers.join("\n  ")
        )
    })
}

pub(super) async fn run(
    global: &Global,
    place: &Place,
    action: RecipientsAction,
    output: Output,
) -> anyhow::Result<()> {
    match action {
        RecipientsAction::Ls => list(place, output),
        RecipientsAction::Add { keys, server_key } => {
            let mut new = Vec::new();
            for text in &keys {
                new.extend(public_keys(text)?);
            }
            if server_key {
                new.push(of_server(global).await?);
            }
            let before = place.recipients()?;
            let mut after = before.clone();
            for one in &new {
                after = after.with(one)?;
            }
            let count = anew(place, &after)?;
            let added: Vec<String> = new.iter().filter(|one| !before.has(one.key())).map(shown).collect();
            output.result(&json!({ "added": added, "recipients": count }), || match added.is_empty() {
                true => format!("nobody is new; {} is encrypted anew for {count}", place.file.display()),
                false => format!("can read {} now:\n  {}", place.file.display(), added.join("\n  ")),
            })
        }
        RecipientsAction::Rm { key } => {
            let before = place.recipients()?;
            let which = match public_keys(&key).ok().and_then(|keys| keys.into_iter().next()) {
                Some(recipient) => recipient.key().to_owned(),
                None => key.clone(),
            };
            let (after, gone) = before.without(&which)?;
            if gone == 0 {
                return Err(usage(format!(
                    "no recipient has the key or comment `{}`\n  hint: `wharf secrets recipients ls` lists them",
                    key.chars().take(120).collect::<String>()
                )));
            }
            let count = anew(place, &after)?;
            output.result(&json!({ "removed": gone, "recipients": count }), || {
                format!(
                    "{} is encrypted anew for {count}. Who was removed knows the values until now, and the repository \
                     keeps old versions of the file: change the values too.",
                    place.file.display()
                )
            })
        }
    }
}

/// Encrypts for `recipients`, then keeps them: a key that opens nothing is worse than one that is not listed yet.
fn anew(place: &Place, recipients: &Recipients) -> anyhow::Result<usize> {
    let document = place.open()?;
    let count = place.save_for(&document, recipients)?;
    place.save_recipients(recipients)?;
    Ok(count)
}

fn list(place: &Place, output: Output) -> anyhow::Result<()> {
    let recipients = place.recipients()?;
    let stanzas = header::stanzas(&place.sealed()?).with_context(|| place.file.display().to_string())?;
    let ages = stanzas.iter().filter(|stanza| stanza.kind == "X25519").count();
    let age_keys = recipients.iter().filter(|one| one.tag().is_none()).count();
    // age does not tell whose the age keys are: as many as there are to be is as much as can be known.
    let state = |one: &Recipient| match one.tag() {
        Some(_) if stanzas.iter().any(|stanza| stanza.is_for(one) == Some(true)) => "yes",
        None if ages == age_keys => "yes",
        None if ages > 0 => "perhaps",
        _ => "no",
    };
    let rows: Vec<(String, String, &str)> =
        recipients.iter().map(|one| (short(one), one.comment().to_owned(), state(one))).collect();
    let words = header::words(&place.sealed()?);
    let all: Vec<_> = recipients
        .iter()
        .map(|one| json!({ "key": one.key(), "comment": one.comment(), "encrypted_for": state(one) }))
        .collect();
    output.result(&json!({ "recipients": all }), || {
        let mut table = Table::new(&["KEY", "WHOSE", "ENCRYPTED FOR"]);
        for (key, comment, state) in &rows {
            table.row(vec![key.clone(), comment.clone(), (*state).to_owned()]);
        }
        let mut text = table.render();
        if rows.iter().any(|(.., state)| *state != "yes") || stanzas.len() != rows.len() {
            text.push_str(&format!(
                "\n{} is encrypted for {words}: `wharf secrets reencrypt` makes both agree",
                place.file.display()
            ));
        }
        text
    })
}

async fn of_server(global: &Global) -> anyhow::Result<Recipient> {
    let client = context::client(global)?;
    let answer: SecretsRecipient = client
        .get("/api/v1/secrets/recipient")
        .await
        .context("cannot ask the server for its key (--no-server does without)")?;
    Ok(Recipient::parse(&answer.recipient)?.with_comment(&format!("server {}", client.authority())))
}

fn shown(one: &Recipient) -> String {
    if one.comment().is_empty() { short(one) } else { format!("{} ({})", short(one), one.comment()) }
}

/// Enough of a key to know it by: its type and its end.
fn short(one: &Recipient) -> String {
    match one.key().split_once(' ') {
        Some((kind, body)) => format!("{kind} …{}", &body[body.len().saturating_sub(12)..]),
        None => one.key().to_owned(),
    }
}
