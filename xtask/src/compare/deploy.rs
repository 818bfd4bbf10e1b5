//! What deploying and keeping things deployed costs. Each section measures one thing and adds its rows, commands and
//! summary; a new one is a file and a line of [`SECTIONS`].

mod converge;

use std::path::Path;

use super::result::Comparison;

/// One thing that is measured: its name in messages, and how.
type Section = (&'static str, fn(&mut Comparison, &Path, u32) -> anyhow::Result<()>);

const SECTIONS: [Section; 1] = [("converge", converge::measure)];

pub(super) fn compare(wharf: &Path, repetitions: u32) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::new("deploy");
    comparison.version("wharf", &wharf.display().to_string(), &["--version"]);
    comparison.version("dockerd", "dockerd", &["--version"]);
    for (name, measure) in SECTIONS {
        eprintln!("section {name}");
        measure(&mut comparison, wharf, repetitions)?;
    }
    Ok(comparison)
}
