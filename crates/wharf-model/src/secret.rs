//! Secrets as others may see them: by name and fingerprint, never by value.

use serde::{Deserialize, Serialize};

/// One value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretRef {
    /// Its name, as in `secrets.age` or the Compose file.
    pub name: String,
    /// Keyed hash of the value, 32 hexadecimal digits: another value has another one, and nobody without the server's key
    /// can find the value by trying.
    pub fingerprint: String,
}

/// A secret as a read-only file in a container, which is in memory on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Which.
    pub secret: SecretRef,
    /// Path in the container: `/run/secrets/<name>` unless the user says otherwise.
    pub target: String,
    /// Owner; `None` is root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group; `None` is root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Permission bits: 0444 unless the user says otherwise.
    pub mode: u32,
}

/// A variable whose value holds secrets. `docker inspect` on the host shows it in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVariable {
    /// The value with `${secret:NAME}` where a secret goes.
    pub template: String,
    /// The secrets of the template.
    pub secrets: Vec<SecretRef>,
}

impl SecretVariable {
    /// What stands in a template for the secret `name`.
    pub fn placeholder(name: &str) -> String {
        format!("${{secret:{name}}}")
    }

    /// The names of secrets in a text: `postgres://app:${secret:DB}@db` has `DB`. What is not closed is no name.
    pub fn names(text: &str) -> Vec<&str> {
        let parts = text.split("${secret:").skip(1);
        parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
    }

    /// The template with each secret put in by `value`; `None` where it has none for one of them. Values are not searched
    /// for further placeholders.
    pub fn resolve(&self, value: impl Fn(&SecretRef) -> Option<String>) -> Option<String> {
        let mut parts = self.template.split("${secret:");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let known = part.split_once('}').and_then(|(name, after)| {
                let secret = self.secrets.iter().find(|secret| secret.name == name)?;
                Some((secret, after))
            });
            match known {
                Some((secret, after)) => {
                    text.push_str(&value(secret)?);
                    text.push_str(after);
                }
                None => {
                    text.push_str("${secret:");
                    text.push_str(part);
                }
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_get_their_secrets_and_nothing_else() {
        let variable = SecretVariable {
            template: "a:${secret:A}/${secret:B}@${secret:C}${secret:A".to_owned(),
            secrets: ["A", "B"]
                .map(|name| SecretRef { name: name.to_owned(), fingerprint: name.to_lowercase() })
                .into(),
        };
        assert_eq!(SecretVariable::names(&variable.template), ["A", "B", "C"]);
        let value = |secret: &SecretRef| Some(format!("<{}${{secret:B}}>", secret.fingerprint));
        let resolved = variable.resolve(value).unwrap();
        assert_eq!(resolved, "a:<a${secret:B}>/<b${secret:B}>@${secret:C}${secret:A");
        assert_eq!(variable.resolve(|_| None), None);
        assert_eq!(SecretVariable::names(&SecretVariable::placeholder("X")), ["X"]);
    }
}
