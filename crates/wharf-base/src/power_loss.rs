//! Points at which a test takes the power away.

/// Ends the process at once, as `kill -9` does, if `WHARF_CRASH_AT` names this point. In builds without debug assertions,
/// such as every release, it does nothing.
///
/// A point is named after what has just happened or is about to: `deploy healthy begins`, `agent create done`.
pub fn power_loss(point: impl FnOnce() -> String) {
    #[cfg(debug_assertions)]
    if let Some(wanted) = wanted()
        && point() == *wanted
    {
        // No destructor, no flush, nobody is told.
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    drop(point);
}

#[cfg(debug_assertions)]
fn wanted() -> Option<&'static String> {
    static WANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    WANTED.get_or_init(|| std::env::var("WHARF_CRASH_AT").ok().filter(|point| !point.is_empty())).as_ref()
}
