//! Hosts whose clocks go wrong: nothing that Wharf does depends on them, but times of logs and of states do. Pure.
//!
//! Liveness, leases and deadlines are measured by the server's own clock, certificates have no dates that could be
//! missed, and what an agent says of time is only shown.

use std::time::Duration;

use wharf_model::Name;

/// From here on people are told. A report is on its way for less, also over a bad network.
const WARN_FROM: Duration = Duration::from_secs(30);

/// What to tell people when the clock of `host`, which was ahead of ours by `before`, is by `now` (milliseconds).
pub(crate) fn warning(host: &Name, before: Option<i64>, now: Option<i64>) -> Option<String> {
    let is_off =
        |skew: Option<i64>| skew.is_some_and(|skew| Duration::from_millis(skew.unsigned_abs()) >= WARN_FROM);
    if !is_off(now) || is_off(before) {
        return None;
    }
    let skew = now?;
    let by = wharf_base::duration::format(Duration::from_secs(skew.unsigned_abs() / 1_000));
    let way = if skew > 0 { "ahead of" } else { "behind" };
    Some(format!(
        "the clock of host {host} is {by} {way} the server's: times of its logs and states are wrong by that; set it, for example \
         with `chronyd -q` on the host"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_wrong_is_told_once() {
        let host: Name = "one".parse().unwrap();
        let hour = 3_600_000;
        let ahead = warning(&host, None, Some(hour)).unwrap();
        assert!(ahead.starts_with("the clock of host one is 1h ahead of the server's: "), "{ahead}");
        let behind = warning(&host, Some(-900), Some(-hour - 30_000)).unwrap();
        assert!(behind.starts_with("the clock of host one is 1h30s behind the server's: "), "{behind}");
        for (before, now) in
            [(Some(hour), Some(hour + 5)), (Some(hour), Some(3)), (None, None), (None, Some(-29_999))]
        {
            assert_eq!(warning(&host, before, now), None, "{before:?} {now:?}");
        }
    }
}
