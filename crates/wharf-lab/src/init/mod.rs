//! pid 1 of a host: makes its root, starts its services, reaps the dead.

mod root;
mod services;

use std::ffi::OsStr;
use std::path::Path;

use crate::spec::HostSpec;
use crate::{Error, cgroup};

/// Is pid 1 of a host until SIGTERM. `args` is what follows `lab-init` on the command line: the path of the spec.
///
/// Runs before any tokio runtime or thread is made. Does nothing unless it is pid 1 of a namespace, so a user who
/// tries it by hand gets an error. SIGTERM shuts the host down, SIGHUP restarts its dockerd.
pub fn init_main<S: AsRef<OsStr>>(args: &[S]) -> Result<(), Error> {
    let [path] = args else { return Err(Error::NotInit { reason: "takes the path of a spec" }) };
    if rustix::process::getpid().as_raw_nonzero().get() != 1 {
        return Err(Error::NotInit { reason: "must be pid 1" });
    }
    let spec = HostSpec::read(Path::new(path.as_ref()))?;
    // It is no leader of a group, as unshare forked it; if it ever were, the session is one of its own already.
    let _ = rustix::process::setsid();
    cgroup::enter(&spec.cgroups);
    root::enter(&spec)?;
    services::run(&spec)
}
