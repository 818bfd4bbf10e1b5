//! What deploying and keeping things deployed costs. Each section measures one thing and adds its rows, commands and
//! summary; a new one is a file and a line of [`SECTIONS`].

mod agents;
mod converge;
mod hosts;
mod site;

use std::path::Path;

use super::result::Comparison;

/// One thing that is measured: its name in messages, and how.
type Section = (&'static str, fn(&mut Comparison, &Path, u32) -> anyhow::Result<()>);

const SECTIONS: [Section; 3] =
    [("converge", converge::measure), ("hosts", hosts::measure), ("agents", agents::measure)];
/// The names of the sections.
pub(super) const SECTION_NAMES: [&str; 3] = ["converge", "hosts", "agents"];

/// Measures the sections that `only` names, or all.
pub(super) fn compare(wharf: &Path, repetitions: u32, only: &[String]) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::new("deploy");
    comparison.version("wharf", &wharf.display().to_string(), &["--version"]);
    comparison.version("dockerd", "dockerd", &["--version"]);
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    for (name, measure) in SECTIONS.into_iter().filter(|(name, _)| is_wanted(name)) {
        eprintln!("section {name}");
        measure(&mut comparison, wharf, repetitions)?;
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_knows_every_section() {
        assert_eq!(SECTIONS.map(|(name, _)| name), SECTION_NAMES);
    }
}
