//! How a command fails: what is printed and with which exit status. Decided here and nowhere else.

use std::process::ExitCode;

use wharf_base::ErrorCode;

use crate::output::ClosedPipe;

/// Wrong usage: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

/// An error for wrong usage; `message` may end with a line `  hint: …`.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// The work failed and everything about it has been printed already: exit status 1 and no further message.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct Reported;

/// A command elsewhere ended with this status, which becomes ours.
#[derive(Debug, thiserror::Error)]
#[error("the command ended with status {0}")]
pub(crate) struct Exited(pub(crate) u8);

/// Prints `error` to standard error and says how the process ends.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<ClosedPipe>() {
        return ExitCode::SUCCESS;
    }
    if let Some(Exited(status)) = error.downcast_ref() {
        return ExitCode::from(*status);
    }
    if error.is::<Reported>() {
        return ExitCode::FAILURE;
    }
    let text = message(error);
    match hint(error) {
        // Ours knows the command line; the server's own hint is for all clients of its API.
        Some(hint) => {
            let text = text.split_once("\n  hint: ").map_or(text.as_str(), |(text, _)| text);
            eprintln!("wharf: {text}\n  hint: {hint}");
        }
        None => eprintln!("wharf: {text}"),
    }
    ExitCode::from(status(error))
}

/// The chain of causes as one sentence, each cause once; a hint of any of them comes last.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut hint = None;
    for cause in error.chain() {
        let cause = cause.to_string();
        let (cause, its_hint) = match cause.split_once("\n  hint: ").or_else(|| cause.split_once("; hint: "))
        {
            Some((cause, hint)) => (cause.to_owned(), Some(hint.to_owned())),
            None => (cause, None),
        };
        hint = hint.or(its_hint);
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    match hint {
        Some(hint) => format!("{text}\n  hint: {hint}"),
        None => text,
    }
}

/// A hint that is better here than what the error may carry itself.
fn hint(error: &anyhow::Error) -> Option<String> {
    let Some(http) = error.downcast_ref::<wharf_http::Error>() else { return file_hint(error) };
    match http {
        wharf_http::Error::Connect { peer, .. } => Some(format!(
            "is the server running? start it with `wharf up`, or name another with --server (tried {peer})"
        )),
        wharf_http::Error::Api(api) if api.code == ErrorCode::Unauthenticated => Some(
            "give a token with --token, WHARF_TOKEN or `wharf login`; on the server's machine --data DIR finds the first one"
                .to_owned(),
        ),
        wharf_http::Error::Api(api) if api.code == ErrorCode::NotFound => not_found_hint(&api.message),
        wharf_http::Error::Tls { peer, reason } if reason.contains("InvalidContentType") => {
            Some(format!("does {peer} speak plain HTTP? then write http://{peer}"))
        }
        wharf_http::Error::Tls { reason, .. } if reason.contains("certificate") => Some(
            "trust the server's own CA: wharf login URL --ca FILE, with its <data>/ca/ca.pem".to_owned(),
        ),
        wharf_http::Error::Exchange { peer, source }
            if source.is_parse() || source.is_incomplete_message() =>
        {
            Some(format!("does {peer} speak TLS? then write https://{peer}; else see whether the server runs"))
        }
        wharf_http::Error::Answer { peer, .. } => Some(format!(
            "is {peer} the API of a Wharf server? it listens on port 7700 unless api.listen says otherwise"
        )),
        _ => None,
    }
}

/// What lists the things of which one was not found.
fn not_found_hint(message: &str) -> Option<String> {
    let lists = [("no application", "wharf apps"), ("no repository", "wharf registry ls")];
    let (_, command) = lists.into_iter().find(|(what, _)| message.contains(what))?;
    Some(format!("`{command}` lists them"))
}

/// For a file that can't be read.
fn file_hint(error: &anyhow::Error) -> Option<String> {
    let message = error.to_string();
    if !message.starts_with("cannot read") || message.contains("hint: ") {
        return None;
    }
    match error.root_cause().downcast_ref::<std::io::Error>()?.kind() {
        std::io::ErrorKind::NotFound => {
            let folder = std::env::current_dir().ok()?;
            Some(format!("there is no such file; paths are relative to {}", folder.display()))
        }
        std::io::ErrorKind::PermissionDenied => Some("run this as the user who owns the file".to_owned()),
        std::io::ErrorKind::IsADirectory => Some("it is a directory; name the file".to_owned()),
        _ => None,
    }
}

fn status(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() {
        return 2;
    }
    match error.downcast_ref::<wharf_http::Error>() {
        Some(http) => http.code().exit_status(),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_chained_once_and_the_hint_comes_last() {
        let error = usage("no such file\n  hint: look again").context("cannot read x: no such file");
        assert_eq!(message(&error), "cannot read x: no such file\n  hint: look again");
        let inline = anyhow::anyhow!("in use").context("cannot listen; hint: take another");
        assert_eq!(message(&inline), "cannot listen: in use\n  hint: take another");
        assert_eq!(status(&usage("x")), 2);
        assert_eq!(status(&anyhow::anyhow!("x")), 1);
    }

    #[test]
    fn what_was_not_found_is_listed_by_a_command() {
        let hint_of = |message: &str| {
            let api = wharf_http::ApiError::new(ErrorCode::NotFound, message);
            hint(&wharf_http::Error::Api(api).into())
        };
        let apps = hint_of("there is no application `x`\n  hint: `wharf ps` lists them");
        assert_eq!(apps.as_deref(), Some("`wharf apps` lists them"));
        assert_eq!(hint_of("no repository x").as_deref(), Some("`wharf registry ls` lists them"));
        assert_eq!(hint_of("there is no deploy 7"), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_looked_for_from_here() {
        let missing = anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::NotFound));
        assert!(hint(&missing.context("cannot read x.yaml")).unwrap().contains("relative to"));
        let other = anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(hint(&other.context("cannot start")), None);
    }
}
