//! For which machines an image is, and what a host can run.
//!
//! Images say `amd64` (Go's words, OCI image-spec), Engines say `x86_64` (the kernel's); both are read, the first is
//! printed. Variants (`arm/v7`) are kept for messages and not compared: an Engine doesn't say which it has.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The label of a host that runs images of other architectures by emulation: `emulates=arm64+riscv64`.
pub const EMULATES: &str = "emulates";

/// `os/architecture[/variant]`, as in `platform:` of a Compose file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`; never the kernel's word.
    pub architecture: String,
    /// `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// From what an image's configuration or an index says. `None` where it names no architecture: such an entry is no
    /// image (BuildKit's attestations have `unknown/unknown`).
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Option<Platform> {
        let is_known = |word: &str| !word.is_empty() && word != "unknown";
        if !is_known(architecture) || os == "unknown" {
            return None;
        }
        Some(Platform {
            os: if os.is_empty() { "linux" } else { os }.to_owned(),
            architecture: normal(architecture).to_owned(),
            variant: variant.filter(|word| !word.is_empty()).map(str::to_owned),
        })
    }

    /// From `platform:`; `None` where it leaves the architecture open, as `linux` does.
    pub fn parse(text: &str) -> Option<Platform> {
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Platform::new(os, architecture, parts.next())
    }

    /// What a host is, from its architecture in the Engine's words. Engines of ours run on Linux.
    pub fn of_host(architecture: &str) -> Option<Platform> {
        Platform::new("linux", architecture, None)
    }

    /// Whether a host of this platform runs images of `image` without emulation: processors of 64 bits also run programs of
    /// their 32-bit predecessors.
    pub fn runs(&self, image: &Platform) -> bool {
        let is_predecessor = matches!(
            (self.architecture.as_str(), image.architecture.as_str()),
            ("amd64", "386") | ("arm64", "arm")
        );
        self.os == image.os && (self.architecture == image.architecture || is_predecessor)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// The image's word for an architecture (containerd `platforms/database.go`; uname(2) for what Engines say).
fn normal(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "386",
        "armhf" | "armel" | "armv6l" | "armv7l" => "arm",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_words_for_an_architecture_are_read_and_one_is_printed() {
        for (text, expected) in [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/x86_64", Some("linux/amd64")),
            ("linux/aarch64", Some("linux/arm64")),
            ("linux/arm/v7", Some("linux/arm/v7")),
            ("linux", None),
            ("", None),
            ("unknown/unknown", None),
            ("/arm64", Some("linux/arm64")),
        ] {
            let shown = Platform::parse(text).map(|platform| platform.to_string());
            assert_eq!(shown.as_deref(), expected, "{text:?}");
        }
        assert_eq!(Platform::of_host(""), None);
    }

    #[test]
    fn a_host_runs_its_own_architecture_and_the_one_before_it() {
        let runs =
            |host: &str, image: &str| Platform::of_host(host).unwrap().runs(&Platform::parse(image).unwrap());
        assert!(runs("x86_64", "linux/amd64") && runs("x86_64", "linux/386"));
        assert!(runs("aarch64", "linux/arm64/v8") && runs("aarch64", "linux/arm/v7"));
        assert!(runs("armv7l", "linux/arm/v7"));
        assert!(!runs("x86_64", "linux/arm64") && !runs("aarch64", "linux/amd64"));
        assert!(!runs("i686", "linux/amd64") && !runs("armv7l", "linux/arm64"));
        assert!(!runs("x86_64", "windows/amd64"));
    }
}
