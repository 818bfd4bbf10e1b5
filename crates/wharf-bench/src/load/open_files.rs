//! The process's limit of open files, of which every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for everything else that this process has open.
const OTHERS: u64 = 128;

/// Returns how many of `wanted` connections the process may open, after raising its soft limit as far as the hard one
/// allows. Linux distributions start programs with a soft limit of 1,024 and a hard one far above.
pub(super) fn allow_connections(wanted: usize) -> usize {
    let needed = wanted as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return wanted;
    }
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let limit = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            current.unwrap_or(needed)
        }
    };
    let allowed =
        usize::try_from(limit.saturating_sub(OTHERS)).map_or(wanted, |limit| limit.clamp(1, wanted));
    if allowed < wanted {
        tracing::warn!(
            wanted,
            allowed,
            "fewer connections than asked for: the limit of open files is in the way"
        );
    }
    allowed
}
