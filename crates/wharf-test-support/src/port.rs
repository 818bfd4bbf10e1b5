//! Ports that no other test takes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::Mutex;

/// Below the kernel's ephemeral ports (32768–60999), so that no outgoing connection takes one in between.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Held until the process ends: each is the claim on one port.
static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port that is free on loopback, TCP and UDP, and that no other caller gets while this process lives.
///
/// The claim is a socket in the abstract namespace, so tests in other processes see it, and it ends with the process.
pub fn free_port() -> u16 {
    let mut claims = CLAIMS.lock().expect("no holder panics");
    let start = std::process::id() as usize * 61;
    let count = PORTS.len();
    for step in 0..count {
        let port = PORTS.start + ((start + step) % count) as u16;
        let name = UnixAddr::from_abstract_name(format!("wharf-test-port-{port}")).expect("a short name");
        let Ok(claim) = UnixListener::bind_addr(&name) else { continue };
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free {
            claims.push(claim);
            return port;
        }
    }
    panic!("no free port in {PORTS:?}");
}

/// `127.0.0.1` with a [`free_port`].
pub fn free_addr() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..50).map(|_| free_port()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
    }
}
