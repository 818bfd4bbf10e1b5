//! `wharf join`: makes this machine a host, or a balancer, of a server.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};

use anyhow::Context as _;
use serde_json::json;
use wharf_fleet::agent::{self, JoinOptions};
use wharf_model::Name;

use super::agent as agent_command;
use crate::cli::{Global, JoinArgs, JoinRole};
use crate::data_dir;
use crate::failure::usage;
use crate::output::Output;

pub(super) async fn run(global: &Global, arguments: JoinArgs, output: Output) -> anyhow::Result<()> {
    let Some(token) = global.token.clone() else {
        return Err(usage(
            "a join token is needed\n  hint: `wharf host token` on the server prints the whole command",
        ));
    };
    let name: Name = match arguments.name {
        Some(name) => name,
        None => rustix::system::uname().nodename().to_string_lossy().to_lowercase(),
    }
    .parse()
    .map_err(|error: wharf_model::NameError| usage(error.to_string()))?;
    let mut labels = labels(&arguments.labels)?;
    if arguments.role == JoinRole::Balancer {
        labels.insert("role".to_owned(), "balancer".to_owned());
    }
    let address = match arguments.address {
        Some(address) => Some(address),
        None => address_towards(&arguments.url)?,
    };
    let data = agent_command::data(global);
    let options = JoinOptions {
        url: arguments.url,
        token,
        name: name.clone(),
        labels,
        address,
        data: data.clone(),
        certs_dir: None,
    };
    output.progress("joining …");
    let identity = agent::join(options).await;
    output.progress_done();
    let identity = identity?;
    data_dir::make_private(&data)?;
    let next = match arguments.role {
        JoinRole::Host => format!("wharf agent --data {}", data.display()),
        JoinRole::Balancer => format!("wharf up --only balancer --data {}", data.display()),
    };
    output.result(&json!({ "name": &name, "id": identity.host_id, "data": &data, "next": &next }), || {
        format!("Joined as {name}. Now run, and keep running with your service manager:\n\n  {next}")
    })
}

/// Reads `KEY=VALUE` pairs.
pub(super) fn labels(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|label| match label.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(usage(format!("--label {label}: it is not KEY=VALUE\n  hint: write --label pool=web"))),
        })
        .collect()
}

/// The address of ours from which the server is reached: the one that the kernel would send from. No packet is sent.
fn address_towards(url: &str) -> anyhow::Result<Option<IpAddr>> {
    let uri: http::Uri = url.parse().map_err(|_| usage(format!("`{url}` is not a URL")))?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot make a socket")?;
    let Ok(()) = socket.connect((host, uri.port_u16().unwrap_or(443))) else { return Ok(None) };
    let address = socket.local_addr()?.ip();
    Ok((!address.is_loopback()).then_some(address))
}
