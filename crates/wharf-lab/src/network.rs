//! The lab's cables: a bridge in the switch's namespace, one cable to this machine and one to each host.
//!
//! Namespaces are kept by mounting them on files in the lab's own directory (as ip-netns(8) does in `/run/netns`,
//! which is left alone), so they end when those are unmounted and their last process is gone.

use std::fs::{self, File};
use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::command::Runner;
use crate::error::At as _;
use crate::layout::{HostLayout, Layout};
use crate::mounts;

/// Makes the switch and the cable to it, unless they are complete.
pub(crate) async fn ensure_switch(layout: &Layout, runner: Runner<'_>) -> Result<(), Error> {
    let net = layout.switch_net();
    if layout.switch_ready().exists() && mounts::is_mounted(&net)? {
        return Ok(());
    }
    // What a killed `up` left half done is made again.
    remove_switch(layout, runner).await?;
    let batch = layout.run.join("switch.batch");
    new_namespace(&net, runner).await?;
    let inside = ["link set lo up", "link add br0 type bridge", "link set br0 up"].map(str::to_owned);
    runner.ip_batch(Some(&net), &batch, &inside).await?;
    let uplink = layout.uplink();
    let outside = [
        format!("link add {uplink} type veth peer name uplink netns {}", net.display()),
        format!("addr add {}/24 dev {uplink}", layout.address(1)),
        format!("link set {uplink} up"),
    ];
    runner.ip_batch(None, &batch, &outside).await?;
    let plug = ["link set uplink master br0 up".to_owned()];
    runner.ip_batch(Some(&net), &batch, &plug).await?;
    fs::write(layout.switch_ready(), "").at("write", layout.switch_ready())
}

/// Removes the cable and the switch, as far as they are there.
pub(crate) async fn remove_switch(layout: &Layout, runner: Runner<'_>) -> Result<(), Error> {
    if Path::new("/sys/class/net").join(layout.uplink()).exists() {
        runner.run(&["ip", "link", "del", &layout.uplink()]).await?;
    }
    mounts::unmount_below(&layout.switch_net())
}

/// Gives the host a new network namespace and a cable to the switch, as a machine has after power-on.
pub(crate) async fn renew_host(layout: &Layout, host: &HostLayout, runner: Runner<'_>) -> Result<(), Error> {
    let (switch, net) = (layout.switch_net(), host.net());
    let inside_switch = format!("--net={}", switch.display());
    if mounts::is_mounted(&net)? {
        // A cable may be missing if an `up` was killed; then there is nothing to unplug.
        let unplug = ["nsenter", &inside_switch, "ip", "link", "del", &host.port];
        if let Err(error) = runner.run(&unplug).await {
            tracing::debug!(host = %host.name, %error, "no cable to unplug");
        }
        mounts::unmount_below(&net)?;
    }
    new_namespace(&net, runner).await?;
    let batch = host.run.join("net.batch");
    let plug = [
        format!(
            "link add {} type veth peer name eth0 address {} netns {}",
            host.port,
            host.mac(),
            net.display()
        ),
        format!("link set {} master br0 up", host.port),
    ];
    runner.ip_batch(Some(&switch), &batch, &plug).await?;
    let inside = [
        "link set lo up".to_owned(),
        format!("addr add {}/24 dev eth0", host.address),
        "link set eth0 up".to_owned(),
        format!("route add default via {}", layout.address(1)),
    ];
    runner.ip_batch(Some(&net), &batch, &inside).await
}

/// Plugs the host's cable in (`true`) or pulls it.
pub(crate) async fn set_link(
    layout: &Layout,
    host: &HostLayout,
    is_up: bool,
    runner: Runner<'_>,
) -> Result<(), Error> {
    let inside_switch = format!("--net={}", layout.switch_net().display());
    let state = if is_up { "up" } else { "down" };
    let argv = ["nsenter", &inside_switch, "ip", "link", "set", &host.port, state];
    runner.run(&argv).await.map(drop)
}

/// The names of the switch's ports that are plugged in.
pub(crate) async fn ports_up(layout: &Layout, runner: Runner<'_>) -> Result<Vec<String>, Error> {
    let inside_switch = format!("--net={}", layout.switch_net().display());
    let links = runner.run(&["nsenter", &inside_switch, "ip", "-json", "link", "show", "up"]).await?;
    let links: Vec<Interface> = serde_json::from_slice(&links).at("read", "the links of the switch")?;
    Ok(links.into_iter().map(|link| link.ifname).collect())
}

async fn new_namespace(net: &Path, runner: Runner<'_>) -> Result<(), Error> {
    File::create(net).at("create", net)?;
    runner.run(&["unshare", &format!("--net={}", net.display()), "true"]).await.map(drop)
}

/// Two interfaces with one network would each get half of the traffic, with no error from anyone.
pub(crate) async fn check_free(layout: &Layout, runner: Runner<'_>) -> Result<(), Error> {
    let interfaces = runner.run(&["ip", "-4", "-json", "addr", "show"]).await?;
    let interfaces: Vec<Interface> =
        serde_json::from_slice(&interfaces).at("read", "the addresses of this machine")?;
    let network = layout.network_text();
    let prefix = format!("{network}.");
    let is_in =
        |interface: &Interface| interface.addr_info.iter().any(|addr| addr.local.starts_with(&prefix));
    let other = interfaces.into_iter().find(|found| found.ifname != layout.uplink() && is_in(found));
    other.map_or(Ok(()), |found| Err(Error::NetworkTaken { network, interface: found.ifname }))
}

/// What `ip -json` prints, as far as it is used here. Objects that a filter left out are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Interface {
    ifname: String,
    addr_info: Vec<Address>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    local: String,
}
