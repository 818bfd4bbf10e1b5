//! IP networks in CIDR form, for `trusted_proxies`.

use std::net::IpAddr;
use std::str::FromStr;

/// An address with the number of its leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    bits: u128,
    is_v4: bool,
    prefix: u32,
}

impl Network {
    /// Whether `address` is in it. An IPv4 address that came mapped into IPv6 counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = split(address.to_canonical());
        is_v4 == self.is_v4 && masked(bits, is_v4, self.prefix) == self.bits
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let error = || format!("`{text}` is not a network; write 10.0.0.0/8 or 192.0.2.7");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().map_err(|_| error())?)),
            None => (text, None),
        };
        let (bits, is_v4) = split(address.parse::<IpAddr>().map_err(|_| error())?);
        let most = if is_v4 { 32 } else { 128 };
        let prefix = prefix.unwrap_or(most);
        if prefix > most {
            return Err(error());
        }
        Ok(Network { bits: masked(bits, is_v4, prefix), is_v4, prefix })
    }
}

fn split(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), true),
        IpAddr::V6(address) => (u128::from(address), false),
    }
}

fn masked(bits: u128, is_v4: bool, prefix: u32) -> u128 {
    let drop = if is_v4 { 32 } else { 128 } - prefix;
    bits.checked_shr(drop).map_or(0, |kept| kept << drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_what_cidr_says() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("fd00::/8", "fdff::1", true),
            ("::/0", "fe80::1", true),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), expected, "{network} {address}");
        }
        for bad in ["", "10.0.0.0/33", "x/8", "10.0.0.0/", "::/129"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
