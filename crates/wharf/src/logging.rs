//! Log lines of the program itself, on standard error.

use std::io::{IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};

/// Servers and agents log state changes; other commands only warnings. `-v` and `-vv` say more; `WHARF_LOG` takes a filter
/// such as `wharf_fleet=debug` (syntax of tracing's `EnvFilter`).
pub(crate) fn start(cli: &Cli) {
    let is_server = matches!(cli.command, Command::Up(_) | Command::Agent(_));
    let level = match (cli.global.verbose, is_server) {
        (0, false) => "warn",
        (0, true) | (1, false) => "info",
        (1, true) | (2.., _) => "debug",
    };
    // Libraries only speak up when something is wrong.
    let default =
        format!("warn,wharf={level},{}", OUR_CRATES.map(|name| format!("{name}={level}")).join(","));
    let filter = EnvFilter::try_from_env("WHARF_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Clean(std::io::stderr()))
        .with_ansi(std::io::stderr().is_terminal() && !is_plain)
        .with_target(is_server)
        .init();
}

/// Takes values of secrets out of each line.
struct Clean<W>(W);

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The formatter hands over whole lines.
        self.0.write_all(&wharf_secrets::Redactor::process().bytes(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

const OUR_CRATES: [&str; 14] = [
    "wharf_access",
    "wharf_balancer",
    "wharf_base",
    "wharf_bench",
    "wharf_console",
    "wharf_deploy",
    "wharf_disk",
    "wharf_docker",
    "wharf_fleet",
    "wharf_http",
    "wharf_image",
    "wharf_lab",
    "wharf_registry",
    "wharf_secrets",
];
