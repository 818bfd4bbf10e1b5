//! Which server a command talks to, and with which token.
//!
//! Order: the command line and environment, then `wharf login`, then this machine: http://127.0.0.1:7700 with the
//! token in `<data>/token`, which only the server's own machine has (`data` is ./wharf-data or, where the package's
//! unit runs, /var/lib/wharf-server).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use wharf_http::pki::{Trust, client_config};
use wharf_http::{Client, Endpoint};

use crate::cli::Global;
use crate::failure::usage;

/// The server of a machine without `wharf login`.
pub(crate) const LOCAL_SERVER: &str = "http://127.0.0.1:7700";

/// What `wharf login` remembers, in `$XDG_CONFIG_HOME/wharf/login.json` with mode 0600.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    pub(crate) server: String,
    pub(crate) token: String,
    /// PEM of the CA that an https server's certificate is signed by.
    pub(crate) ca: Option<String>,
}

/// A client of the server that these arguments mean.
pub(crate) fn client(global: &Global) -> anyhow::Result<Client> {
    let login = read_login()?;
    let server = global.server.clone().or_else(|| login.as_ref().map(|login| login.server.clone()));
    let is_login_server = login.as_ref().is_some_and(|login| Some(&login.server) == server.as_ref());
    let server = server.unwrap_or_else(|| LOCAL_SERVER.to_owned());
    let login = login.filter(|_| is_login_server);
    let token = match (&global.token, &login) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(login)) => Some(login.token.clone()),
        (None, None) => read_token_file(global.data_of_server())?,
    };
    let local_ca = || std::fs::read_to_string(global.data_of_server().join("ca/ca.pem")).ok();
    let ca = login.and_then(|login| login.ca).or_else(local_ca);
    connect(&server, token, ca.as_deref())
}

/// A client of `server`; `ca` is the PEM of the CA to trust for https.
pub(crate) fn connect(server: &str, token: Option<String>, ca: Option<&str>) -> anyhow::Result<Client> {
    let tls = ca.map(|pem| client_config(&Trust::Authority(pem.to_owned()), None)).transpose()?;
    if server.starts_with("https://") && tls.is_none() {
        return Err(usage(format!(
            "{server} needs a CA certificate to trust\n  hint: wharf login {server} --ca FILE, with the server's <data>/ca/ca.pem"
        )));
    }
    Ok(Client::new(Endpoint::parse(server, tls)?).with_token(token))
}

/// Where `wharf login` keeps what it remembers.
pub(crate) fn login_path() -> anyhow::Result<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = config.or_else(home).context("neither XDG_CONFIG_HOME nor HOME is set")?;
    Ok(folder.join("wharf/login.json"))
}

fn read_login() -> anyhow::Result<Option<Login>> {
    let Ok(path) = login_path() else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let login = serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged; run `wharf logout`", path.display()))?;
            Ok(Some(login))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn read_token_file(data: &Path) -> anyhow::Result<Option<String>> {
    let path = data.join("token");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let hint = "hint: ask as root, or with a token of your own: `wharf login`";
            Err(error).with_context(|| format!("cannot read the token in {}\n  {hint}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read the token in {}", path.display())),
    }
}
