//! Whether a host can run an image: its processor, or what it emulates.

use wharf_model::{EMULATES, HostView, Platform};

use super::Want;

/// Whether the host runs the image of `want`. What is not known is no reason against it.
pub(super) fn runs(want: &Want, host: &HostView) -> bool {
    let Some(own) = of(host) else { return true };
    let emulated = host.labels.get(EMULATES).map(String::as_str).unwrap_or_default();
    let is_emulated = |image: &Platform| {
        let mut others = emulated.split(['+', ',']).filter_map(|word| Platform::of_host(word.trim()));
        others.any(|other| other.runs(image))
    };
    want.platforms.is_empty() || want.platforms.iter().any(|image| own.runs(image) || is_emulated(image))
}

/// Why the host can't run what is to be on it together, in words; `None` if it can.
pub(super) fn why_not(group: &[&Want], host: &HostView) -> Option<String> {
    let want = group.iter().find(|want| !runs(want, host))?;
    let own = of(host)?;
    let image: Vec<String> = want.platforms.iter().map(Platform::to_string).collect();
    Some(format!("is {own} and the image {} of `{}` is for {}", want.image, want.service, image.join(", ")))
}

/// What to do about it.
pub(super) const HINT: &str = "build the image for that platform (`platform:`, or `build.platforms`), choose hosts that fit \
    with x-wharf.hosts, or, if a host emulates it, join that with --label emulates=ARCHITECTURE";

fn of(host: &HostView) -> Option<Platform> {
    Platform::of_host(host.architecture.as_deref()?)
}
