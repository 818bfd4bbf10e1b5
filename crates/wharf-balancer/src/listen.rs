//! Opening addresses: one SO_REUSEPORT socket per worker, and a clear word about who holds a port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::Error;

/// Connections that the kernel queues per socket (bounded by net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Opens `address` once per worker. With port 0 all get the same free port.
pub(crate) fn open(address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, Error> {
    let failed = |source: io::Error| {
        let is_taken = source.kind() == io::ErrorKind::AddrInUse;
        let holder = if is_taken { holder(address.port()) } else { String::new() };
        Error::Listen { address, holder, source }
    };
    // With SO_REUSEPORT alone a second process of this user would quietly take half of our connections. So the
    // address is first bound without it, which fails if anybody has it.
    drop(socket(address, false).map_err(failed)?);
    let first = socket(address, true).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(socket(address, true).map_err(failed)?);
    }
    Ok(listeners)
}

fn socket(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the last run in TIME_WAIT don't keep us from starting.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        // `[::]` takes IPv6 only, so that `0.0.0.0` of the same port can be listed beside it.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// `: process 12 (nginx) holds it`, as far as /proc tells.
fn holder(port: u16) -> String {
    let found = inode_of(port).and_then(|inode| process_of(&format!("socket:[{inode}]")));
    found.map_or(String::new(), |(process, name)| format!(": process {process} ({name}) holds it"))
}

/// The inode of the socket that listens on `port`. Source: proc(5), /proc/net/tcp.
fn inode_of(port: u16) -> Option<String> {
    let end = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|path| {
        let table = std::fs::read_to_string(path).ok()?;
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is LISTEN.
            (fields.get(1)?.ends_with(&end) && *fields.get(3)? == "0A")
                .then(|| (*fields.get(9)?).to_owned().into())?
        })
    })
}

fn process_of(link: &str) -> Option<(String, String)> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let process = entry.file_name().into_string().ok()?;
        process.parse::<u32>().ok()?;
        let mut files = std::fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        files
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == link))
            .then_some(())?;
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        Some((process, name.trim_end().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder() {
        let first = open(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(first[1].local_addr().unwrap(), address);
        let error = open(address, 1).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} (", std::process::id())), "{error}");
    }
}
