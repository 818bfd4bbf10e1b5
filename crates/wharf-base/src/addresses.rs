//! Serde form of a list of listen addresses: a list, or one text with commas (as `--set api.listen=…` gives it).

use std::fmt;
use std::net::SocketAddr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serialize, Serializer};

/// Serializes as a list of texts.
pub fn serialize<S: Serializer>(addresses: &[SocketAddr], serializer: S) -> Result<S::Ok, S::Error> {
    addresses.serialize(serializer)
}

/// Deserializes `["127.0.0.1:80", …]` or `127.0.0.1:80,[::1]:80`; an empty text is an empty list.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    deserializer.deserialize_any(AddressesVisitor)
}

struct AddressesVisitor;

impl<'de> Visitor<'de> for AddressesVisitor {
    type Value = Vec<SocketAddr>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as 127.0.0.1:7700, or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<SocketAddr>, E> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<SocketAddr>, A::Error> {
        let mut addresses = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            addresses.push(parse(&text)?);
        }
        Ok(addresses)
    }
}

fn parse<E: Error>(text: &str) -> Result<SocketAddr, E> {
    text.parse().map_err(|_| {
        E::custom(format!("`{text}` is not an address to listen on; write IP:PORT, such as 127.0.0.1:7700"))
    })
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as ValueError, SeqDeserializer, StrDeserializer};

    use super::*;

    #[test]
    fn takes_a_text_or_a_list() {
        let text: StrDeserializer<'_, ValueError> = "127.0.0.1:80, [::1]:81".into_deserializer();
        let list = SeqDeserializer::<_, ValueError>::new(["127.0.0.1:80", "[::1]:81"].into_iter());
        assert_eq!(deserialize(text).unwrap(), deserialize(list).unwrap());
        let bad: StrDeserializer<'_, ValueError> = "localhost:80".into_deserializer();
        assert!(deserialize(bad).unwrap_err().to_string().contains("IP:PORT"));
    }
}
