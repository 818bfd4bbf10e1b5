//! Who may use the registry from addresses off loopback: API tokens, hosts, and the server's own builder.

use std::sync::Arc;

use wharf_model::ports::{RegistryAccess, RegistryUser};

/// The account with which this server's Engine pushes what it built; made anew at each start, in memory only.
#[derive(Clone)]
pub(super) struct BuilderAccount {
    password: String,
}

/// Name of that account.
const BUILDER: &str = "wharf-builder";

impl BuilderAccount {
    pub(super) fn new() -> anyhow::Result<BuilderAccount> {
        let mut bytes = [0; 32];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(BuilderAccount { password: wharf_base::hex(&bytes) })
    }

    pub(super) fn credentials(&self) -> wharf_docker::Credentials {
        wharf_docker::Credentials { user: BUILDER.to_owned(), password: self.password.clone() }
    }
}

struct Accounts {
    access: wharf_access::Handle,
    fleet: Option<wharf_fleet::Handle>,
    builder: Option<BuilderAccount>,
}

/// The port of the registry, filled by the parts that know accounts.
pub(super) fn of(
    access: wharf_access::Handle,
    fleet: Option<wharf_fleet::Handle>,
    builder: Option<BuilderAccount>,
) -> Arc<dyn RegistryAccess> {
    Arc::new(Accounts { access, fleet, builder })
}

impl RegistryAccess for Accounts {
    fn check(&self, user: &str, password: &str) -> Option<RegistryUser> {
        if user == BUILDER {
            let builder = self.builder.as_ref()?;
            return is_equal(&builder.password, password)
                .then(|| RegistryUser { name: BUILDER.to_owned(), may_push: true });
        }
        let of_host = || self.fleet.as_ref().and_then(|fleet| fleet.check_registry(user, password));
        self.access.check_registry(user, password).or_else(of_host)
    }
}

/// Compares in a time that does not depend on where the texts differ.
fn is_equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
